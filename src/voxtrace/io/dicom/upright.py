"""Images of a tilted stack are shifted back in their own plane, onto an upright grid that holds every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtrace.io.dicom.stack import Stack
from voxtrace.io.dicom.values import Plane
from voxtrace.volume import Array

_WHOLE = 1e-3  # pixels: a shift nearer than this to whole pixels needs no interpolation


@dataclass(frozen=True)
class Frame:
    """The plane of an upright grid.

    Attributes
    ----------
    corner
        Where its first pixel lies against that of the first image, in whole pixels (columns, rows).
    size
        Rows and columns.
    """

    corner: tuple[int, int]
    size: tuple[int, int]

    @staticmethod
    def around(stack: Stack) -> Frame:
        """Return the smallest frame that holds every image of a stack; the images' own where it is upright."""
        rows, columns = stack.first.size
        if not stack.is_tilted:
            return Frame((0, 0), (rows, columns))
        low = np.floor(stack.shifts.min(axis=0) + _WHOLE).astype(int)
        high = np.ceil(stack.shifts.max(axis=0) - _WHOLE).astype(int)
        return Frame((int(low[0]), int(low[1])), (rows + int(high[1] - low[1]), columns + int(high[0] - low[0])))


def shifted(plane: Plane, shift: Array, frame: Frame) -> Plane:
    """Return an image moved by (columns, rows) pixels into a frame; blank where the image does not reach.

    Linear interpolation: no value lies outside of its neighbours'. Values become float32 where a shift is not whole.
    """
    across = _Line(frame.corner[0], frame.size[1], float(shift[0]), plane.values.shape[1])
    down = _Line(frame.corner[1], frame.size[0], float(shift[1]), plane.values.shape[0])
    blank = np.zeros(plane.values.shape, bool) if plane.blank is None else plane.blank
    outside = down.outside[:, np.newaxis] | across.outside[np.newaxis]
    values = across.drawn(down.drawn(plane.values, 0), 1)
    return Plane(values, across.touched(down.touched(blank, 0), 1) | outside)


class _Line:
    """Where the pixels of a line of the frame fall in a line of the image."""

    def __init__(self, corner: int, length: int, shift: float, pixels: int) -> None:
        at = np.arange(length) + corner - shift
        self.outside: npt.NDArray[np.bool_] = (at < -0.5) | (at > pixels - 0.5)
        at = np.clip(at, 0, pixels - 1)
        near = np.round(at)
        at = np.where(np.abs(at - near) < _WHOLE, near, at)
        self.below = np.floor(at).astype(int)
        self.above = np.minimum(self.below + 1, pixels - 1)
        self.weight = (at - self.below).astype(np.float32)

    def drawn(self, values: Array, axis: int) -> Array:
        below: Array = values.take(self.below, axis)
        if not self.weight.any():
            return below
        weight = np.expand_dims(self.weight, 1 - axis)
        drawn: Array = below * (1 - weight) + values.take(self.above, axis) * weight
        return drawn.astype(np.float32)

    def touched(self, blank: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.bool_]:
        used = np.expand_dims(self.weight > 0, 1 - axis)
        return np.asarray(blank.take(self.below, axis) | (blank.take(self.above, axis) & used))
