"""Open scans by a button or by dropping them, without napari's question which reader to use."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QWidget

from voxtrace.io.foreign.partner_files import header_or_same
from voxtrace.io.suffixes import ZARR_METADATA, is_archive, suffix_of
from voxtrace.plugin.controllers.compat import unwrapped
from voxtrace.plugin.controllers.layers import add_layers
from voxtrace.plugin.npe2.notifications import notify
from voxtrace.plugin.npe2.reader import HANDLED, read_into
from voxtrace.plugin.work.path_kinds import kind_of_path


def open_scan(viewer: Any, path: str | PathLike[str] | Sequence[str | PathLike[str]]) -> None:
    """Open a scan, a label map, a DICOM file or folder, or a trace; several paths are one scan.

    DICOM files need no suffix; ``trace.json``, ``bundle.json``, ``dataset.json`` and the metadata of zarr stand for
    their folder. A bundle
    goes to the Segment panel, a dataset to the training panel. An error, and a path that holds none of these, is told
    in a notification.
    """
    paths = [_meant(Path(one)) for one in ([path] if isinstance(path, (str, PathLike)) else path)]
    try:
        strange = next((one for one in paths if not kind_of_path(one)), None)
    except OSError as error:
        notify("error", f"{paths[0].name} cannot be read: {error.strerror or error}.")
        return
    if strange is not None:
        notify("error", f"{strange.name} holds no CT or MR scan, label map, trace, bundle or dataset.")
        return
    found = read_into(unwrapped(viewer), paths)
    if found is not HANDLED:
        add_layers(viewer, found)


def _meant(path: Path) -> Path:
    return path.parent if path.name in ("trace.json", "bundle.json", "dataset.json", *ZARR_METADATA) else path


def accept_drops(viewer: Any) -> None:
    """Open what VoxTrace can open as soon as it is dropped on the window; anything else is left to napari."""
    target = _drop_target(viewer)
    if target is not None:
        DropFilter(viewer, target)


class DropFilter(QObject):
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
    """Return paths that are opened together: DICOM files of a folder are one group, all else is opened one by one.

    Of a scan in two files its header is opened.
    """
    groups: dict[Any, list[Path]] = {}
    for path in dict.fromkeys(header_or_same(one) for one in paths):
        together = path.is_file() and not suffix_of(path) and not is_archive(path)
        groups.setdefault(path.parent if together else path, []).append(path)
    return list(groups.values())


def _drop_target(viewer: Any) -> QWidget | None:
    window = _window(viewer)
    found = getattr(window, "_qt_viewer", None)
    return found if isinstance(found, QWidget) else None


def _window(viewer: Any) -> Any:
    return getattr(getattr(unwrapped(viewer), "window", None), "_qt_window", None)
