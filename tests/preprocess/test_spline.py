"""Resampling as nnU-Net does it: splines cut to the input's range, and values repeated along a coarse axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from fakes import plan
from tolerance import distance, rounding
from voxtrace.plan import Normalisation, View
from voxtrace.preprocess import PlaneStream, axis_weights, grid_of, network_volume
from voxtrace.volume import Geometry, Shape, Triple, Volume

pytestmark = pytest.mark.numeric


RNG = np.random.default_rng(3)


def noise(shape: Shape, spacing_mm: Triple) -> Volume:
    data = RNG.normal(size=(2, *shape)).astype(np.float32)
    data[:, shape[0] // 2 :] += 20  # an edge, where a spline overshoots
    return Volume(data, Geometry.from_spacing(shape, spacing_mm))


def resampled(volume: Volume, spacing_mm: Triple, **view: Any) -> Any:
    chosen = plan(
        (1, 1, 1),
        spacing_mm,
        interpolation="spline",
        view=View(**{"crop": False, **view}),
        normalisation=(Normalisation(scheme="none"),) * 2,
        channels=("a", "b"),
    )
    return network_volume(volume, chosen)


def zoomed(values: Any, shape: tuple[int, ...]) -> Any:
    """A cubic spline through all axes at once, cut to the range of its input, by scipy."""
    factors = np.divide(shape, values.shape)
    result = ndimage.zoom(values.astype(np.float64), factors, order=3, mode="nearest", grid_mode=True)
    return np.clip(result, values.min(), values.max())


def assert_near(found: Any, exact: Any, splines: Sequence[tuple[int, int]]) -> None:
    """Check float32 values that were resampled along one axis after another, (n_in, n_out), against float64."""
    taps = sum(axis_weights(n_in, n_out, "spline").weights.shape[1] for n_in, n_out in splines)
    allowed = rounding(torch.float32, products=taps, roundings=2 * len(splines))  # of weights and of values
    assert distance(torch.from_numpy(np.array(found)), torch.from_numpy(np.array(exact))) <= allowed


@pytest.mark.parametrize(("n_in", "n_out"), [(2, 7), (3, 40), (17, 11), (40, 41), (64, 20), (1, 4), (9, 1)])
def test_spline_weights_are_those_of_scipy(n_in: int, n_out: int) -> None:
    values = RNG.normal(size=(n_in, 3)).astype(np.float32)
    expected = ndimage.zoom(values.astype(np.float64), (n_out / n_in, 1), order=3, mode="nearest", grid_mode=True)
    assert_near(axis_weights(n_in, n_out, "spline").apply(values, 0), expected, [(n_in, n_out)])


def test_a_spline_has_few_weights_however_long_the_axis() -> None:
    assert axis_weights(400, 300, "spline").weights.shape[1] <= 30


@pytest.mark.parametrize("spacing_mm", [(0.8, 1.3, 1.1), (2.2, 0.9, 1.0), (1.0, 1.4, 1.0)])
def test_three_axes_are_one_spline_within_the_range_of_the_input(spacing_mm: Triple) -> None:
    volume = noise((22, 18, 25), (1.0, 1.0, 1.0))
    result = resampled(volume, spacing_mm)
    for channel, values in zip(result, volume.data, strict=True):
        assert_near(channel, zoomed(values, channel.shape), list(zip(values.shape, channel.shape, strict=True)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_along_a_coarse_axis_values_are_repeated_and_each_slice_is_cut_to_its_own_range(axis: int) -> None:
    have = [1.0, 1.0, 1.0]
    have[axis] = 5.0
    want = [1.3, 0.8, 1.2]
    want[axis] = 2.5
    volume = noise((14, 16, 18), (have[0], have[1], have[2]))
    result = resampled(volume, (want[0], want[1], want[2]), coarse=3.0)
    for channel, values in zip(result, volume.data, strict=True):
        across = tuple(n for other, n in enumerate(channel.shape) if other != axis)
        slices = [zoomed(piece, across) for piece in np.moveaxis(values, axis, 0)]
        nearest = np.floor((np.arange(channel.shape[axis]) + 0.5) / 2).astype(int)  # twice as many slices
        sizes = list(zip(values.shape, channel.shape, strict=True))
        del sizes[axis]
        assert_near(channel, np.stack([slices[i] for i in nearest], axis), sizes)


@pytest.mark.parametrize(
    ("have", "want", "there", "back"),
    [
        ((3.0, 1.0, 1.0), (1.0, 1.0, 1.0), "sss", "lll"),  # 3 is not more than 3
        ((3.1, 1.0, 1.0), (1.0, 1.0, 1.0), "nss", "nll"),
        ((1.0, 1.0, 1.0), (1.0, 4.0, 1.0), "sns", "lnl"),
        ((4.0, 1.0, 4.0), (1.0, 1.0, 1.0), "sss", "lll"),  # two coarsest axes are none
        ((4.0, 1.0, 1.0), (1.0, 1.0, 4.0), "nss", "lln"),  # the grid that values come from is asked first
    ],
)
def test_the_coarse_axis_is_the_coarsest_of_the_first_anisotropic_grid(
    have: Triple, want: Triple, there: str, back: str
) -> None:
    volume = Volume(np.ones((1, 8, 8, 8)), Geometry.from_spacing((8, 8, 8), have))
    grid = grid_of(volume, plan((1, 1, 1), want, interpolation="spline", view=View(coarse=3.0)))
    assert ("".join(kind[0] for kind in grid.to_network), "".join(kind[0] for kind in grid.to_input)) == (there, back)


def test_an_axis_that_is_not_resampled_keeps_the_distance_of_its_slices() -> None:
    volume = noise((9, 16, 18), (4.0, 1.0, 1.0))
    result = resampled(volume, (1.0, 2.0, 2.0), resampled=(1, 2), coarse=3.0)
    assert result.shape == (2, 9, 8, 9)
    assert_near(result[0, 4], zoomed(volume.data[0, 4], (8, 9)), [(16, 8), (18, 9)])


def test_planes_made_a_few_at_a_time_are_those_of_the_whole() -> None:
    volume = noise((20, 12, 13), (1.0, 1.0, 1.0))
    chosen = plan((1, 1, 1), (1.6, 1.3, 0.9), interpolation="spline", channels=("a", "b"))
    chosen = chosen.model_copy(update={"normalisation": (Normalisation(),) * 2, "view": View()})
    stream, whole = PlaneStream(grid_of(volume, chosen), volume, chosen), network_volume(volume, chosen)
    pieces = [stream.planes(z, min(z + 3, whole.shape[1])) for z in range(0, whole.shape[1], 3)]
    assert np.array_equal(np.concatenate(pieces, axis=1), whole)


# --- normalisation --------------------------------------------------------------------------------------------------


def normalised(values: Any, scheme: str) -> Any:
    data = np.asarray(values, np.float32)
    volume = Volume(data, Geometry.from_spacing(data.shape[1:], (1.0, 1.0, 1.0)))
    rules = (Normalisation(scheme=scheme),) * len(data)  # type: ignore[arg-type]
    names = tuple(f"channel {c}" for c in range(len(data)))
    return network_volume(volume, plan((1, 1, 1), normalisation=rules, channels=names))


def test_inside_is_what_any_channel_has_with_holes_filled() -> None:
    ring = np.zeros((2, 3, 5, 5))
    ring[0, :, 1:4, 1:4] = 4
    ring[0, 1, 2, 2] = 0  # a hole: inside
    ring[1, 1, 1, 1] = 8  # the other channel counts wherever the first one has something
    inside = np.zeros((3, 5, 5), bool)
    inside[:, 1:4, 1:4] = True
    first, second = normalised(ring, "zscore_inside")
    for result, values in ((first, ring[0]), (second, ring[1])):
        chosen = values[inside]
        assert np.allclose(result[inside], (chosen - chosen.mean()) / chosen.std(), atol=1e-5)
        assert not result[~inside].any()


def test_range_brings_the_least_value_to_zero_and_the_greatest_to_one() -> None:
    assert normalised([[[[-2, 0, 6]]]], "range").ravel().tolist() == [0, 0.25, 1]
