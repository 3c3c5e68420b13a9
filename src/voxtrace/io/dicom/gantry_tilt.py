"""Gantry tilt: images of a tilted stack are shifted back in their own plane, onto an upright grid with every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtrace.io.dicom.rescale import PixelPlane
from voxtrace.io.dicom.stack import SliceStack
from voxtrace.volume import Array

_WHOLE = 1e-3  # pixels: a shift nearer than this to whole pixels needs no interpolation


@dataclass(frozen=True)
class UprightExtent:
    """The extent of a plane of the upright grid.

    Attributes
    ----------
    corner
        Position of its first pixel relative to that of the first image, in whole pixels (columns, rows).
    size
        Rows and columns.
    """

    corner: tuple[int, int]
    size: tuple[int, int]

    @staticmethod
    def around(stack: SliceStack) -> UprightExtent:
        """Return the smallest extent that holds every image of a stack; the images' own where it is upright."""
        rows, columns = stack.first.size
        if not stack.is_tilted:
            return UprightExtent((0, 0), (rows, columns))
        low = np.floor(stack.shifts.min(axis=0) + _WHOLE).astype(int)
        high = np.ceil(stack.shifts.max(axis=0) - _WHOLE).astype(int)
        size = (rows + int(high[1] - low[1]), columns + int(high[0] - low[0]))
        return UprightExtent((int(low[0]), int(low[1])), size)


def shift_plane(plane: PixelPlane, shift: Array, extent: UprightExtent) -> PixelPlane:
    """Return an image moved by (columns, rows) pixels into an extent; blank where the image does not reach.

    Interpolation is linear, so no value lies outside the range of its neighbours. Values become float32 where a shift
    is not a whole number of pixels.
    """
    across = _Line(extent.corner[0], extent.size[1], float(shift[0]), plane.values.shape[1])
    down = _Line(extent.corner[1], extent.size[0], float(shift[1]), plane.values.shape[0])
    blank = np.zeros(plane.values.shape, bool) if plane.blank is None else plane.blank
    outside = down.outside[:, np.newaxis] | across.outside[np.newaxis]
    values = across.interpolate(down.interpolate(plane.values, 0), 1)
    return PixelPlane(values, across.spread_blank(down.spread_blank(blank, 0), 1) | outside)


class _Line:
    """For each pixel of a line of the extent, the two pixels of a line of the image it is interpolated from."""

    def __init__(self, corner: int, length: int, shift: float, pixels: int) -> None:
        at = np.arange(length) + corner - shift
        self.outside: npt.NDArray[np.bool_] = (at < -0.5) | (at > pixels - 0.5)
        at = np.clip(at, 0, pixels - 1)
        near = np.round(at)
        at = np.where(np.abs(at - near) < _WHOLE, near, at)
        self.below = np.floor(at).astype(int)
        self.above = np.minimum(self.below + 1, pixels - 1)
        self.weight = (at - self.below).astype(np.float32)

    def interpolate(self, values: Array, axis: int) -> Array:
        below: Array = values.take(self.below, axis)
        if not self.weight.any():
            return below
        weight = np.expand_dims(self.weight, 1 - axis)
        mixed: Array = below * (1 - weight) + values.take(self.above, axis) * weight
        return mixed.astype(np.float32)

    def spread_blank(self, blank: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.bool_]:
        used = np.expand_dims(self.weight > 0, 1 - axis)
        return np.asarray(blank.take(self.below, axis) | (blank.take(self.above, axis) & used))
