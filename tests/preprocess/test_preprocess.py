"""Volume to network grid and label maps beside it."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from fakes import ball, plan
from voxtrace.errors import InputError
from voxtrace.plan import Normalisation, View
from voxtrace.preprocess import (
    Interpolation,
    PlaneStream,
    axis_weights,
    grid_of,
    intensities,
    network_grid,
    network_labels,
    network_volume,
)
from voxtrace.volume import Geometry, Grid, LabelMap, Shape, Triple, Volume


def volume_of(values: Any, spacing_mm: Triple = (1.0, 1.0, 1.0)) -> Volume:
    data = np.asarray(values)
    return Volume(data, Geometry.from_spacing(data.shape[1:], spacing_mm))


def normalised(values: Any, **rule: Any) -> Any:
    """The volume on its own grid under one normalisation rule."""
    volume = volume_of(values)
    return network_volume(volume, plan(normalisation=(Normalisation(**rule),)))


# --- weights along an axis ------------------------------------------------------------------------------------------


def test_halving_an_axis_averages_pairs() -> None:
    weights = axis_weights(4, 2, "linear")
    assert weights.apply(np.array([0, 2, 4, 8], np.float32), 0).tolist() == [1, 6]


def test_doubling_an_axis_keeps_the_borders_in_place() -> None:
    # centres of the new voxels in old coordinates: -0.25, 0.25, 0.75, 1.25; the outer two clamp
    weights = axis_weights(2, 4, "linear")
    assert weights.apply(np.array([0, 4], np.float32), 0).tolist() == [0, 1, 3, 4]


def test_nearest_repeats_voxels() -> None:
    assert axis_weights(3, 6, "nearest").indices[:, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_cubic_weights_half_way_are_those_of_keys() -> None:
    # Keys a = -0.5 at distances 1.5, 0.5, 0.5, 1.5
    weights = axis_weights(8, 4, "cubic")
    assert weights.weights[1].tolist() == [-0.0625, 0.5625, 0.5625, -0.0625]
    assert weights.indices[1].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", get_args(Interpolation))
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 5), (5, 1), (7, 7), (10, 33), (33, 10)])
def test_weights_sum_to_one(kind: Interpolation, n_in: int, n_out: int) -> None:
    assert np.allclose(axis_weights(n_in, n_out, kind).weights.sum(1), 1.0, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_a_ramp_stays_a_ramp_away_from_the_borders(kind: Interpolation) -> None:
    ramp = np.arange(40, dtype=np.float32)
    expected = (np.arange(25) + 0.5) * 40 / 25 - 0.5
    assert np.allclose(axis_weights(40, 25, kind).apply(ramp, 0)[2:-2], expected[2:-2], atol=1e-4)


# --- normalisation --------------------------------------------------------------------------------------------------


def test_zscore_has_mean_zero_and_deviation_one() -> None:
    values = np.random.default_rng(0).integers(-1000, 2000, (1, 5, 6, 7)).astype(np.int16)
    result = normalised(values, scheme="zscore")
    assert np.allclose([result.mean(), result.std()], [0, 1], atol=1e-6)


def test_zscore_survives_a_large_offset() -> None:
    values = np.random.default_rng(0).normal(1e6, 1.0, (1, 9, 30, 30))
    (rule,) = intensities(volume_of(values), plan(normalisation=(Normalisation(scheme="zscore"),)))
    assert rule.std == pytest.approx(values.std(), rel=1e-9)


def test_zscore_nonzero_leaves_zeros_alone() -> None:
    result = normalised([[[[0, 1, 3, 0]]]], scheme="zscore_nonzero")
    assert result.ravel().tolist() == [0, -1, 1, 0]


def test_ct_clips_then_scales() -> None:
    result = normalised([[[[-1000, 0, 50, 3000]]]], scheme="ct", lower=-100, upper=250, mean=50, std=50)
    assert result.ravel().tolist() == [-3, -1, 0, 4]


def test_a_constant_channel_becomes_zero() -> None:
    assert not normalised(np.full((1, 3, 3, 3), 7), scheme="zscore").any()


@pytest.mark.parametrize("scheme", ["zscore", "zscore_nonzero", "ct", "none"])
def test_voxels_that_are_not_numbers_are_refused(scheme: str) -> None:
    values = np.zeros((1, 3, 3, 3), np.float32)
    values[0, 1, 1, 1] = np.nan
    with pytest.raises(InputError, match="1 NaN or infinite voxels in plane 1"):
        normalised(values, scheme=scheme)


def test_a_wrong_number_of_channels_is_refused_with_the_names() -> None:
    names = ("flair", "t1ce", "t1", "t2")
    four = plan(channels=names, normalisation=(Normalisation(),) * 4)
    with pytest.raises(InputError, match=r"has 1 channel, the bundle expects 4 \(flair, t1ce, t1, t2\)"):
        network_volume(ball((4, 4, 4)), four)


# --- the grid -------------------------------------------------------------------------------------------------------


def test_the_network_grid_covers_the_same_box() -> None:
    grid = network_grid(Geometry.from_spacing((20, 50, 51), (5.0, 0.8, 0.8)), plan((4, 4, 4), (2.5, 1.6, 1.6)))
    assert grid.shape == (40, 25, 26)
    assert grid.padding == ((0, 0), (0, 0), (0, 0))


def test_a_thin_axis_keeps_one_voxel_and_is_padded_to_the_window() -> None:
    grid = network_grid(Geometry.from_spacing((1, 16, 16), (0.1, 1.0, 1.0)), plan((8, 16, 16)))
    assert grid.shape == (1, 16, 16)
    assert grid.padding == ((3, 4), (0, 0), (0, 0))
    assert grid.padded_shape == (8, 16, 16)


def test_padding_is_zero_after_normalisation() -> None:
    volume = volume_of(np.arange(8).reshape(1, 2, 2, 2))
    small = plan((4, 4, 4), normalisation=(Normalisation(scheme="zscore"),))
    padded = PlaneStream(network_grid(volume.geometry, small), volume, small).padded(0, 4)
    assert np.array_equal(padded[:, 1:3, 1:3, 1:3], network_volume(volume, small))
    assert np.count_nonzero(padded) == 8


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.6, 1.5, 1.2), (2.7, 1.0, 0.7)])
def test_planes_are_the_whole_volume_to_the_last_bit(interpolation: str, spacing_mm: Triple) -> None:
    values = np.random.default_rng(1).normal(size=(1, 17, 12, 11)).astype(np.float32)
    volume = volume_of(values)
    chosen = plan((1, 1, 1), spacing_mm, interpolation=interpolation, normalisation=(Normalisation(),))
    stream = PlaneStream(network_grid(volume.geometry, chosen), volume, chosen)
    whole = network_volume(volume, chosen)
    pieces = [stream.planes(z, min(z + 3, whole.shape[1])) for z in range(0, whole.shape[1], 3)]
    assert np.array_equal(np.concatenate(pieces, axis=1), whole)
    assert np.array_equal(stream.planes(0, 2), whole[:, :2])  # going back is allowed


def test_an_equal_grid_leaves_intensities_as_they_are() -> None:
    volume = ball((9, 10, 11))
    assert np.array_equal(network_volume(volume, plan((1, 1, 1), interpolation="cubic")), volume.data)


# --- labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8, 8), (5, 8, 8)])
def test_labels_on_an_equal_grid_are_unchanged(shape: Shape) -> None:
    data = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    labels = LabelMap(data, Geometry.from_spacing(shape, (1.0, 1.0, 1.0)))
    assert np.array_equal(network_labels(labels, plan(labels=3)), data)


def test_labels_go_to_the_majority() -> None:
    labels = LabelMap(np.array([[[0, 2, 2, 1, 1, 1, 0, 0]]], np.uint8), Geometry.from_spacing((1, 1, 8), (1, 1, 1)))
    # pairs (0 2) tie -> 0, (2 1) tie -> 1, (1 1) -> 1, (0 0) -> 0
    assert network_labels(labels, plan((1, 1, 1), (1.0, 1.0, 2.0), labels=3)).ravel().tolist() == [0, 1, 1, 0]


def test_a_ball_of_labels_keeps_its_volume() -> None:
    volume = ball((30, 40, 40), (2.0, 1.0, 1.0), radius_mm=15)
    labels = LabelMap(volume.data[0].astype(np.uint8), volume.geometry)
    coarse = network_labels(labels, plan((1, 1, 1), (1.5, 1.5, 1.5)))
    assert coarse.sum() * 1.5**3 == pytest.approx(labels.data.sum() * 2.0, rel=0.03)


def test_a_label_without_a_name_is_refused() -> None:
    labels = LabelMap(np.full((2, 2, 2), 9, np.uint8), Geometry.from_spacing((2, 2, 2), (1, 1, 1)))
    with pytest.raises(InputError, match=r"label values \[9\]"):
        network_labels(labels, plan())


# --- parts of a scan ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [None, View(), View(axes=(2, 0, 1), crop=True)])
@pytest.mark.parametrize("scheme", ["zscore", "zscore_nonzero", "zscore_inside", "range"])
def test_a_part_is_normalised_as_in_the_whole_scan(scheme: str, view: View | None) -> None:
    """The network sees the very values that it sees there, and not others because bright voxels lie elsewhere."""
    grid = Grid((7, 8, 9), (1.0, 1.0, 1.0), direction=(0.0, -1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    whole = Geometry.from_grid(grid)
    values = np.random.default_rng(0).normal(100, 20, (1, *whole.shape)).astype(np.float32)
    values[:, :2], values[:, 4:, 6:], values[:, 5, 3, 3] = 0.0, 900.0, 0.0
    scan = Volume(values, whole)
    part = scan.part((1, 2, 1), (7, 4, 5)).part((0, 0, 1), (6, 4, 4))
    rule = Normalisation(scheme=scheme)  # type: ignore[arg-type]
    chosen = plan((1, 1, 1), view=view, normalisation=(rule,))
    expected, found = network_volume(scan, chosen), network_volume(part, chosen)
    order, of_part = grid_of(scan, chosen).crop_order, grid_of(part, chosen).crop_order
    canonical = order.paste(expected)[0, 1:7, 2:6, 2:6]
    np.testing.assert_array_equal(found[0], of_part.view(canonical))
    alone = network_volume(Volume(part.data, part.geometry), chosen)
    assert not np.allclose(alone, found)
