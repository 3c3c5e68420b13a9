"""Open scans, label maps, DICOM folders and traces in napari."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from voxtrace import io
from voxtrace.io.dicom import DicomGrid
from voxtrace.io.export import is_seg, read_seg
from voxtrace.io.suffixes import is_dicom, suffix_of
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.contrast import looks_like_labels
from voxtrace.plugin.layers.scalar_maps import layers_beside
from voxtrace.plugin.layers.timepoints import read_timepoints, timepoints_layer
from voxtrace.plugin.npe2.notifications import notify, notify_notes
from voxtrace.plugin.work.dicom_open import Study, series_layers, study_at
from voxtrace.plugin.work.events import error_message
from voxtrace.trace import Trace

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]
HANDLED: list[Any] = [(None,)]  # tells napari that the path was handled and adds no layer
# How much of a folder is searched before it counts as one without DICOM.
_MAX_FOLDERS = 64  # also the number of files opened in all
_MAX_FILES, _MAX_NAMES = 16, 1000  # files opened, and directory entries listed, in each folder


def get_reader(path: Paths) -> Callable[[Paths], list[Any]] | None:
    """Return the function that opens a path or several, or None where VoxTrace cannot; never raises."""
    try:
        paths = _as_paths(path)
        return read_layers if paths and all(_is_ours(p) for p in paths) else None
    except (OSError, TypeError, ValueError):
        return None


def read_layers(path: Paths) -> list[Any]:
    """Return layer data for one scan: a layer for each channel, or one labels layer.

    With a window open, files are read in a thread while the window keeps painting, an error is shown as one sentence,
    and a dialog asks which series of a DICOM folder to open. Without a window, errors are raised.
    """
    paths = _as_paths(path)
    viewer = _open_window()
    if viewer is None:
        return load(paths)
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of
    from voxtrace.plugin.work.threads import without_freezing

    if known := _already_open(viewer, paths):
        notify("info", f"{paths[0].name} is already open: it is part of {known}.")
        return HANDLED
    viewer.status = f"Reading {paths[0].name} …"
    try:
        found: list[Any] | Study = without_freezing(partial(_load_for_window, paths))
    except Exception as error:
        notify("error", error_message(error))
        return HANDLED
    finally:
        viewer.status = ""
    viewer_state_of(viewer)  # adds orientation letters and the scale bar
    if isinstance(found, Study):
        from voxtrace.plugin.npe2.chooser import choose

        choose(viewer, found)
        return HANDLED
    notify_notes(found)
    return found


def load(paths: Sequence[Path]) -> list[Any]:
    """Read files into layer data.

    Raises
    ------
    VoxTraceError
        The files are not a volume, are damaged, or do not belong to one volume.
    """
    first, alone = paths[0], len(paths) == 1
    if _is_trace(first):
        trace, name = Trace.load(first), first.name.removesuffix(".trace")
        return [*layers_beside(trace, name), display.trace_layer(trace, name)]
    if alone and is_seg(first):
        return [display.label_layer(read_seg(first))]
    if alone and suffix_of(first):
        return _load_file(first)
    return list(display.image_layers(io.read(first if alone else list(paths))))


def _load_file(path: Path) -> list[Any]:
    count = io.count_timepoints(path)
    if count > 1:
        return [timepoints_layer(read_timepoints(path, count))]
    if _names_labels(path):
        return [display.label_layer(io.read_labels(path))]
    volume = io.read(path)
    if looks_like_labels(volume.data[0]):
        return [display.label_layer(io.read_labels(path))]
    return list(display.image_layers(volume))


def _load_for_window(paths: Sequence[Path]) -> list[Any] | Study:
    import pint

    layers: list[Any] | Study = _load_or_ask(paths)
    registry = pint.get_application_registry()  # type: ignore[no-untyped-call]
    registry.Unit("mm")  # builds the table of units here; it takes 0.5 s that napari's first layer would wait for
    return layers


def _load_or_ask(paths: Sequence[Path]) -> list[Any] | Study:
    if _is_trace(paths[0]) or (len(paths) == 1 and is_seg(paths[0])):
        return load(paths)
    study = study_at(paths)
    if study is None:
        return load(paths)
    return study if study.only is None else list(series_layers(study.only))


def _already_open(viewer: Any, paths: Sequence[Path]) -> str:
    """Return the name of the layer that shows the series of a DICOM file, or ``""``.

    napari passes several files one by one, and each file opens its whole series.
    """
    if not paths[0].is_file():
        return ""
    for layer in viewer.layers:
        source = layer.metadata.get(display.KEY)
        stored = source.volume.geometry.stored if isinstance(source, display.ImageSource) else None
        if isinstance(stored, DicomGrid) and {one.path for one in stored.sources} >= set(paths):
            return str(layer.name)
    return ""


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return _is_trace(path) or any(is_dicom(file) for file in islice(_files(path), _MAX_FOLDERS))
    return bool(suffix_of(path)) or (path.is_file() and is_dicom(path))


def _files(folder: Path) -> Iterator[Path]:
    """Yield files of a folder and of its subfolders, breadth first, up to the limits above."""
    folders = [folder]
    for index in range(_MAX_FOLDERS):
        if index == len(folders):
            return
        inside = list(islice(folders[index].iterdir(), _MAX_NAMES))
        folders += sorted(path for path in inside if path.is_dir())
        yield from islice((path for path in inside if path.is_file()), _MAX_FILES)


def _names_labels(path: Path) -> bool:
    """Tell whether a file's header names labels, so that it is a label map; its voxels are not read."""
    return path.name.lower().endswith(".seg.nrrd") or bool(io.label_names(path))


def _is_trace(path: Path) -> bool:
    return (path / "trace.json").is_file()


def _as_paths(path: Paths) -> list[Path]:
    return [Path(path)] if isinstance(path, (str, PathLike)) else [Path(p) for p in path]


def _open_window() -> Any:
    """Return the viewer whose window is open, or None."""
    from napari import current_viewer

    return current_viewer()
