"""Open scans, label maps, DICOM folders and traces in napari."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from voxtrace import io
from voxtrace.io.suffixes import is_dicom, suffix_of
from voxtrace.plugin import display
from voxtrace.plugin.contrast import looks_like_labels
from voxtrace.plugin.events import sentence
from voxtrace.plugin.frame import obliquity_note
from voxtrace.trace import Trace

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]
NOTHING: list[Any] = [(None,)]  # napari's word for "handled, no layer to add"
_LOOKED_AT = 32  # files of a folder that are looked into before it is judged not to hold DICOM


def get_reader(path: Paths) -> Callable[[Paths], list[Any]] | None:
    """Return the function that opens a path or several, or None where VoxTrace cannot; never raises."""
    try:
        paths = _as_paths(path)
        return read_layers if paths and all(_is_ours(p) for p in paths) else None
    except (OSError, TypeError, ValueError):
        return None


def read_layers(path: Paths) -> list[Any]:
    """Return layer data for one scan: a layer for each channel, or labels.

    In a window the reading happens in a thread while the window goes on painting, and an error is shown as one
    sentence; without a window the error is raised.
    """
    paths = _as_paths(path)
    viewer = _open_window()
    if viewer is None:
        return load(paths)
    from voxtrace.plugin.session import session_of
    from voxtrace.plugin.worker import without_freezing

    viewer.status = f"Reading {paths[0].name} …"
    try:
        layers: list[Any] = without_freezing(partial(_load_for_window, paths))
    except Exception as error:
        _notify("show_error", sentence(error))
        return NOTHING
    finally:
        viewer.status = ""
    session_of(viewer)  # letters and scale bar
    _tell_notes(layers)
    return layers


def load(paths: Sequence[Path]) -> list[Any]:
    """Read files into layer data.

    Raises
    ------
    VoxTraceError
        What was given is no volume, is damaged, or its parts do not fit each other.
    """
    if _is_trace(paths[0]):
        return [display.trace_layer(Trace.load(paths[0]), paths[0].name.removesuffix(".trace"))]
    volume = io.read(paths[0] if len(paths) == 1 else list(paths))
    if len(paths) == 1 and suffix_of(paths[0]) and looks_like_labels(volume.data[0]):
        return [display.label_layer(io.read_labels(paths[0]))]
    return list(display.image_layers(volume))


def _load_for_window(paths: Sequence[Path]) -> list[Any]:
    import pint

    layers = load(paths)
    registry = pint.get_application_registry()  # type: ignore[no-untyped-call]
    registry.Unit("mm")  # fills the table of units, half a second that napari's first layer would wait for
    return layers


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return _is_trace(path) or any(is_dicom(f) for f in islice(path.iterdir(), _LOOKED_AT) if f.is_file())
    return bool(suffix_of(path)) or (path.is_file() and is_dicom(path))


def _is_trace(path: Path) -> bool:
    return (path / "trace.json").is_file()


def _as_paths(path: Paths) -> list[Path]:
    return [Path(path)] if isinstance(path, (str, PathLike)) else [Path(p) for p in path]


def _open_window() -> Any:
    """Return the viewer whose window is open, or None."""
    from napari import current_viewer

    return current_viewer()


def _tell_notes(layers: Sequence[Any]) -> None:
    for source in [about["metadata"][display.KEY] for _, about, kind in layers[:1] if kind == "image"]:
        notes = [*source.volume.notes, obliquity_note(source.volume.geometry)]
        for note in filter(None, notes):
            _notify("show_info", note)


def _notify(kind: str, text: str) -> None:
    from napari.utils import notifications

    getattr(notifications, kind)(text)
