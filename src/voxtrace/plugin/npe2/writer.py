"""File ▸ Save Selected Layers…: a labels layer onto its scan's own grid, or in a format that others ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxtrace.plugin.npe2.notifications import notify
from voxtrace.plugin.work.saving import save


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a labels layer and return the paths written; of a prediction with steps, the last step.

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

    from voxtrace.plugin.controllers.layers import open_scans

    viewer = current_viewer()
    written = save(Path(path), data, attributes, open_scans(viewer.layers) if viewer is not None else ())
    for note in written.notes:
        notify("info", note)
    return [str(path) for path in written.paths]
