"""Sampling and augmentation: pure functions of the seed, and where windows may lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cases import ball, small_plan
from voxtrace.errors import DatasetError
from voxtrace.method import NO_AUGMENTATION, Augmentation, Phase
from voxtrace.plan import Plan
from voxtrace.training.augment import Augmenter, elastic_magnitude, elastic_scale, seeded
from voxtrace.training.preprocessed import PreprocessedCase, cut, preprocess_cases
from voxtrace.training.sampling import MiniBatches, draw_start


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> list[PreprocessedCase]:
    cases = [ball(s, 24) for s in range(3)]
    return list(preprocess_cases(cases, small_plan(), tmp_path_factory.mktemp("cases"), seed=0))


def test_a_box_that_leaves_the_array_is_filled_with_zeros() -> None:
    """From −1, 3 long, in 1 2 3 4: 0 1 2."""
    array = np.arange(1, 5).reshape(1, 1, 1, 4)
    assert cut(array, (0, 0, -1), (1, 1, 3)).ravel().tolist() == [0, 1, 2]
    assert cut(array, (0, 0, 3), (1, 1, 3)).ravel().tolist() == [4, 0, 0]
    assert cut(array, (0, 0, 9), (1, 1, 3)).ravel().tolist() == [0, 0, 0]


def test_a_window_larger_than_the_volume_lies_where_inference_puts_it() -> None:
    rng = np.random.default_rng(0)
    assert {draw_start((13,) * 3, (16, 16, 16), None, rng)[0] for _ in range(20)} == {-1}


def test_windows_begin_anywhere_inside() -> None:
    rng = np.random.default_rng(0)
    assert {draw_start((20,) * 3, (16, 16, 16), None, rng)[0] for _ in range(200)} == {0, 1, 2, 3, 4}


def test_a_forced_window_is_centred_on_its_voxel_as_nearly_as_may_be() -> None:
    rng = np.random.default_rng(0)
    assert draw_start((40, 40, 40), (16, 16, 16), np.array([20, 2, 39]), rng) == [12, 0, 24]


def test_a_mini_batch_is_a_function_of_its_number(prepared: list[PreprocessedCase]) -> None:
    phase = Phase("train", 10)
    one, two = (MiniBatches(prepared, small_plan(), phase, (0, 0)) for _ in range(2))
    two[3]
    assert all(torch.equal(a, b) for a, b in zip(one[7], two[7], strict=True))
    assert not torch.equal(one[7][0], one[8][0])


def test_another_seed_gives_other_windows(prepared: list[PreprocessedCase]) -> None:
    phase = Phase("train", 10)
    a, b = (MiniBatches(prepared, small_plan(), phase, (seed, 0))[0][0] for seed in (0, 1))
    assert not torch.equal(a, b)


def test_a_third_of_a_batch_is_forced_to_hold_foreground(prepared: list[PreprocessedCase]) -> None:
    """nnU-Net forces sample i iff i ≥ round(batch · 0.67): the last of 2, the last of 4's … 1 of 2 and 1 of 3."""
    windows = MiniBatches(prepared, small_plan(), Phase("train", 30), (0, 0))
    assert all((windows[i][1][1] == 1).any() for i in range(30))


def test_cases_are_drawn_by_their_weight(prepared: list[PreprocessedCase]) -> None:
    scored = [PreprocessedCase(p.folder, {"reliability": float(n == 1)}) for n, p in enumerate(prepared)]
    phase = Phase("train", 10, case_weight=lambda scores, progress: scores["reliability"])
    assert MiniBatches(scored, small_plan(), phase, (0, 0)).chances(0).tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("window", [(16, 16, 16), (4, 32, 32)])
def test_augmentation_keeps_shape_and_label_values(window: tuple[int, int, int]) -> None:
    plan = Plan.example(labels=3, window=window, base_width=4)
    augment = Augmenter(plan, Augmentation())
    rng = torch.Generator().manual_seed(0)
    image = torch.randn(1, *augment.box_size, generator=rng)
    labels = torch.randint(0, 3, augment.box_size, generator=rng, dtype=torch.int16)
    for seed in range(15):
        out, truth = augment(image.clone(), labels.clone(), seed)
        assert out.shape == (1, *window)
        assert truth.shape == window
        assert set(truth.unique().tolist()) <= {0, 1, 2}
        assert torch.isfinite(out).all()


def test_elastic_deformation_is_as_strong_as_nnunets() -> None:
    """σ is 9 to 13 voxels; noise in ±1 blurred with it, times α up to 200, peaks at 2.8·0.577·200/(3.545·σ) voxels.

    That is 10.1 for σ = 9 and 7.0 for σ = 13.
    """
    window = (128, 192)
    with seeded(0):
        for dim in (0, 1):
            for _ in range(200):
                share = elastic_scale(dim=dim, patch_size=window)
                assert 9.0 <= share * window[dim] <= 13.0
            for sigma, most in ((9.0, 10.13), (13.0, 7.02)):
                share = sigma / window[dim]
                reach = [elastic_magnitude(dim=dim, patch_size=window, deformation_scale=share) for _ in range(400)]
                assert 0 <= min(reach) < 0.1 * most < 0.9 * most < max(reach) <= most


def test_a_flat_window_is_deformed_in_plane_by_voxels() -> None:
    """Each voxel holds its place, so the answer shows where it was taken from; its labels go with it."""
    plan = Plan.example(labels=256, window=(4, 32, 48), base_width=4).model_copy(update={"augmentation": 1.0})
    augment = Augmenter(plan, replace(NO_AUGMENTATION, elastic_p=1.0))
    size = augment.box_size
    places = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in size), indexing="ij"))
    stripes = (places[2] // 8).to(torch.int16)
    here = places[:, :, 8:40, 12:60]
    moves = []
    for seed in range(5):
        out, labels = augment(places.clone(), stripes.clone(), seed)
        assert torch.allclose(out[0], here[0], atol=1e-3)  # never along z
        moves.append((out - here)[1:].abs().max().item())
        inner = (out[2] % 8 - 3.5).abs() < 3  # away from the edges of stripes
        assert torch.equal(labels[inner], (out[2] // 8).long()[inner])
    assert 1.0 < max(moves) < 15.0


def test_no_augmentation_is_the_middle_of_the_box() -> None:
    augment = Augmenter(small_plan(augmentation=0.0), Augmentation())
    image = torch.arange(24.0**3).reshape(1, 24, 24, 24)
    out, truth = augment(image.clone(), image[0].to(torch.int16), seed=3)
    assert torch.equal(out, image[:, 4:20, 4:20, 4:20])
    assert torch.equal(truth, image[0, 4:20, 4:20, 4:20].to(torch.int16).long())


def test_no_augmentation_at_all_is_the_middle_of_the_box_for_any_plan() -> None:
    augment = Augmenter(small_plan(augmentation=1.0, mirror_axes=(0, 1, 2)), NO_AUGMENTATION)
    image = torch.arange(24.0**3).reshape(1, 24, 24, 24)
    for seed in range(5):
        out, _ = augment(image.clone(), image[0].to(torch.int16), seed)
        assert torch.equal(out, image[:, 4:20, 4:20, 4:20])


def test_linear_intensity_multiplies_and_adds_within_its_ranges_for_each_channel() -> None:
    augment = Augmenter(small_plan(augmentation=0.0), replace(NO_AUGMENTATION, intensity="linear"))
    ends = torch.zeros(2, 24, 24, 24)
    ends[:, :, :, 12:] = 1.0
    drawn = []
    for seed in range(20):
        out, _ = augment(ends.clone(), torch.zeros(24, 24, 24, dtype=torch.int16), seed)
        for channel in out:
            low, high = channel.min().item(), channel.max().item()
            assert -0.1 <= low <= 0.1
            assert 0.9 <= high - low <= 1.1
            drawn.append(low)
    assert len(set(drawn)) == 40


def test_a_shift_moves_windows_no_further_than_it_says(prepared: list[PreprocessedCase]) -> None:
    plan = small_plan(augmentation=0.0, window=(16, 16, 16))
    still, moved = NO_AUGMENTATION, replace(NO_AUGMENTATION, shift_voxels=(0, 3, 0))
    a = MiniBatches(prepared, plan, Phase("train", 8, augmentation=still), (0, 0))
    b = MiniBatches(prepared, plan, Phase("train", 8, augmentation=moved), (0, 0))
    assert any(not torch.equal(a[i][0], b[i][0]) for i in range(8))


def test_no_case_with_the_scores_a_phase_needs_is_told_in_a_sentence(prepared: list[PreprocessedCase]) -> None:
    phase = Phase("easy", 4, case_weight=lambda scores, progress: 0.0)
    with pytest.raises(DatasetError, match="'easy'"):
        MiniBatches(prepared, small_plan(), phase, (0, 0))[0]


def test_the_share_of_windows_centred_on_foreground_is_the_phases(prepared: list[PreprocessedCase]) -> None:
    plan = small_plan(window=(4, 4, 4), augmentation=0.0)

    def with_foreground(share: float) -> list[bool]:
        windows = MiniBatches(prepared, plan, Phase("train", 10, foreground=share), (0, 0))
        return [bool(labels.any()) for i in range(10) for labels in windows[i][1]]

    assert all(with_foreground(1.0))
    assert not all(with_foreground(0.0))


def test_seeding_leaves_the_global_generators_as_they_were() -> None:
    before = np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002 (the global one is what is tested)
    with seeded(99):
        inside = torch.rand(1)
    assert np.array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    with seeded(99):
        assert torch.equal(torch.rand(1), inside)


def test_seeding_a_window_leaves_generators_of_other_devices_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would be seeded anew, or asked whether it is there, for every window."""
    for device in ("cuda", "mps", "xpu", "mtia"):
        monkeypatch.setattr(
            f"torch.{device}.manual_seed_all" if device != "mps" else "torch.mps.manual_seed", pytest.fail
        )
    with seeded(3):
        assert torch.initial_seed() == 3


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_thin_windows_are_augmented(depth: int) -> None:
    """Their blur is in plane; seeds 0 … 39 draw every kind of change at least once."""
    plan = Plan.example(window=(depth, 32, 32)).model_copy(update={"augmentation": 1.0})
    augmenter = Augmenter(plan, Augmentation())
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *augmenter.box_size)).astype(np.float32))
    labels = torch.zeros(augmenter.box_size, dtype=torch.int64)
    for seed in range(40):
        window, truth = augmenter(image, labels, seed)
        assert window.shape == (1, depth, 32, 32)
        assert truth.shape == (depth, 32, 32)
        assert torch.isfinite(window).all()
