"""The network grid beside the input grid, and a volume's planes on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voxtrace.plan import Plan
from voxtrace.preprocess.axis import Float32, Interpolation
from voxtrace.preprocess.body import body_frame
from voxtrace.preprocess.frame import Frame, frame_of, whole_frame
from voxtrace.preprocess.stream import PlaneStream
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
    frame
        How the input, as the network sees it, lies in the canonical volume.
    there, back
        How intensities reach the network grid along (Z, Y, X), and how scores return.
    """

    input_shape: Shape
    shape: Shape
    padding: Padding
    frame: Frame
    there: Kinds
    back: Kinds

    @property
    def padded_shape(self) -> Shape:
        """Voxels along (Z, Y, X) that windows are laid over."""
        z, y, x = (n + before + after for n, (before, after) in zip(self.shape, self.padding, strict=True))
        return z, y, x

    @property
    def identity(self) -> bool:
        """Whether the network sees the input's own grid."""
        return self.shape == self.input_shape

    def stream(self, volume: Volume, plan: Plan) -> PlaneStream:
        """Return planes of the volume on this grid, lazily."""
        return PlaneStream(self, volume, plan)

    def planes(self, volume: Volume, plan: Plan, lo: int, hi: int) -> Float32:
        """Return network planes lo ≤ z < hi, (C, hi − lo, Y', X') float32, without padding."""
        return self.stream(volume, plan).planes(lo, hi)


def grid_of(volume: Volume, plan: Plan, region: Literal["all", "body"] = "all") -> NetworkGrid:
    """Return the network grid of a volume; where the plan cuts volumes to what is not 0, every voxel is read.

    With the region ``"body"`` air around the body is left out of a CT, see :func:`voxtrace.preprocess.body_frame`.
    """
    frame = frame_of(volume, plan)
    return _grid(frame if region == "all" else body_frame(volume, plan, frame), plan)


def network_grid(geometry: Geometry, plan: Plan) -> NetworkGrid:
    """Return the network grid of an input: the same box at ``plan.spacing_mm``, at least one voxel along each axis.

    Nothing is cut off the input; :func:`grid_of` does that where the plan says so.
    """
    return _grid(whole_frame(geometry, plan), plan)


def _grid(frame: Frame, plan: Plan) -> NetworkGrid:
    have, want = frame.spacing_mm, _network_spacing_mm(frame, plan)
    z, y, x = (max(1, round(a / b * n)) for n, a, b in zip(frame.shape, have, want, strict=True))
    missing = [max(0, window - n) for n, window in zip((z, y, x), plan.window, strict=True)]
    before_z, before_y, before_x = (m // 2 for m in missing)
    padding = (
        (before_z, missing[0] - before_z),
        (before_y, missing[1] - before_y),
        (before_x, missing[2] - before_x),
    )
    there = _kinds(plan.interpolation, _coarse_axis(have, want, plan))
    back = _kinds("linear", _coarse_axis(want, have, plan))
    return NetworkGrid(frame.shape, (z, y, x), padding, frame, there, back)


def _network_spacing_mm(frame: Frame, plan: Plan) -> Triple:
    """Return the spacing of the network grid: the plan's, or the input's own along axes that are not resampled."""
    if plan.view is None:
        return plan.spacing_mm
    resampled = plan.view.resampled
    z, y, x = (plan.spacing_mm[a] if a in resampled else frame.spacing_mm[a] for a in range(3))
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


def network_volume(volume: Volume, plan: Plan) -> Float32:
    """Return the whole volume normalised and on the network grid, (C, Z', Y', X') float32, without padding."""
    grid = grid_of(volume, plan)
    return grid.planes(volume, plan, 0, grid.shape[0])
