"""Planes leave the accumulator with the labels that may win, and no other label would have won."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from fakes import plan
from voxtrace.inference.accumulator import PlaneAccumulator
from voxtrace.inference.resample_back import LabelResampler
from voxtrace.inference.score_plane import ScorePlane
from voxtrace.inference.step_runner import Logits
from voxtrace.preprocess import network_grid
from voxtrace.volume import Array, Geometry
from voxtrace.windows import Window

N_LABELS, WINDOW, DEPTH = 7, (4, 8, 8), 10
SPARSE = torch.tensor([0, 3, 5, 6])  # labels that the logits below favour somewhere


def logits_of(seed: int, shown: torch.Tensor = SPARSE) -> Logits:
    """Return logits of one window in which a few labels reach 1/K, each on some of the planes."""
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn((1, N_LABELS, *WINDOW), generator=rng) - 9.0
    for z in range(WINDOW[0]):
        label = shown[int(torch.randint(len(shown), (), generator=rng))]
        logits[0, label, z] += 8.0 * torch.rand((WINDOW[1], WINDOW[2]), generator=rng)
        logits[0, 0, z] += 6.0
    return Logits(logits, logits.logsumexp(1))


def accumulator(average: Literal["probabilities", "logits"] = "probabilities") -> PlaneAccumulator:
    return PlaneAccumulator(1, N_LABELS, WINDOW, (8, 12), "cpu", average=average)


def fill(into: PlaneAccumulator, z: int, seed: int) -> None:
    for x, number in ((0, seed), (4, seed + 100)):
        window = Window(z, 0, x)
        into.add(0, window, logits_of(number), 0)
        into.count(window)


def planes_of(into: PlaneAccumulator) -> list[ScorePlane]:
    """Return the planes of windows at z = 0, 3 and 6."""
    found: list[ScorePlane] = []
    for z, seed in ((0, 1), (3, 2), (6, 3)):
        found += into.finish(z)
        fill(into, z, seed)
    return [*found, *into.finish(DEPTH)]


def whole(into: PlaneAccumulator) -> PlaneAccumulator:
    """Return the accumulator so that every label may win everywhere."""
    into._least = -np.inf
    return into


def test_labels_that_may_win_here_or_on_a_neighbour_are_kept_with_their_probabilities() -> None:
    planes, every = planes_of(accumulator()), planes_of(whole(accumulator()))
    assert [len(p.labels) for p in every] == [N_LABELS] * DEPTH
    kept = 0
    for z, (plane, full) in enumerate(zip(planes, every, strict=True)):
        assert torch.equal(plane.scores, full.scores[:, plane.labels.astype(np.int64)])
        near = torch.cat([p.scores for p in every[max(0, z - 1) : z + 2]])
        may_win = np.flatnonzero((near.amax((0, 2, 3)) >= 1 / N_LABELS).numpy())
        assert set(may_win.tolist()) <= set(plane.labels.tolist())
        kept += len(plane.labels)
    assert kept < 0.8 * N_LABELS * DEPTH


@pytest.mark.parametrize("thick", [2.0, 0.7])
def test_the_labels_are_those_of_all_probabilities(thick: float) -> None:
    geometry = Geometry.from_spacing((int(DEPTH * thick), 11, 17), (1.0, 8 / 11, 12 / 17))
    grid = network_grid(geometry, plan(WINDOW, (thick, 1.0, 1.0)))
    assert grid.padded_shape == (DEPTH, 8, 12)

    def restored(into: PlaneAccumulator) -> Array:
        resampler = LabelResampler(grid, N_LABELS)
        return np.concatenate([labels for plane in planes_of(into) for labels in resampler.push(plane)])

    few, every = restored(accumulator()), restored(whole(accumulator()))
    assert len(np.unique(every)) > 2
    assert np.array_equal(few, every)


def test_where_logits_are_averaged_every_label_may_win() -> None:
    assert [len(p.labels) for p in planes_of(accumulator("logits"))] == [N_LABELS] * DEPTH


def test_planes_without_a_window_are_background_alone() -> None:
    empty = accumulator()
    first, *rest = empty.finish(3)
    assert first.labels.tolist() == [0]
    assert (first.scores == 1.0).all()
    assert rest[-1].labels.tolist() == list(range(N_LABELS))  # the next plane is not known yet


def test_a_plane_of_the_ring_is_used_again_as_if_it_were_new() -> None:
    used = accumulator()
    fill(used, 0, 1)
    list(used.finish(4))
    for plane in used.finish(8):
        assert (plane.scores[:, 0] == 1.0).all()
        assert not plane.scores[:, 1:].any()
