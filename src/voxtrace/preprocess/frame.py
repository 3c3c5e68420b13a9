"""Frame: which part of a volume the network sees, and which way round.

nnU-Net feeds a network the array as the file has it, transposed as its plan says and cut to what is not 0. A frame
turns the canonical array into that one, and label maps back. Below, rows run from right to left in the file, and two
planes are empty::

    canonical (Z, Y, X)        seen (Z, Y, X)
    . . . . . .
    . . . . . .                                        axes  (0, 1, 2)
    . a b c d .        →       d c b a                 flips (no, no, yes)
    . e f g h .                h g f e                 box   z 2 … 4, x 1 … 5, of the turned array
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxtrace.plan import Plan
from voxtrace.volume import Array, Geometry, Layout, Shape, Triple, Volume

Box = tuple[slice, slice, slice]
_AS_IT_IS = Layout((0, 1, 2), (False, False, False))
_RAS = Layout((0, 1, 2), (False, True, True))  # from axes that run towards S, P, L


@dataclass(frozen=True)
class Frame:
    """How the array that the network sees lies in the canonical one: turned first, then cut.

    Attributes
    ----------
    whole
        Voxels of the canonical array along (Z, Y, X).
    spacing_mm
        Distance between voxels along the axes of the turned array.
    layout
        How the canonical array turns.
    box
        What the network sees, voxels of the turned array; None for all.
    """

    whole: Shape
    spacing_mm: Triple
    layout: Layout = _AS_IT_IS
    box: Box | None = None

    @property
    def identity(self) -> bool:
        """Whether the network sees the canonical array itself."""
        return self.layout == _AS_IT_IS and self.box is None

    @property
    def shape(self) -> Shape:
        """Voxels that the network sees along (Z, Y, X), before resampling."""
        z, y, x = (part.stop - part.start for part in self._box)
        return z, y, x

    @property
    def streams(self) -> bool:
        """Whether planes of the seen array are planes of the canonical one, in the same order."""
        return self.layout.axes[0] == 0 and not self.layout.flips[0]

    @property
    def before(self) -> int:
        """Planes of the turned array before the first that the network sees."""
        return int(self._box[0].start)

    def view(self, array: Array) -> Array:
        """Return a view (..., Z', Y', X') of a canonical array (..., Z, Y, X): what the network sees."""
        return self.layout.to_canonical(array)[(..., *self._box)]

    def place(self, labels: Array) -> Array:
        """Return canonical labels (S, Z, Y, X) from those of the seen array (S, Z', Y', X'); 0 outside the box."""
        result = np.zeros((labels.shape[0], *self.whole), labels.dtype)
        self.view(result)[...] = labels
        return result

    def place_plane(self, labels: Array) -> Array:
        """Return one canonical plane (S, Y, X) from one of the seen array (S, Y', X'), where planes stream."""
        flat = Frame((1, *self.whole[1:]), self.spacing_mm, self.layout, (slice(0, 1), *self._box[1:]))
        plane: Array = flat.place(labels[:, None])[:, 0]
        return plane

    @property
    def _box(self) -> Box:
        z, y, x = (self.whole[axis] for axis in self.layout.axes)
        return self.box or (slice(0, z), slice(0, y), slice(0, x))


class Placer:
    """Takes label planes of the seen array, ascending, and gives canonical ones.

    Plane by plane where they are the same planes; otherwise after the last, with the whole label map in memory.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._taken = 0
        self._waiting: list[Array] = []

    def push(self, plane: Array) -> Iterator[Array]:
        """Take labels (S, Y', X') of the next seen plane; yield labels (S, Y, X) of canonical planes."""
        self._taken += 1
        if self._frame.identity:
            yield plane
        elif self._frame.streams:
            yield from self._streamed(self._frame.place_plane(plane))
        else:
            self._waiting.append(plane)
            if self._taken == self._frame.shape[0]:
                placed = self._frame.place(np.stack(self._waiting, axis=1))
                yield from np.moveaxis(placed, 1, 0)

    def _streamed(self, plane: Array) -> Iterator[Array]:
        """Yield the plane, after the empty ones below the box, and before those above it."""
        frame = self._frame
        below = frame.before if self._taken == 1 else 0
        above = frame.whole[0] - frame.before - self._taken if self._taken == frame.shape[0] else 0
        yield from (np.zeros_like(plane) for _ in range(below))
        yield plane
        yield from (np.zeros_like(plane) for _ in range(above))


def whole_frame(geometry: Geometry, plan: Plan) -> Frame:
    """Return the frame of an input under a plan before anything is cut off."""
    if plan.view is None:
        return Frame(geometry.shape, geometry.spacing_mm)
    stored = geometry.stored
    layout = stored.layout if stored else _AS_IT_IS
    spacing = geometry.spacing_mm if stored is None else [stored.spacing_mm[2 - axis] for axis in layout.axes]
    if plan.view.orientation == "ras":
        layout = _RAS
    z, y, x = (layout.axes.index(axis) for axis in plan.view.axes)  # the canonical axis of each seen one
    flips = (layout.flips[z], layout.flips[y], layout.flips[x])
    return Frame(geometry.shape, (spacing[z], spacing[y], spacing[x]), Layout((z, y, x), flips))


def frame_of(volume: Volume, plan: Plan) -> Frame:
    """Return which part of a volume the network sees; reads every voxel where the plan asks for a cut.

    A volume that is 0 everywhere is not cut.
    """
    frame = whole_frame(volume.geometry, plan)
    if plan.view is None or not plan.view.crop:
        return frame
    seen = frame.view(volume.data)
    return Frame(frame.whole, frame.spacing_mm, frame.layout, _nonzero_box(seen))


def _nonzero_box(data: Array) -> Box | None:
    """Return the smallest box that holds every voxel that is not 0 in any channel of (C, Z, Y, X)."""
    along_z = np.zeros(data.shape[1], bool)
    along_y, along_x = np.zeros(data.shape[2], bool), np.zeros(data.shape[3], bool)
    for z in range(data.shape[1]):
        filled = (data[:, z] != 0).any(0)
        rows = filled.any(1)
        along_z[z] = rows.any()
        along_y |= rows
        along_x |= filled.any(0)
    if not along_z.any():
        return None
    return _span(along_z), _span(along_y), _span(along_x)


def _span(filled: Array) -> slice:
    """Return the shortest slice that holds every true entry."""
    places = np.flatnonzero(filled)
    return slice(int(places[0]), int(places[-1]) + 1)
