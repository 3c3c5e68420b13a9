"""The engine, with a method whose answer is known: each voxel gets the label nearest to its intensity."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fakes import GAIN, Nearest, Score, ball, bundle
from memory import peak_mib
from tolerance import rounding
from voxtrace.bundle import Bundle
from voxtrace.errors import Cancelled, EngineError, InputError, MethodError, UsageError
from voxtrace.inference import Progress, predict, segment
from voxtrace.noise import GridNoise
from voxtrace.trace import Trace
from voxtrace.volume import Geometry, Grid, Shape, Triple, Volume
from voxtrace.windows import Window

pytestmark = pytest.mark.numeric


EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32"}


def stripes(shape: Shape = (20, 24, 28)) -> Volume:
    """Intensities 0, 1, 2 in slanted stripes."""
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    data = ((z + y + x) // 3 % 3).astype(np.float32)
    return Volume(data[None], Geometry.from_spacing(shape, (1.0, 1.0, 1.0)))


# --- the way back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [(8, 16, 16), (1, 24, 28), (20, 24, 28), (32, 32, 32), (7, 5, 9)])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_labels_are_exact_on_an_equal_grid_whatever_the_window(window: Shape, overlap: float) -> None:
    volume = stripes()
    labels = predict(bundle(window=window, labels=3), volume, overlap=overlap, **EXACT).labels
    assert np.array_equal(labels.data, volume.data[0])


def test_labels_return_to_the_input_grid() -> None:
    plain = Geometry.from_spacing((13, 22, 31), (2.0, 0.9, 0.7))
    geometry = Geometry(plain.shape, plain.affine, Grid((31, 22, 13), (0.7, 0.9, 2.0)))
    volume = Volume(np.zeros((1, 13, 22, 31), np.int16), geometry)
    result = predict(bundle(window=(8, 16, 16)), volume)
    assert result.labels.geometry is geometry
    assert result.trace.geometry is geometry
    assert result.labels.data.dtype == np.uint8
    assert result.labels.names == {1: "label 1"}


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 2.0), (0.7, 0.7, 0.7), (3.0, 0.8, 1.4), (1.0, 2.0, 2.0)])
def test_a_ball_stays_a_ball(spacing_mm: Triple) -> None:
    volume = ball((24, 44, 44), (2.0, 1.0, 1.0), radius_mm=16)
    labels = predict(bundle(window=(8, 16, 16), spacing_mm=spacing_mm), volume, **EXACT).labels.data
    truth = volume.data[0] > 0
    overlap = 2 * np.count_nonzero(truth & (labels > 0)) / (np.count_nonzero(truth) + np.count_nonzero(labels))
    assert overlap > 0.95
    for axis in range(3):
        assert np.array_equal(labels, np.flip(labels, axis))  # centred before, centred after


def test_a_volume_smaller_than_the_window_is_padded_and_cropped() -> None:
    volume = ball((3, 9, 10), radius_mm=3)
    result = predict(bundle(window=(8, 16, 16)), volume, **EXACT)
    assert np.array_equal(result.labels.data, volume.data[0])
    assert result.trace.windows.tolist() == [[0, 0, 0, 3, 9, 10]]


def test_window_seams_are_invisible() -> None:
    """A network that errs at the borders of its window must not leave a lattice of errors.

    Windows of 16 voxels every 8: where one window errs, the middle of another one is right and weighs more.
    """

    class WrongAtItsBorders(Score):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            wrong = 1.0 - images
            wrong[..., 1:-1] = images[..., 1:-1]
            return super().forward(wrong)

    network = nn.Module()
    network.score = WrongAtItsBorders(2)
    volume = ball((8, 16, 64), radius_mm=6)
    labels = predict(bundle(network=network, window=(8, 16, 16)), volume, overlap=0.5, **EXACT).labels.data
    right = labels == volume.data[0]
    assert right[..., 1:-1].all()
    assert not right[..., [0, -1]].any()  # at the border of the volume there is no other window


# --- steps ----------------------------------------------------------------------------------------------------------


def three_steps(**options: Any) -> Bundle:
    """With intensities 0 and 1: everything is label 1 or 2 at first, at the end 0 and 1."""
    return bundle(Nearest(n_steps=3, drift=0.4), window=(8, 16, 16), labels=3, **options)


def test_every_step_is_kept() -> None:
    volume = ball((12, 20, 20), radius_mm=6)
    trace = predict(three_steps(), volume, keep="labels", **EXACT).trace
    inside = volume.data[0] > 0
    # what is added: 0.8, 0.4, 0; so background reads 0.8, 0.4, 0 and the ball 1.8, 1.4, 1
    assert [np.unique(step[~inside]).tolist() for step in trace.labels] == [[1], [0], [0]]
    assert [np.unique(step[inside]).tolist() for step in trace.labels] == [[2], [1], [1]]
    assert (trace.settled_at() == 1).all()


def test_the_last_step_is_the_answer_however_many_are_kept() -> None:
    volume = ball((12, 20, 20), radius_mm=6)
    last, every = (predict(three_steps(), volume, keep=keep, **EXACT) for keep in ("last", "labels"))
    assert np.array_equal(last.labels.data, every.labels.data)
    assert np.array_equal(every.labels.data, every.trace.labels[-1])
    assert (last.trace.labels.shape[0], last.trace.n_steps) == (1, 3)
    for name in every.trace.facts:
        assert np.array_equal(last.trace.facts[name], every.trace.facts[name])


def test_facts_tell_what_each_step_changed() -> None:
    volume = Volume(np.zeros((1, 8, 16, 16), np.int16), Geometry.from_spacing((8, 16, 16), (1.0, 1.0, 1.0)))
    trace = predict(three_steps(), volume, **EXACT).trace
    assert trace.facts["changed_fraction"].tolist() == [[1.0], [1.0], [0.0]]
    assert set(trace.units) == {"changed_fraction", "entropy", "mean_intensity"}
    # scores at the last step: 20·(1 − |0 − k|) = 20, 0, −20
    p = np.exp([0.0, -20.0, -40.0])
    assert trace.facts["entropy"][2, 0] == pytest.approx(-(p / p.sum() * np.log(p / p.sum())).sum(), abs=1e-5)


def test_entropy_of_undecided_windows_is_log_k() -> None:
    class Undecided(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.new_zeros((len(images), 4, *images.shape[2:]))

    network = nn.Module()
    network.score = Undecided()
    trace = predict(bundle(network=network, labels=4, window=(8, 16, 16)), ball((8, 16, 16)), **EXACT).trace
    assert trace.facts["entropy"][0, 0] == pytest.approx(math.log(4), abs=1e-5)


def test_a_method_that_stops_early_carries_its_answer_forward() -> None:
    method = Nearest(n_steps=5, drift=0.4, stops_after=2)
    trace = predict(bundle(method, window=(8, 16, 16), labels=4), ball((8, 16, 16)), keep="labels", **EXACT).trace
    assert all(np.array_equal(trace.labels[1], trace.labels[step]) for step in (2, 3, 4))
    assert trace.facts["changed_fraction"][2:].max() == 0
    assert np.isnan(trace.facts["mean_intensity"][2:]).all()


def test_steps_are_the_method_s_to_refuse() -> None:
    class OneStep(Nearest):
        def with_steps(self, steps: int) -> Any:
            raise MethodError("one step only")

    with pytest.raises(MethodError):
        predict(bundle(OneStep(), window=(8, 16, 16)), ball((8, 16, 16)), steps=3)
    assert predict(bundle(window=(8, 16, 16)), ball((8, 16, 16)), steps=3).trace.n_steps == 3


# --- chance, batches, mirroring -------------------------------------------------------------------------------------


def noisy() -> Bundle:
    return bundle(Nearest(noise=0.6, n_steps=2), window=(8, 16, 16), mirror_axes=(0, 2))


def assert_entropies_are_those_of_float64(trace: Trace, volume: Volume) -> None:
    """Check every window and step of a noisy prediction: logits GAIN·(1 − |x + 0.6·noise − k|) of two labels k."""
    for w, (*corner, _, _, _) in enumerate(trace.windows.tolist()):
        box = tuple(slice(a, a + n) for a, n in zip(corner, (8, 16, 16), strict=True))
        for step, entropies in enumerate(trace.facts["entropy"]):
            noise = GridNoise(0, [Window(*corner)], (8, 16, 16)).normal(step, 1)[0].double()
            seen = torch.from_numpy(volume.data[:, *box]).double() + 0.6 * noise
            logits = GAIN * (1.0 - (seen - torch.arange(2.0).view(2, 1, 1, 1)).abs())
            log_p = logits.log_softmax(0)
            exact = -(log_p.exp() * log_p).sum(0).mean()
            # Five steps to the logits; then a power and a logarithm of two labels, and the sum over a row of voxels.
            allowed = float(logits.abs().max()) * rounding(torch.float32, products=0, roundings=5)
            allowed += (1 + math.log(2)) * rounding(torch.float32, products=2 + 16, roundings=3)
            assert abs(float(entropies[w]) - float(exact)) <= allowed


def test_the_answer_does_not_depend_on_the_batch() -> None:
    volume = ball((20, 40, 40))
    answers = [predict(noisy(), volume, batch=n, keep="labels", **EXACT) for n in (1, 3, 16)]
    for other in answers:
        assert_entropies_are_those_of_float64(other.trace, volume)
        assert np.array_equal(other.trace.labels, answers[0].trace.labels)
        assert np.array_equal(other.trace.windows, answers[0].trace.windows)


def test_the_same_seed_gives_the_same_answer_and_another_another() -> None:
    volume = ball((20, 40, 40))
    first, again, other = (predict(noisy(), volume, seed=seed, **EXACT).labels.data for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_noise_is_one_field_however_windows_are_laid() -> None:
    volume = ball((20, 40, 40))
    sparse, dense = (predict(noisy(), volume, overlap=o, **EXACT).labels.data for o in (0.0, 0.5))
    assert np.array_equal(sparse, dense)  # the method decides voxel by voxel, so only the noise could differ


def test_mirroring_changes_nothing_for_a_method_that_looks_at_single_voxels() -> None:
    volume = stripes()
    plain, mirrored = (predict(noisy(), volume, mirror=m, **EXACT) for m in (False, True))
    assert np.array_equal(plain.labels.data, mirrored.labels.data)
    for answer in (plain, mirrored):
        assert_entropies_are_those_of_float64(answer.trace, volume)


def test_mirroring_without_an_axis_is_refused_not_recorded() -> None:
    volume = ball((16, 16, 16))
    none = bundle(Nearest(n_steps=2), window=(8, 16, 16), mirror_axes=())
    with pytest.raises(UsageError, match="has no axis to mirror; leave --mirror out"):
        predict(none, volume, mirror=True)
    assert predict(replace(none, card={"name": "fake", "mirror": True}), volume).facts["mirror"] is False


def test_mirroring_follows_the_bundle_s_card_unless_told() -> None:
    told = replace(noisy(), card={"name": "fake", "mirror": True})
    volume = ball((8, 16, 16))
    runs = [predict(told, volume), predict(told, volume, mirror=False), predict(noisy(), volume)]
    assert [run.facts["mirror"] for run in runs] == [True, False, False]


# --- driving it -----------------------------------------------------------------------------------------------------


def test_progress_counts_windows() -> None:
    steps = list(segment(bundle(window=(8, 16, 16)), ball((16, 16, 32)), overlap=0.0, batch=1))
    assert steps[0].stage == "preparing"
    assert [(p.done, p.total) for p in steps[1:]] == [(n, 4) for n in range(5)]
    assert all(isinstance(p, Progress) for p in steps)


def test_cancelling_stops_at_the_next_batch_and_leaves_nothing(tmp_path: Path) -> None:
    reports: list[Progress] = []
    task = segment(
        bundle(window=(8, 16, 16)),
        ball((16, 32, 32)),
        store=tmp_path / "case.trace",
        batch=1,
        cancel=lambda: bool(reports) and reports[-1].done == 2,
    )
    with pytest.raises(Cancelled, match="after 2 of 27 windows"):
        reports.extend(iter(lambda: next(task), None))
    assert list(tmp_path.iterdir()) == []


def test_an_abandoned_task_leaves_nothing(tmp_path: Path) -> None:
    task = segment(bundle(window=(8, 16, 16)), ball((16, 32, 32)), store=tmp_path / "case.trace")
    next(task)
    next(task)
    task.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", ["last", "labels"])
def test_a_stored_trace_is_the_same_trace(tmp_path: Path, keep: Any) -> None:
    volume = ball((12, 20, 20), radius_mm=6)
    held = predict(three_steps(), volume, keep=keep, **EXACT)
    stored = predict(three_steps(), volume, keep=keep, store=tmp_path / "case.trace", **EXACT)
    loaded = Trace.load(tmp_path / "case.trace")
    for trace in (stored.trace, loaded):
        assert np.array_equal(trace.labels[:], held.trace.labels)
        assert trace.summary() == held.trace.summary()
        assert np.array_equal(trace.settled_at(), held.trace.settled_at())
    assert np.array_equal(stored.labels.data, held.labels.data)


# --- refusing -------------------------------------------------------------------------------------------------------


def test_voxels_that_are_not_numbers_are_refused() -> None:
    volume = ball((8, 16, 16))
    volume.data[0, 3, 3, 3] = np.nan
    with pytest.raises(InputError, match="NaN"):
        predict(bundle(window=(8, 16, 16)), volume)


def test_a_wrong_number_of_channels_is_refused() -> None:
    volume = ball((8, 16, 16))
    two = Volume(np.concatenate([volume.data] * 2), volume.geometry)
    with pytest.raises(InputError, match="2 channels, the bundle expects 1"):
        predict(bundle(window=(8, 16, 16)), two)


@pytest.mark.parametrize("wrong", [{"overlap": 1.0}, {"overlap": -0.1}, {"batch": 0}, {"keep": "none"}])
def test_arguments_outside_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"expected|choose one of"):
        predict(bundle(window=(8, 16, 16)), ball((8, 16, 16)), **wrong)


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied\nmore"), "mat1 and mat2 shapes cannot be multiplied"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory ran out"),
        (MemoryError(), "memory ran out"),
    ],
)
def test_what_torch_raises_becomes_an_engine_error(raised: Exception, sentence: str) -> None:
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise raised

    network = nn.Module()
    network.score = Broken()
    with pytest.raises(EngineError, match=sentence):
        predict(bundle(network=network, window=(8, 16, 16)), ball((8, 16, 16)))


def test_a_method_that_decides_too_often_is_an_engine_error() -> None:
    class Chatty(Nearest):
        @property
        def steps(self) -> int:
            return 1

    with pytest.raises(EngineError, match="more often than the 1 steps it announced"):
        predict(bundle(Chatty(n_steps=2), window=(8, 16, 16)), ball((8, 16, 16)))


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured in kilobytes on Linux only")
@pytest.mark.parametrize(
    ("keep", "exact", "slack"),
    [
        ("last", True, 6.0),  # measured spread 2 MiB
        ("labels", True, 6.0),
        ("last", False, 40.0),  # glibc as it is; without trimming its heap the growth was 195 MiB
    ],
)
def test_memory_does_not_grow_with_the_scan(keep: str, exact: bool, slack: float) -> None:
    """Peak memory of a scan three times as long grows by its own input and output, and by no more.

    Holding probabilities for the whole volume would take 2 steps × 4 labels × 4 bytes a network voxel more.
    """
    short, long = (peak_mib(n_planes, keep, exact=exact) for n_planes in (80, 240))
    voxels = 160 * 256 * 256 / 2**20  # 10 Mi more
    intensities, labels, settled = 2 * voxels, (2 if keep == "labels" else 1) * voxels, voxels
    second = voxels if keep == "labels" else 0
    assert long - short <= intensities + labels + settled + second + slack
    if exact:
        assert long - short >= 0.8 * (intensities + labels)  # the measurement sees memory at all
