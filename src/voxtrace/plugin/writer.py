"""Save a labels layer onto its scan's own grid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace import io
from voxtrace.errors import GeometryError, OutputError
from voxtrace.plugin.display import KEY, ImageSource, LabelSource, drawn_geometry, label_map_of
from voxtrace.volume import Geometry


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a labels layer and return the paths written; of a stepped prediction the last step, its answer.

    Labels that were drawn by hand go onto the grid of the open scan they were drawn on.

    Raises
    ------
    OutputError
        The labels' place in the patient is unknown, or nothing can be written there.
    """
    source = attributes.get("metadata", {}).get(KEY)
    if not isinstance(source, LabelSource):
        source = LabelSource(_drawn_on(np.shape(data), attributes))
    labels = label_map_of(data, source, str(attributes.get("name", "labels")))
    return [str(io.write(labels, Path(path)))]


def _drawn_on(shape: tuple[int, ...], attributes: Mapping[str, Any]) -> Geometry:
    try:
        drawn = drawn_geometry(shape, attributes)
    except GeometryError as error:
        raise OutputError(str(error)) from error
    from napari import current_viewer

    viewer = current_viewer()
    sources = [layer.metadata.get(KEY) for layer in viewer.layers] if viewer is not None else []
    scans = [source.volume.geometry for source in sources if isinstance(source, ImageSource)]
    return next((scan for scan in scans if _same_place(scan, drawn)), drawn)


def _same_place(scan: Geometry, drawn: Geometry) -> bool:
    """Tell whether labels were drawn on this scan: napari knows no tilt, so the centres and spacings are compared."""
    if scan.shape != drawn.shape or not np.allclose(scan.spacing_mm, drawn.spacing_mm, atol=1e-4):
        return False
    centre = (np.asarray(scan.shape) - 1) / 2
    return bool(np.allclose(scan.world_mm(centre), drawn.world_mm(centre), atol=1e-2))
