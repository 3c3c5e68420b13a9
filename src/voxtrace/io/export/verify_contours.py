"""Verification of an RTSTRUCT file: read back, contours of sample planes filled and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.io.export.fill import toggle
from voxtrace.io.export.sources import SourceImages
from voxtrace.io.export.verification import check_equal
from voxtrace.volume import Array

if TYPE_CHECKING:
    from pydicom import Dataset


def verify_contours(file: Path, array: Array, values: tuple[int, ...], sources: SourceImages, path: Path) -> None:
    """Refuse a file whose contours, filled, are not the labels of the plane that holds the most of each.

    Raises
    ------
    ReadBackError
        With what differs.
    """
    import pydicom

    written = pydicom.dcmread(file)
    check_equal("regions", len(written.ROIContourSequence), len(values), path)
    counts = {value: np.zeros(len(array), np.int64) for value in values}
    for plane, labels in enumerate(array):
        for value, count in enumerate(np.bincount(labels.ravel(), minlength=max(values) + 1)):
            if count and value:
                counts[value][plane] = count
    for region, value in zip(written.ROIContourSequence, values, strict=True):
        plane = int(np.argmax(counts[value]))
        filled = _filled(region, sources, plane)
        wrong = int(np.count_nonzero(filled != (array[plane] == value)))
        check_equal(f"voxels that differ in plane {plane + 1} of label {value}, number", wrong, 0, path)


def _filled(region: Dataset, sources: SourceImages, plane: int) -> Array:
    """Return the voxels (Y, X) of a plane whose centre lies within the contours in it."""
    position = sources.planes[plane]
    axes = np.stack(
        [
            np.asarray(position.orientation[:3]) * position.spacing_mm[1],
            np.asarray(position.orientation[3:]) * position.spacing_mm[0],
            position.normal,
        ]
    )
    to_voxels = np.linalg.inv(axes)
    mask = np.zeros(position.size, bool)
    for contour in region.ContourSequence:
        points = (np.reshape(np.asarray(contour.ContourData, dtype=float), (-1, 3)) - position.position_mm) @ to_voxels
        if abs(float(points[0, 2])) < 1e-3:  # mm along the normal
            toggle(mask, points[:, :2])
    return mask
