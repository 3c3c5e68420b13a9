"""SimpleITK: arrays (Z, Y, X) on a grid <-> images, and its warnings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from voxtrace.volume import Array, Grid

_WIDENED = {"b1": np.uint8, "f2": np.float32}  # number types that ITK and NIfTI do not have


def simpleitk() -> Any:
    """Return the module SimpleITK, imported on the first call; its functions carry no types."""
    import SimpleITK

    return SimpleITK


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ITK's warnings off standard error; what matters in them is checked here and raised as an error."""
    sitk = simpleitk()
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def grid_of(image: Any) -> Grid:
    """Return where the voxels of a three-dimensional SimpleITK image lie."""
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def image_of(array: Array, grid: Grid) -> Any:
    """Return a SimpleITK image of a stored array (Z, Y, X) on its grid."""
    image = simpleitk().GetImageFromArray(np.ascontiguousarray(widened(array)))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image


def widened(array: Array) -> Array:
    """Return the array in a number type that files have: booleans as uint8, float16 as float32."""
    return array.astype(_WIDENED.get(array.dtype.str[1:], array.dtype), copy=False)


def last_line(error: Exception) -> str:
    """Return the last line of what ITK says, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
