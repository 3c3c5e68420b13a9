"""Planning: from a fingerprint to a plan that a machine can bear."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cases import ball, ball_dataset
from voxtrace.errors import DatasetError
from voxtrace.training import Dataset, Fingerprint, fingerprint, open_dataset, plan_dataset
from voxtrace.training.planning import CPU, Budget, fit_window, is_small, target_spacing


def _found(spacing_mm: tuple[float, float, float], shape: tuple[int, int, int]) -> Fingerprint:
    return Fingerprint((shape,), (spacing_mm,), ((-100.0, 300.0, 50.0, 60.0),), 0.0)


def test_the_fingerprint_reads_intensities_under_labels_only() -> None:
    found = fingerprint([ball(0)])
    _, _, mean, std = found.foreground[0]
    assert mean == pytest.approx(2.0, abs=0.1)
    assert std == pytest.approx(0.5, abs=0.1)


def test_a_dataset_without_labels_cannot_be_planned() -> None:
    case = ball(0)
    case.labels.data[:] = 0
    with pytest.raises(DatasetError, match="no case has a labelled voxel"):
        fingerprint([case])


def test_ordinary_spacing_is_the_median() -> None:
    assert target_spacing(_found((2.0, 1.0, 1.0), (100, 200, 200))) == (2.0, 1.0, 1.0)


def test_thick_sparse_slices_are_resampled_towards_their_finest_tenth() -> None:
    found = Fingerprint(((20, 400, 400),) * 2, ((10.0, 1.0, 1.0), (5.0, 1.0, 1.0)), ((0, 1, 0, 1),), 0.0)
    assert target_spacing(found)[0] == pytest.approx(5.5)  # a tenth of the way from 5 to 10


def test_the_window_fits_the_budget_and_halves_evenly() -> None:
    window, topology = fit_window((300, 400, 400), (1.5, 0.8, 0.8), CPU)
    assert math.prod(window) <= CPU.voxels // 2
    assert all(n % d == 0 for n, d in zip(window, topology.divisor, strict=True))


def test_more_memory_gives_a_larger_window() -> None:
    small, _ = fit_window((300, 400, 400), (1.5, 0.8, 0.8), Budget(2_000_000, 32, 1))
    large, _ = fit_window((300, 400, 400), (1.5, 0.8, 0.8), Budget(8_000_000, 32, 1))
    assert math.prod(large) > 2 * math.prod(small)


def test_ct_is_clipped_and_mr_is_standardised(tmp_path: Path) -> None:
    ct = open_dataset(ball_dataset(tmp_path / "ct", channels={"0": "CT"}))
    mr = open_dataset(ball_dataset(tmp_path / "mr", channels={"0": "T1"}))
    found = fingerprint(ct.cases(["ball_000"]))
    assert plan_dataset(ct, found).normalisation[0].scheme == "ct"
    assert plan_dataset(mr, found).normalisation[0].scheme == "zscore"


def test_the_hippocampus_plan_is_the_one_nnunet_makes(real_data: Path) -> None:
    """nnU-Net v2.8.1: spacing 1 mm, window 40×56×40, strides 2 three times."""
    dataset = open_dataset(real_data / "Dataset004_Hippocampus")
    plan = plan_dataset(dataset, fingerprint(dataset.cases([f.name for f in dataset.files[:25]])))
    assert plan.spacing_mm == (1.0, 1.0, 1.0)
    assert plan.window == (40, 56, 40)
    assert plan.topology.strides == ((1, 1, 1),) + ((2, 2, 2),) * 3
    assert np.prod(plan.window) * plan.batch_size <= CPU.voxels


def test_a_short_run_mirrors_left_and_right_at_most(tmp_path: Path) -> None:
    """Few updates do not suffice to learn anatomy upside down, and in CT the liver has a side."""
    ct = open_dataset(ball_dataset(tmp_path / "ct", channels={"0": "CT"}))
    mr = open_dataset(ball_dataset(tmp_path / "mr", channels={"0": "T1"}))
    found = fingerprint(ct.cases(["ball_000"]))
    assert plan_dataset(ct, found).mirror_axes == ()
    assert plan_dataset(mr, found).mirror_axes == (2,)
    assert plan_dataset(mr, found, device="cuda").mirror_axes == (0, 1, 2)


def test_a_short_run_augments_less_often(tmp_path: Path) -> None:
    dataset = open_dataset(ball_dataset(tmp_path / "balls"))
    found = fingerprint(dataset.cases(["ball_000"]))
    assert plan_dataset(dataset, found).augmentation == pytest.approx(2 / 3)
    assert plan_dataset(dataset, found, device="cuda").augmentation == 1.0


def test_dice_is_summed_over_the_batch_where_the_window_is_a_slice_or_below_a_quarter_of_the_case() -> None:
    """nnU-Net: where it would plan a coarser network too, and in 2D."""
    assert not is_small((40, 56, 40), (36, 50, 35))
    assert not is_small((24, 48, 48), (48, 96, 48))  # exactly a quarter
    assert is_small((24, 48, 48), (48, 96, 96))
    assert is_small((1, 96, 96), (2, 96, 96))


def test_a_planned_dataset_says_how_its_dice_is_summed() -> None:
    found = _found((1.0, 1.0, 1.0), (400, 400, 400))
    small = fit_window([400] * 3, (1.0, 1.0, 1.0), CPU)[0]
    assert is_small(small, (400, 400, 400))
    dataset = Dataset("large", ("T1",), {0: "background", 1: "ball"}, (), ())
    assert plan_dataset(dataset, found).batch_dice
    assert not plan_dataset(dataset, _found((1.0, 1.0, 1.0), (40, 40, 40))).batch_dice
