"""Weights along one axis: how output voxels are mixed from input voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from voxtrace.volume import Array

Float32 = npt.NDArray[np.float32]
Interpolation = Literal["nearest", "linear", "cubic", "spline"]

_REACH = {"nearest": (0,), "linear": (0, 1), "cubic": (-1, 0, 1, 2)}
_NEGLIGIBLE = 1e-7  # weights of a cubic spline fall by a factor of 0.27 per voxel; smaller ones vanish in float32
_BEYOND = 12  # border voxels repeated outside; further away their influence is negligible
_BLOCK = 32  # outputs in one product: their inputs are close together, so few products are with 0
_FEW = 4  # taps up to which picking voxels is faster than a product of matrices


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """How each output voxel along one axis is mixed from input voxels.

    ``indices`` (n_out, taps) are input voxels, clamped at the borders; ``weights`` (n_out, taps) float32 sum to 1 in
    each row. ``n_in`` is the number of input voxels; ``identity`` is True when the input can be used unchanged.
    """

    indices: npt.NDArray[np.intp]
    weights: Float32
    n_in: int
    identity: bool = False

    def apply(self, array: Float32, axis: int) -> Float32:
        """Return the float32 array resampled along one axis; the array itself when nothing changes."""
        if self.identity:
            return array
        if self.weights.shape[1] > _FEW:
            return self._multiplied(array, axis)
        shape = [1] * array.ndim
        shape[axis] = -1
        result = array.take(self.indices[:, 0], axis) * self.weights[:, 0].reshape(shape)
        for tap in range(1, self.weights.shape[1]):
            result += array.take(self.indices[:, tap], axis) * self.weights[:, tap].reshape(shape)
        return result

    def _multiplied(self, array: Float32, axis: int) -> Float32:
        """Return the array resampled by products of matrices: some outputs at a time, from the inputs they need."""
        result = np.empty((*array.shape[:axis], len(self.weights), *array.shape[axis + 1 :]), np.float32)
        source, target = np.moveaxis(array, axis, -2), np.moveaxis(result, axis, -2)
        for lo in range(0, len(self.weights), _BLOCK):
            needed = self.indices[lo : lo + _BLOCK]
            first, end = needed.min(), needed.max() + 1
            target[..., lo : lo + _BLOCK, :] = self._matrix[first:end, lo : lo + _BLOCK].T @ source[..., first:end, :]
        return result

    @cached_property
    def _matrix(self) -> Float32:
        """The weights as a matrix, (n_in, n_out)."""
        matrix = np.zeros((self.n_in, len(self.weights)), np.float32)
        np.add.at(matrix, (self.indices, np.arange(len(self.weights))[:, None]), self.weights)
        return matrix


def axis_weights(n_in: int, n_out: int, kind: Interpolation) -> AxisWeights:
    """Return the weights that bring ``n_in`` voxels to ``n_out`` voxels over the same extent.

    Output voxel i lies at input coordinate ``(i + 0.5)·n_in/n_out − 0.5``. ``cubic`` is Keys' kernel with a = −0.5;
    ``spline`` is the cubic B-spline through the input voxels, with border voxels repeated outside.

    References
    ----------
    R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29 (1981), eq. 15.

    Examples
    --------
    >>> axis_weights(4, 2, "linear").weights.tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    if kind == "spline":
        return _spline(n_in, n_out)
    source = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    nearest_left = np.floor(source + 0.5) if kind == "nearest" else np.floor(source)
    reach = np.asarray(_REACH[kind])
    # clamping the index repeats border voxels
    taps = nearest_left[:, None] + reach
    weights = _KERNELS[kind](np.abs(source[:, None] - taps))
    indices = np.clip(taps, 0, n_in - 1).astype(np.intp)
    return AxisWeights(indices, weights.astype(np.float32), n_in, identity=n_in == n_out)


@lru_cache(maxsize=8)
def _spline(n_in: int, n_out: int) -> AxisWeights:
    """Return the spline's response to each single voxel; interpolation is linear, so these are its weights."""
    if n_in == n_out:
        return axis_weights(n_in, n_out, "nearest")
    source = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    responses = _sampled(_coefficients(n_in), source + _BEYOND)  # (n_out, n_in)
    counts = np.abs(responses) > _NEGLIGIBLE
    first = counts.argmax(1)
    taps = int((n_in - counts[:, ::-1].argmax(1) - first).max())
    first = np.minimum(first, n_in - taps)
    indices = first[:, None] + np.arange(taps)
    weights = np.take_along_axis(responses, indices, 1)
    return AxisWeights(indices, (weights / weights.sum(1, keepdims=True)).astype(np.float32), n_in)


def _coefficients(n: int) -> Array:
    """Return the coefficients (12 + n + 12, n) of the cubic B-spline through each single voxel of n, borders repeated.

    At a voxel the spline is ⅙ of the coefficients beside it and ⅔ of its own; beyond the ends they are mirrored.
    """
    many = n + 2 * _BEYOND
    at_voxels = np.eye(many) * 4 / 6 + (np.eye(many, k=1) + np.eye(many, k=-1)) / 6
    at_voxels[0, 1] = at_voxels[-1, -2] = 2 / 6
    repeated = np.eye(n)[np.clip(np.arange(many) - _BEYOND, 0, n - 1)]
    return np.linalg.solve(at_voxels, repeated)


def _sampled(coefficients: Array, places: Array) -> Array:
    """Return cubic B-splines with coefficients (n, m) at places (p,), from the second to the last but one, (p, m)."""
    left = np.floor(places).astype(np.intp)
    t = (places - left)[:, None]
    weights = ((1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * (1 - t) ** 2 + 3 * (1 - t) ** 3, t**3)
    sampled: Array = np.sum([w / 6 * coefficients[left + tap] for tap, w in enumerate(weights, start=-1)], axis=0)
    return sampled


def _box(distance: Array) -> Array:
    return np.ones_like(distance)


def _tent(distance: Array) -> Array:
    return np.maximum(1.0 - distance, 0.0)


def _keys(distance: Array) -> Array:
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1.0  # |s| < 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4.0 * distance + 2.0  # 1 ≤ |s| < 2
    return np.where(distance < 1.0, near, np.where(distance < 2.0, far, 0.0))


_KERNELS = {"nearest": _box, "linear": _tent, "cubic": _keys}
