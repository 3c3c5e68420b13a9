"""File ▸ Save Selected Layers…: a labels layer onto its scan's own grid, or in a format that others ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxtrace.plugin.npe2.notifications import tell
from voxtrace.plugin.work.saving import save


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a labels layer and return the paths written; of a stepped prediction the last step, its answer.

    Labels that were drawn by hand go onto the grid of the open scan they were drawn on; the format follows from the end
    of the name.

    Raises
    ------
    OutputError
        The labels' place in the patient is unknown, or nothing can be written there.
    GeometryError
        The labels do not lie on the grid of their images.
    """
    from napari import current_viewer

    from voxtrace.plugin.controllers.layers import open_scans

    viewer = current_viewer()
    written = save(Path(path), data, attributes, open_scans(viewer.layers) if viewer is not None else ())
    for note in written.notes:
        tell("info", note)
    return [str(path) for path in written.paths]
