"""Scores of masks drawn by hand, and agreement with MONAI on random masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from voxtrace import metrics
from voxtrace.errors import GeometryError
from voxtrace.metrics import dice, evaluate_case, hd95_mm, mean_interval, nsd, surface, surface_distances_mm, volume_ml
from voxtrace.volume import Geometry, LabelMap

SPACING_MM = (4.0, 2.0, 1.0)


def labels(mask, spacing_mm=SPACING_MM) -> LabelMap:
    mask = np.asarray(mask)
    return LabelMap(mask.astype(np.uint8), Geometry.from_spacing(mask.shape, spacing_mm), {1: "blob"})


def line(*voxels: int) -> LabelMap:
    """Draw voxels on a line of eight along X, one plane and one row thick."""
    mask = np.zeros((1, 1, 8), bool)
    mask[0, 0, list(voxels)] = True
    return labels(mask)


EMPTY = line()


def test_equal_masks_agree_wholly() -> None:
    assert dice(line(2, 3), line(2, 3), 1) == 1.0
    assert nsd(line(2, 3), line(2, 3), 1) == 1.0
    assert hd95_mm(line(2, 3), line(2, 3), 1) == 0.0


def test_dice_counts_common_voxels_twice() -> None:
    """Two and three voxels, one in common: 2 · 1 / (2 + 3)."""
    assert dice(line(1, 2), line(2, 3, 4), 1) == pytest.approx(0.4)


def test_surface_distance_is_measured_in_mm_along_each_axis() -> None:
    for axis, expected_mm in enumerate(SPACING_MM):
        one, other = np.zeros((2, 5, 5, 5), bool)
        one[2, 2, 2] = True
        other[tuple(3 if a == axis else 2 for a in range(3))] = True
        assert hd95_mm(labels(one), labels(other), 1) == pytest.approx(expected_mm)


def test_nsd_is_the_share_of_surface_within_the_tolerance() -> None:
    """Prediction at 1 and 5, reference at 2: distances 1 and 3 mm there, 1 mm back."""
    assert nsd(line(1, 5), line(2), 1, tolerance_mm=1.0) == pytest.approx(2 / 3)
    assert nsd(line(1, 5), line(2), 1, tolerance_mm=0.5) == 0.0
    assert nsd(line(1, 5), line(2), 1, tolerance_mm=3.0) == 1.0


def test_hd95_is_the_larger_of_both_directions() -> None:
    """95 % between 1 and 3 mm is 2.9 mm there, 1 mm back."""
    assert hd95_mm(line(1, 5), line(2), 1) == pytest.approx(2.9)
    assert hd95_mm(line(2), line(1, 5), 1) == pytest.approx(2.9)


def test_labels_absent_on_both_sides_agree() -> None:
    assert (dice(EMPTY, EMPTY, 1), nsd(EMPTY, EMPTY, 1), hd95_mm(EMPTY, EMPTY, 1)) == (1.0, 1.0, 0.0)


def test_labels_absent_on_one_side_disagree_wholly() -> None:
    for pair in ((EMPTY, line(3)), (line(3), EMPTY)):
        assert (dice(*pair, 1), nsd(*pair, 1), hd95_mm(*pair, 1)) == (0.0, 0.0, math.inf)


def test_the_surface_of_a_cube_is_all_but_its_middle() -> None:
    cube = np.zeros((5, 5, 5), bool)
    cube[1:4, 1:4, 1:4] = True
    assert np.count_nonzero(surface(cube)) == 26
    assert not surface(cube)[2, 2, 2]


def test_a_mask_that_fills_the_image_has_its_surface_at_the_border() -> None:
    assert np.count_nonzero(surface(np.ones((3, 3, 3), bool))) == 26


def test_volume_is_in_millilitres() -> None:
    assert volume_ml(line(1, 2, 3), 1) == pytest.approx(3 * 8 / 1000)


def test_every_named_label_is_scored_and_the_background_is_not() -> None:
    geometry = Geometry.from_spacing((1, 1, 3), SPACING_MM)
    reference = LabelMap(np.array([[[0, 1, 1]]]), geometry, {0: "background", 1: "liver", 2: "spleen"})
    scores = evaluate_case(LabelMap(np.array([[[3, 1, 1]]]), geometry), reference, tolerance_mm=2.0)
    assert {k: (s.name, s.dice) for k, s in scores.items()} == {
        1: ("liver", 1.0),
        2: ("spleen", 1.0),
        3: ("label 3", 0.0),
    }
    assert (scores[3].volume_ml, scores[3].reference_ml, scores[3].tolerance_mm) == (pytest.approx(0.008), 0.0, 2.0)


def test_maps_on_different_grids_are_not_compared() -> None:
    with pytest.raises(GeometryError, match="does not lie on the grid"):
        evaluate_case(labels(np.zeros((1, 1, 8)), (1.0, 1.0, 1.0)), EMPTY)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI calls its own deprecated option
@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_monai(seed: int) -> None:
    import torch
    from monai import metrics as monai

    rng = np.random.default_rng(seed)
    one, other = (ndimage.gaussian_filter(rng.standard_normal((10, 14, 16)), 2) > 0.02 for _ in range(2))
    pair = [torch.as_tensor(m, dtype=torch.float32)[None, None] for m in (one, other)]
    options = {"include_background": True, "spacing": SPACING_MM}
    expected_hd95 = float(monai.compute_hausdorff_distance(*pair, percentile=95, **options))
    expected_nsd = float(monai.compute_surface_dice(*pair, class_thresholds=[2.0], **options))
    expected_dice = float(monai.compute_dice(*pair, include_background=True))
    ours = labels(one), labels(other)
    assert hd95_mm(*ours, 1) == pytest.approx(expected_hd95, abs=1e-4)
    assert nsd(*ours, 1, tolerance_mm=2.0) == pytest.approx(expected_nsd, abs=1e-5)
    assert dice(*ours, 1) == pytest.approx(expected_dice, abs=1e-6)


def test_distances_do_not_depend_on_the_empty_space_around() -> None:
    rng = np.random.default_rng(0)
    small = rng.random((2, 6, 6, 6)) > 0.7
    large = np.pad(small, [(0, 0)] + [(5, 9)] * 3)
    for near, far in zip(
        surface_distances_mm(*small, SPACING_MM), surface_distances_mm(*large, SPACING_MM), strict=True
    ):
        assert np.allclose(np.sort(near), np.sort(far))


def test_the_interval_holds_the_mean_and_shrinks_with_more_values() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.1, 400)
    few, many = mean_interval(values[:20]), mean_interval(values)
    assert few.low < few.mean < few.high
    assert many.high - many.low < few.high - few.low
    assert many.high - many.low == pytest.approx(2 * 1.96 * 0.1 / 20, rel=0.2)  # the normal interval


def test_the_interval_is_the_same_for_the_same_seed() -> None:
    assert mean_interval([1.0, 2.0, 4.0], seed=3) == mean_interval([1.0, 2.0, 4.0], seed=3)


def test_infinite_values_are_left_out_of_the_mean_and_counted_out() -> None:
    assert mean_interval([1.0, math.inf, 3.0]).mean == 2.0
    assert mean_interval([1.0, math.inf, 3.0]).count == 2
    assert math.isnan(mean_interval([]).mean)


@pytest.mark.parametrize("seed", range(6))
def test_distances_from_a_tree_are_those_of_the_map(seed: int) -> None:
    """To the last bit: a distance of 1 mm must lie within a tolerance of 1 mm, whichever way it is found."""
    rng = np.random.default_rng(seed)
    spacing_mm = tuple(rng.choice([0.3, 0.7, 0.8, 1.1, 2.5], 3))
    one, other = rng.random((2, 9, 13, 11)) < (0.05, 0.3, 0.8)[seed % 3]
    there = ndimage.distance_transform_edt(~other, sampling=spacing_mm)[one]
    assert np.array_equal(metrics._distances_of_few(one, other, spacing_mm), there)


def test_far_specks_have_the_same_scores_by_tree_and_by_map(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, made = np.zeros((2, 40, 60, 60), bool)
    truth[15:22, 20:30, 20:30] = True
    made[15:21, 21:30, 20:31] = True
    made[1, 1, 1] = made[38, 58, 58] = True
    found = []
    for sparse in (1, metrics.SPARSE, 10**9):  # the tree for any mask, what is faster, the map for any mask
        monkeypatch.setattr(metrics, "SPARSE", sparse)
        found.append(evaluate_case(labels(made), labels(truth))[1])
    assert found[0] == found[1] == found[2]
    assert found[0].hd95_mm > 0
