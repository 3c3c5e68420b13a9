"""Filters of convolutions as the compiled loops read them: transformed for Winograd, in columns of 16 outputs.

Along an axis four outputs come from products at six points, F(4, 3), where the stride is 1. Where it is 2, the tap in
the middle reads voxels that no other tap reads, one for each output; those at the sides read the rest, F(4, 2): nine
products in place of twelve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from voxtrace.kernels.winograd.simd_kernels import COLUMNS
from voxtrace.kernels.winograd.transforms import FAR, NEAR, POINT

Numbers = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Transform1D:
    """How an axis is computed.

    Attributes
    ----------
    filter_transform
        G of Lavin and Gray: taps to points, (points, taps).
    output_transform
        Aᵀ: points to outputs, (outputs, points).
    """

    filter_transform: Numbers
    output_transform: Numbers


def _values(points: Sequence[float], taps: Sequence[Sequence[float]]) -> Numbers:
    """Return ``taps`` (one row a point) over the product of distances to the other points."""
    distances = [np.prod([p - q for q in points if q != p]) for p in points]
    return np.array(taps) / np.array(distances)[:, None]


def _powers(points: Sequence[float]) -> Numbers:
    """Return p⁰ to p³ of each point, and 0, 0, 0, 1 for ∞, (4, points + 1)."""
    return np.column_stack([np.vander(points, 4, increasing=True).T, [0, 0, 0, 1]])


_SIX, _FOUR = (0, POINT, -POINT, 2 * POINT, -2 * POINT), (NEAR, -NEAR, FAR, -FAR)
IDENTITY = Transform1D(np.ones((1, 1)), np.ones((1, 1)))
STRIDE_1 = Transform1D(np.vstack([_values(_SIX, [[1, p, p * p] for p in _SIX]), [0, 0, 1]]), _powers(_SIX))
STRIDE_2 = Transform1D(
    np.vstack([[[0, 1, 0]] * 4, _values(_FOUR, [[1, 0, p] for p in _FOUR]), [0, 0, 1]]),
    np.hstack([np.eye(4), _powers(_FOUR)]),
)


def transform_for(taps: int, stride: int) -> Transform1D:
    """Return how an axis with 1 or 3 taps and stride 1 or 2 is computed."""
    return IDENTITY if taps == 1 else STRIDE_1 if stride == 1 else STRIDE_2


def transform_filters(weight: Tensor, transforms: Sequence[Transform1D]) -> Floats:
    """Return filters (Cout, Cin, Z, Y, X) transformed along each axis, (points, points, points, columns, Cin, 16).

    Filters are laid out before the transform, while they are small; one matrix product transforms each plane.
    """
    taps = in_columns(weight.detach().permute(2, 3, 4, 1, 0))
    flat = taps.reshape(-1, taps[0, 0, 0].size).astype(np.float64)
    z, y, x = (one.filter_transform for one in transforms)
    in_plane = np.kron(y, x)
    points = np.empty((len(z), len(y), len(x), *taps.shape[3:]), np.float32)
    for at_z, row_z in zip(points, z, strict=True):
        at_z[:] = (np.kron(row_z, in_plane) @ flat).reshape(at_z.shape)
    return points


def in_columns(weights: Tensor) -> Floats:
    """Return (…, Cin, Cout) as (…, Cout / 16 rounded up, Cin, 16), padded with zeros."""
    missing = -weights.shape[-1] % COLUMNS
    padded = nn.functional.pad(weights, (0, missing)).float()
    split = padded.reshape(*padded.shape[:-1], -1, COLUMNS)
    columns: Floats = split.transpose(-2, -3).contiguous().cpu().numpy()
    return columns


def bias_of(conv: nn.Conv3d | nn.ConvTranspose3d) -> Floats:
    """Return the bias of every column, with zeros where there is none."""
    bias = np.zeros(-(-conv.out_channels // COLUMNS) * COLUMNS, np.float32)
    if conv.bias is not None:
        bias[: conv.out_channels] = conv.bias.detach().float().cpu().numpy()
    return bias
