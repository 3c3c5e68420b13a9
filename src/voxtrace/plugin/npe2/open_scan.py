"""Open scans by a button, a menu entry or by dropping them, without napari's question which reader to use."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QCursor, QDropEvent
from qtpy.QtWidgets import QFileDialog, QMenu, QWidget

from voxtrace.io.suffixes import suffix_of
from voxtrace.plugin.controllers.layers import add_layers
from voxtrace.plugin.npe2.notifications import notify
from voxtrace.plugin.npe2.reader import HANDLED, read_into
from voxtrace.plugin.work.path_kinds import kind_of_path


def open_scan(viewer: Any, path: str | PathLike[str] | Sequence[str | PathLike[str]]) -> None:
    """Open a scan, a label map, a DICOM file or folder, or a trace; several paths are one scan.

    DICOM files need no suffix. A bundle goes to the Segment panel, a dataset to the training panel. An error, and a
    path that holds none of these, is told in a notification.
    """
    paths = [Path(path)] if isinstance(path, (str, PathLike)) else [Path(one) for one in path]
    try:
        strange = next((one for one in paths if not kind_of_path(one)), None)
    except OSError as error:
        notify("error", f"{paths[0].name} cannot be read: {error.strerror or error}.")
        return
    if strange is not None:
        notify("error", f"{strange.name} holds no CT or MR scan, label map, trace, bundle or dataset.")
        return
    found = read_into(viewer, paths)
    if found is not HANDLED:
        add_layers(viewer, found)


def ask_scan(viewer: Any) -> None:
    """Ask in a menu at the pointer for a file or a folder, and open it."""
    window = _window(viewer)
    menu = QMenu(window)
    file, folder = menu.addAction("File …"), menu.addAction("DICOM folder or trace …")
    chosen = menu.exec(QCursor.pos())
    if chosen is None:
        return
    if chosen is folder:
        if picked := QFileDialog.getExistingDirectory(window, "Open a DICOM folder or a trace"):
            open_scan(viewer, picked)
    elif chosen is file:
        names, _ = QFileDialog.getOpenFileNames(window, "Open a scan; several files are its channels")
        if names:
            open_scan(viewer, names)


def open_scan_command() -> None:
    """Ask for a scan; what the command palette and the menu call."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        ask_scan(viewer)


def accept_drops(viewer: Any) -> None:
    """Open what VoxTrace can open as soon as it is dropped on the window; anything else is left to napari."""
    target = _drop_target(viewer)
    if target is not None:
        _DropFilter(viewer, target)


class _DropFilter(QObject):
    """Takes drops of paths that VoxTrace can open; it belongs to the widget that gets them."""

    def __init__(self, viewer: Any, target: QWidget) -> None:
        super().__init__(target)
        self._viewer = weakref.ref(viewer)
        target.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Open dropped paths."""
        if not isinstance(event, QDropEvent) or event.type() != QEvent.Type.Drop:
            return False
        viewer, paths = self._viewer(), dropped_paths(event)
        if viewer is None or not paths:
            return False
        event.acceptProposedAction()
        for group in grouped(paths):
            open_scan(viewer, group)
        return True


def dropped_paths(event: QDropEvent) -> list[Path]:
    """Return the dropped paths if VoxTrace can open every one of them, else none."""
    data = event.mimeData()
    urls = data.urls() if data is not None else []
    paths = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
    try:
        ours = len(paths) == len(urls) and all(kind_of_path(path) for path in paths)
    except OSError:
        return []
    return paths if ours else []


def grouped(paths: Sequence[Path]) -> list[list[Path]]:
    """Return paths that are opened together: DICOM files of a folder are one group, all else is opened one by one."""
    groups: dict[Any, list[Path]] = {}
    for path in paths:
        together = path.is_file() and not suffix_of(path)
        groups.setdefault(path.parent if together else path, []).append(path)
    return list(groups.values())


def _drop_target(viewer: Any) -> QWidget | None:
    window = _window(viewer)
    found = getattr(window, "_qt_viewer", None)
    return found if isinstance(found, QWidget) else None


def _window(viewer: Any) -> Any:
    bare = getattr(viewer, "__wrapped__", viewer)  # panels get a proxy that hides private names
    return getattr(getattr(bare, "window", None), "_qt_window", None)
