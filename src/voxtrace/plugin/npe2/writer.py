"""File ▸ Save Selected Layers…: a labels layer onto its scan's own grid, or in a format that others ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxtrace.plugin.npe2.notifications import notify
from voxtrace.plugin.work.saving import save


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write the labels of a layer that are on screen, and return the paths written.

    Labels that were drawn by hand are written on the grid of the open scan they were drawn on. The suffix of the path
    selects the format.

    Raises
    ------
    OutputError
        The labels' position in the patient is unknown, or the path cannot be written.
    GeometryError
        The labels do not lie on the grid of their images.
    """
    from napari import current_viewer

    from voxtrace.plugin.controllers.edits import shown_in
    from voxtrace.plugin.controllers.layers import open_scans
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    viewer = current_viewer()
    if viewer is None:
        written = save(Path(path), data, attributes, ())
    else:
        shown = shown_in(viewer, data, viewer_state_of(viewer).edits)
        written = save(Path(path), data, attributes, open_scans(viewer.layers), shown=shown)
    for note in written.notes:
        notify("info", note)
    return [str(path) for path in written.paths]
