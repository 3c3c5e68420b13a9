"""Open scans, label maps, DICOM folders and traces in napari; bundles and datasets go to their panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from voxtrace.io.child import guarded
from voxtrace.io.suffixes import is_archive, is_voxels_beside, is_zarr, suffix_of
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.contrast import looks_like_labels
from voxtrace.plugin.layers.timepoints import read_timepoints, timepoints_layer
from voxtrace.plugin.npe2.notifications import notify, notify_notes
from voxtrace.plugin.work.dicom_open import Study, series_layers, study_at
from voxtrace.plugin.work.events import error_message
from voxtrace.plugin.work.path_kinds import is_trace, kind_of_path
from voxtrace.plugin.work.saving import OpenScan
from voxtrace.plugin.work.trace_open import OpenedTrace, open_trace

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]
HANDLED: list[Any] = [(None,)]  # tells napari that the path was handled and adds no layer


def get_reader(path: Paths) -> Callable[[Paths], list[Any]] | None:
    """Return the function that opens a path or several, or None where VoxTrace cannot; never raises."""
    try:
        paths = _as_paths(path)
        return read_layers if paths and all(kind_of_path(p) for p in paths) else None
    except (OSError, TypeError, ValueError):
        return None


def read_layers(path: Paths) -> list[Any]:
    """Return layer data for one scan: a layer for each channel, or one labels layer.

    With a window open, files are read in a thread while the window keeps painting, an error is shown as one sentence,
    a dialog asks which series of a DICOM folder to open, a trace opens at its last step with its scan below it, and
    bundles and datasets go to their panels. Without a window, errors are raised.
    """
    paths = _as_paths(path)
    viewer = _open_window()
    return load(paths) if viewer is None else read_into(viewer, paths)


def read_into(viewer: Any, paths: Sequence[Path]) -> list[Any]:
    """Return the layers to add to a viewer; what was added already or belongs elsewhere is ``HANDLED``."""
    from voxtrace.plugin.npe2.show_opened import already_open, show_in_panel, show_study, show_trace
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of
    from voxtrace.plugin.work.threads import without_freezing

    if show_in_panel(viewer, paths):
        return HANDLED
    if known := already_open(viewer, paths):
        notify("info", f"{paths[0].name} is already open: it is part of {known}.")
        return HANDLED
    viewer.status = f"Reading {paths[0].name} …"
    try:
        found: list[Any] | Study | OpenedTrace = without_freezing(partial(_load_for_window, paths, _scans(viewer)))
    except Exception as error:
        notify("error", error_message(error))
        return HANDLED
    finally:
        viewer.status = ""
    viewer_state_of(viewer)  # adds orientation letters and the scale bar
    if isinstance(found, Study):
        show_study(viewer, found)
        return HANDLED
    if isinstance(found, OpenedTrace):
        show_trace(viewer, found)
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
    if is_trace(first):
        return open_trace(first).layers()
    if alone and guarded.is_seg(first):
        return [display.label_layer(guarded.read_seg(first))]
    if alone and (suffix_of(first) or is_archive(first) or is_zarr(first) or is_voxels_beside(first)):
        return _load_file(first)
    return list(display.image_layers(guarded.read(first if alone else list(paths))))


def _load_file(path: Path) -> list[Any]:
    count = guarded.count_timepoints(path)
    if count > 1:
        return [timepoints_layer(read_timepoints(path, count))]
    if _names_labels(path):
        return [display.label_layer(guarded.read_labels(path))]
    volume = guarded.read(path)
    if looks_like_labels(volume.data[0]):
        return [display.label_layer(guarded.read_labels(path))]
    return list(display.image_layers(volume))


def _load_for_window(paths: Sequence[Path], scans: Sequence[OpenScan]) -> list[Any] | Study | OpenedTrace:
    import pint

    layers = _load_or_ask(paths, scans)
    registry = pint.get_application_registry()  # type: ignore[no-untyped-call]
    registry.Unit("mm")  # builds the table of units here; it takes 0.5 s that napari's first layer would wait for
    return layers


def _load_or_ask(paths: Sequence[Path], scans: Sequence[OpenScan]) -> list[Any] | Study | OpenedTrace:
    if is_trace(paths[0]):
        return open_trace(paths[0], scans)
    if len(paths) == 1 and guarded.is_seg(paths[0]):
        return load(paths)
    study = study_at(paths)
    if study is None:
        return load(paths)
    return study if study.only is None else list(series_layers(study.only))


def _scans(viewer: Any) -> Sequence[OpenScan]:
    from voxtrace.plugin.controllers.layers import open_scans

    return open_scans(viewer.layers)


def _names_labels(path: Path) -> bool:
    """Tell whether a file's header names labels, so that it is a label map; its voxels are not read."""
    return path.name.lower().endswith(".seg.nrrd") or bool(guarded.label_names(path))


def _as_paths(path: Paths) -> list[Path]:
    return [Path(path)] if isinstance(path, (str, PathLike)) else [Path(p) for p in path]


def _open_window() -> Any:
    """Return the viewer whose window is open, or None."""
    from napari import current_viewer

    return current_viewer()
