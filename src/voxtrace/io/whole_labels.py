"""Stored numbers -> labels: whole ones up to rounding, none below 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.volume import Array

_ROUNDING = 1e-3  # of a label: slope and intercept in a header, and 32-bit numbers
_LARGEST = 65535
_REMEDY = (
    "A mask gets such numbers when it is resampled with interpolation; resample the original by nearest neighbour."
)


def whole_labels(array: Array, path: Path) -> Array:
    """Return labels (Z, Y, X) as whole numbers; those that rounding has moved are put right.

    Raises
    ------
    ReadError
        When they have fractions, or lie below 0 or above 65535.
    """
    if not array.size or array.dtype.kind == "b":
        return array
    if array.dtype.kind == "f":
        rounded = np.rint(array)
        off = np.abs(array - rounded)
        if off.max() > _ROUNDING:
            value = float(array.ravel()[int(off.argmax())])
            raise ReadError(
                f"{path} is not a label map: labels of type {array.dtype} have fractions, such as {value:.5g}; "
                f"expected whole numbers. {_REMEDY}"
            )
        array = rounded
    low, high = array.min(), array.max()
    if low < 0 or high > _LARGEST:
        remedy = f" {_REMEDY}" if low < 0 else ""
        raise ReadError(
            f"{path} is not a label map: labels run from {low:g} to {high:g}; expected 0 to {_LARGEST}.{remedy}"
        )
    return array.astype(np.uint8 if high < 256 else np.uint16)
