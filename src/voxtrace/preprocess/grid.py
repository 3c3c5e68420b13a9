"""The network grid beside the input grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voxtrace.plan import Plan
from voxtrace.preprocess.axis import Interpolation
from voxtrace.preprocess.body import Spans, crop_to_body, crop_to_spans
from voxtrace.preprocess.crop_order import Box, CropAndOrder, find_crop_order, uncropped_order
from voxtrace.volume import Geometry, Shape, Triple, Volume

Padding = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Kinds = tuple[Interpolation, Interpolation, Interpolation]


@dataclass(frozen=True)
class NetworkGrid:
    """The grid that the network sees, beside the grid of the input. Both cover the same box.

    Attributes
    ----------
    input_shape, shape
        Voxels along (Z, Y, X) of the input, as far as the network sees it, and of the network grid.
    padding
        Voxels (before, after) to add along each axis so that one window fits; the odd one goes after.
    crop_order
        How the input, as the network sees it, lies in the canonical volume.
    to_network, to_input
        Interpolation along (Z, Y, X) of intensities onto the network grid, and of scores back onto the input grid.
    """

    input_shape: Shape
    shape: Shape
    padding: Padding
    crop_order: CropAndOrder
    to_network: Kinds
    to_input: Kinds

    @property
    def padded_shape(self) -> Shape:
        """Voxels along (Z, Y, X) that windows are laid over."""
        z, y, x = (n + before + after for n, (before, after) in zip(self.shape, self.padding, strict=True))
        return z, y, x

    @property
    def identity(self) -> bool:
        """Whether the network sees the input's own grid."""
        return self.shape == self.input_shape


def grid_of(volume: Volume, plan: Plan, region: Literal["all", "body"] = "all") -> NetworkGrid:
    """Return the network grid of a volume; where the plan crops volumes to what is not 0, every voxel is read.

    With the region ``"body"`` air around the body is left out of a CT, see :func:`voxtrace.preprocess.crop_to_body`.
    """
    crop_order = find_crop_order(volume, plan)
    return _grid(crop_order if region == "all" else crop_to_body(volume, plan, crop_order), plan)


def body_box(spans: Spans | None, plan: Plan, crop_order: CropAndOrder) -> Box | None:
    """Return the body's part of the network grid of a whole plane, as large as the body's own grid; None for all of it.

    The two grids divide their boxes into voxels each by itself, so the place is right to a voxel.
    """
    body = crop_to_spans(spans, plan, crop_order)
    if body.box is None:
        return None
    shapes = zip(_grid(body, plan).shape, _grid(crop_order, plan).shape, strict=True)
    z, y, x = (_part(of, n, *sizes) for of, n, sizes in zip(body.box, crop_order.shape, shapes, strict=True))
    return z, y, x


def network_grid(geometry: Geometry, plan: Plan) -> NetworkGrid:
    """Return the network grid of an input: the same box at ``plan.spacing_mm``, at least one voxel along each axis.

    The input is not cropped; :func:`grid_of` does that where the plan says so.
    """
    return _grid(uncropped_order(geometry, plan), plan)


def _grid(crop_order: CropAndOrder, plan: Plan) -> NetworkGrid:
    have, want = crop_order.spacing_mm, _network_spacing_mm(crop_order, plan)
    z, y, x = (max(1, round(a / b * n)) for n, a, b in zip(crop_order.shape, have, want, strict=True))
    # a volume smaller than a window is padded to one window
    missing = [max(0, window - n) for n, window in zip((z, y, x), plan.window, strict=True)]
    before_z, before_y, before_x = (m // 2 for m in missing)
    padding = (
        (before_z, missing[0] - before_z),
        (before_y, missing[1] - before_y),
        (before_x, missing[2] - before_x),
    )
    to_network = _kinds(plan.interpolation, _coarse_axis(have, want, plan))
    to_input = _kinds("linear", _coarse_axis(want, have, plan))
    return NetworkGrid(crop_order.shape, (z, y, x), padding, crop_order, to_network, to_input)


def _part(of: slice, n: int, size: int, whole: int) -> slice:
    """Return ``size`` of ``whole`` network voxels that lie where a slice of ``n`` input voxels does."""
    last = max(0, whole - size)
    start = last if of.stop == n else min(last, round(of.start * whole / n))
    return slice(start, min(whole, start + size))


def _network_spacing_mm(crop_order: CropAndOrder, plan: Plan) -> Triple:
    """Return the spacing of the network grid: the plan's, or the input's own along axes that are not resampled."""
    if plan.view is None:
        return plan.spacing_mm
    resampled = plan.view.resampled
    z, y, x = (plan.spacing_mm[a] if a in resampled else crop_order.spacing_mm[a] for a in range(3))
    return z, y, x


def _coarse_axis(first_mm: Triple, then_mm: Triple, plan: Plan) -> int | None:
    """Return the axis along which values are repeated: the coarsest of the first anisotropic grid, if it is one."""
    limit = plan.view.coarse if plan.view else None
    for spacing in (first_mm, then_mm) if limit else ():
        if max(spacing) / min(spacing) > (limit or 0.0):
            coarsest = [axis for axis in range(3) if spacing[axis] == max(spacing)]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


def _kinds(kind: Interpolation, coarse: int | None) -> Kinds:
    z, y, x = ("nearest" if axis == coarse else kind for axis in range(3))
    return z, y, x
