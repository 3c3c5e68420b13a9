"""What happens in the window with an opened path: a trace at its last step, a study's dialog, a bundle's panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxtrace.io.dicom import DicomGrid
from voxtrace.plugin.controllers.layers import add_layers, hide_previous_results
from voxtrace.plugin.layers import display
from voxtrace.plugin.npe2.notifications import notify
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.work.dicom_open import Study
from voxtrace.plugin.work.path_kinds import kind_of_path
from voxtrace.plugin.work.trace_open import OpenedTrace, scan_note


def show_trace(viewer: Any, opened: OpenedTrace) -> None:
    """Add a trace, below it its scan where it was found, and show the answer: the last step."""
    added = add_layers(viewer, opened.scan_layers)
    scan_id = added[0].unique_id if added else opened.scan_id
    if scan_id:
        hide_previous_results(viewer.layers, scan_id)
    layer = add_layers(viewer, opened.layers(scan_id))[-1]
    viewer.layers.selection.active = layer
    viewer.dims.set_current_step(viewer.dims.ndim - layer.ndim, layer.data.shape[0] - 1)
    if note := scan_note(opened):
        notify("info", note)


def show_study(viewer: Any, study: Study) -> None:
    """Ask which series of a study to open."""
    from voxtrace.plugin.npe2.chooser import choose

    choose(viewer, study)


def show_in_panel(viewer: Any, paths: Sequence[Path]) -> bool:
    """Put a bundle into the Segment panel or a dataset into the training panel; return whether the path was one."""
    kind = kind_of_path(paths[0]) if len(paths) == 1 else ""
    if kind == "bundle":
        viewer_state_of(viewer).open_dock("segment").controller.browse(paths[0])
        return True
    if kind == "dataset":
        viewer_state_of(viewer).open_dock("train").view.dataset.setText(str(paths[0]))
        return True
    return False


def already_open(viewer: Any, paths: Sequence[Path]) -> str:
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
