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
from voxtrace.plugin.layers.timepoints import frames_layer, read_frames
from voxtrace.plugin.npe2.label_names import carries_names
from voxtrace.plugin.npe2.notifications import tell, tell_notes
from voxtrace.plugin.work.dicom_open import Study, series_layers, study_at
from voxtrace.plugin.work.events import sentence
from voxtrace.trace import Trace

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]
NOTHING: list[Any] = [(None,)]  # napari's word for "handled, no layer to add"
_LOOKED_AT = 64  # files, and folders, that are looked into before a folder is judged not to hold DICOM
_EACH, _MOST = 16, 1000  # files looked into, and names looked at, in each folder


def get_reader(path: Paths) -> Callable[[Paths], list[Any]] | None:
    """Return the function that opens a path or several, or None where VoxTrace cannot; never raises."""
    try:
        paths = _as_paths(path)
        return read_layers if paths and all(_is_ours(p) for p in paths) else None
    except (OSError, TypeError, ValueError):
        return None


def read_layers(path: Paths) -> list[Any]:
    """Return layer data for one scan: a layer for each channel, or labels.

    In a window the reading happens in a thread while the window goes on painting, an error is shown as one sentence,
    and where a DICOM folder holds several series a dialog asks which to open. Without a window the error is raised.
    """
    paths = _as_paths(path)
    viewer = _open_window()
    if viewer is None:
        return load(paths)
    from voxtrace.plugin.npe2.viewer_state import session_of
    from voxtrace.plugin.work.threads import without_freezing

    if known := _already_open(viewer, paths):
        tell("info", f"{paths[0].name} is already open: it is part of {known}.")
        return NOTHING
    viewer.status = f"Reading {paths[0].name} …"
    try:
        found: list[Any] | Study = without_freezing(partial(_load_for_window, paths))
    except Exception as error:
        tell("error", sentence(error))
        return NOTHING
    finally:
        viewer.status = ""
    session_of(viewer)  # letters and scale bar
    if isinstance(found, Study):
        from voxtrace.plugin.npe2.chooser import choose

        choose(viewer, found)
        return NOTHING
    tell_notes(found)
    return found


def load(paths: Sequence[Path]) -> list[Any]:
    """Read files into layer data.

    Raises
    ------
    VoxTraceError
        What was given is no volume, is damaged, or its parts do not fit each other.
    """
    first, alone = paths[0], len(paths) == 1
    if _is_trace(first):
        return [display.trace_layer(Trace.load(first), first.name.removesuffix(".trace"))]
    if alone and is_seg(first):
        return [display.label_layer(read_seg(first))]
    if alone and suffix_of(first):
        return _load_file(first)
    return list(display.image_layers(io.read(first if alone else list(paths))))


def _load_file(path: Path) -> list[Any]:
    count = io.count_frames(path)
    if count > 1:
        return [frames_layer(read_frames(path, count))]
    if carries_names(path):
        return [display.label_layer(io.read_labels(path))]
    volume = io.read(path)
    if looks_like_labels(volume.data[0]):
        return [display.label_layer(io.read_labels(path))]
    return list(display.image_layers(volume))


def _load_for_window(paths: Sequence[Path]) -> list[Any] | Study:
    import pint

    layers: list[Any] | Study = _load_or_ask(paths)
    registry = pint.get_application_registry()  # type: ignore[no-untyped-call]
    registry.Unit("mm")  # fills the table of units, half a second that napari's first layer would wait for
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

    napari hands over several files one by one, and each file stands for its whole series.
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
        return _is_trace(path) or any(is_dicom(file) for file in islice(_files(path), _LOOKED_AT))
    return bool(suffix_of(path)) or (path.is_file() and is_dicom(path))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and then those of the folders in it, of the first few folders only."""
    folders = [folder]
    for looked_at in range(_LOOKED_AT):
        if looked_at == len(folders):
            return
        inside = list(islice(folders[looked_at].iterdir(), _MOST))
        folders += sorted(path for path in inside if path.is_dir())
        yield from islice((path for path in inside if path.is_file()), _EACH)


def _is_trace(path: Path) -> bool:
    return (path / "trace.json").is_file()


def _as_paths(path: Paths) -> list[Path]:
    return [Path(path)] if isinstance(path, (str, PathLike)) else [Path(p) for p in path]


def _open_window() -> Any:
    """Return the viewer whose window is open, or None."""
    from napari import current_viewer

    return current_viewer()
