"""Which part of a volume the network sees, and in which axis order.

nnU-Net feeds a network the array as the file has it, transposed as its plan says and cropped to what is not 0. A
:class:`CropAndOrder` turns the canonical array into that one, and label maps back. Below, rows run from right to left
in the file, and two planes are empty::

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
class CropAndOrder:
    """How the array that the network sees lies in the canonical one: axes reordered and flipped first, then cropped.

    Attributes
    ----------
    whole
        Voxels of the canonical array along (Z, Y, X).
    spacing_mm
        Distance between voxels along the axes of the reordered array.
    layout
        Order and direction of the axes.
    box
        What the network sees, voxels of the reordered array; None for all.
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
    def keeps_plane_order(self) -> bool:
        """Whether planes of the seen array are planes of the canonical one, in the same order."""
        return self.layout.axes[0] == 0 and not self.layout.flips[0]

    @property
    def planes_before(self) -> int:
        """Planes of the reordered array before the first that the network sees."""
        return int(self._box[0].start)

    def view(self, array: Array) -> Array:
        """Return a view (..., Z', Y', X') of a canonical array (..., Z, Y, X): what the network sees."""
        return self.layout.to_canonical(array)[(..., *self._box)]

    def paste(self, labels: Array) -> Array:
        """Return canonical labels (S, Z, Y, X) from those of the seen array (S, Z', Y', X'); 0 outside the box."""
        result = np.zeros((labels.shape[0], *self.whole), labels.dtype)
        self.view(result)[...] = labels
        return result

    def paste_plane(self, labels: Array) -> Array:
        """Return one canonical plane (S, Y, X) from one of the seen array (S, Y', X'); needs ``keeps_plane_order``."""
        flat = CropAndOrder((1, *self.whole[1:]), self.spacing_mm, self.layout, (slice(0, 1), *self._box[1:]))
        plane: Array = flat.paste(labels[:, None])[:, 0]
        return plane

    @property
    def _box(self) -> Box:
        z, y, x = (self.whole[axis] for axis in self.layout.axes)
        return self.box or (slice(0, z), slice(0, y), slice(0, x))


class LabelPaster:
    """Pastes label planes of the seen array, ascending, into canonical planes.

    Plane by plane where the order of planes is kept; otherwise after the last, with the whole label map in memory.
    """

    def __init__(self, crop_order: CropAndOrder) -> None:
        self._crop_order = crop_order
        self._taken = 0
        self._waiting: list[Array] = []

    def push(self, plane: Array) -> Iterator[Array]:
        """Take labels (S, Y', X') of the next seen plane; yield labels (S, Y, X) of canonical planes."""
        self._taken += 1
        if self._crop_order.identity:
            yield plane
        elif self._crop_order.keeps_plane_order:
            yield from self._streamed(self._crop_order.paste_plane(plane))
        else:
            self._waiting.append(plane)
            if self._taken == self._crop_order.shape[0]:
                pasted = self._crop_order.paste(np.stack(self._waiting, axis=1))
                yield from np.moveaxis(pasted, 1, 0)

    def _streamed(self, plane: Array) -> Iterator[Array]:
        """Yield the plane, after the empty ones below the box, and before those above it."""
        seen = self._crop_order
        below = seen.planes_before if self._taken == 1 else 0
        above = seen.whole[0] - seen.planes_before - self._taken if self._taken == seen.shape[0] else 0
        yield from (np.zeros_like(plane) for _ in range(below))
        yield plane
        yield from (np.zeros_like(plane) for _ in range(above))


def uncropped_order(geometry: Geometry, plan: Plan) -> CropAndOrder:
    """Return the axis order of an input under a plan, without a crop."""
    if plan.view is None:
        return CropAndOrder(geometry.shape, geometry.spacing_mm)
    stored = geometry.stored
    layout = stored.layout if stored else _AS_IT_IS
    spacing = geometry.spacing_mm if stored is None else [stored.spacing_mm[2 - axis] for axis in layout.axes]
    if plan.view.orientation == "ras":
        layout = _RAS
    z, y, x = (layout.axes.index(axis) for axis in plan.view.axes)  # the canonical axis of each seen one
    flips = (layout.flips[z], layout.flips[y], layout.flips[x])
    return CropAndOrder(geometry.shape, (spacing[z], spacing[y], spacing[x]), Layout((z, y, x), flips))


def find_crop_order(volume: Volume, plan: Plan) -> CropAndOrder:
    """Return which part of a volume the network sees; reads every voxel where the plan asks for a crop.

    A volume that is 0 everywhere is not cropped.
    """
    crop_order = uncropped_order(volume.geometry, plan)
    if plan.view is None or not plan.view.crop:
        return crop_order
    seen = crop_order.view(volume.data)
    return CropAndOrder(crop_order.whole, crop_order.spacing_mm, crop_order.layout, _nonzero_box(seen))


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
