"""Checks of a written file before it takes its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxtrace.errors import ReadBackError
from voxtrace.volume import Array, Grid

TOLERANCE_MM = 0.01


def corners_mm(grid: Grid) -> Array:
    """Return the outer corners of a grid's box, (8, 3), (L, P, S) in mm."""
    ends = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in grid.size[::-1]], indexing="ij"), -1).reshape(-1, 3)
    affine = grid.affine
    corners: Array = (ends @ affine[:3, :3].T + affine[:3, 3])[:, ::-1]
    return corners


def check_corners(written: Array, expected: Array, path: Path, tolerance_mm: float = TOLERANCE_MM) -> None:
    """Refuse a file whose corners are not where they should be.

    Raises
    ------
    ReadBackError
        With the largest distance in mm.
    """
    error_mm = float(np.abs(written - expected).max()) if np.isfinite(written).all() else float("inf")
    if error_mm > tolerance_mm:
        raise ReadBackError(
            f"{path.name}: read back, its grid lies {error_mm:.3g} mm from where it should; nothing was kept. "
            "Choose another format, and report this as a fault in VoxTrace."
        )


def check_equal(what: str, written: object, expected: object, path: Path) -> None:
    """Refuse a file in which something else was found than what was written.

    Raises
    ------
    ReadBackError
        With both values.
    """
    if written != expected:
        raise ReadBackError(
            f"{path.name}: read back, it has {what} {written} where {expected} was written; nothing was kept. "
            "Report this as a fault in VoxTrace."
        )
