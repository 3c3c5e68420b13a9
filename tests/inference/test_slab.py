"""Planes leave the slab with the labels that may win, and no other label would have won."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from fakes import plan
from voxtrace.inference.decide import Scores
from voxtrace.inference.plane import Plane
from voxtrace.inference.restore import Restorer
from voxtrace.inference.slab import Slab
from voxtrace.preprocess import network_grid
from voxtrace.volume import Array, Geometry
from voxtrace.windows import Window

N_LABELS, WINDOW, DEPTH = 7, (4, 8, 8), 10
SPARSE = torch.tensor([0, 3, 5, 6])  # labels that the scores below favour somewhere


def scores_of(seed: int, shown: torch.Tensor = SPARSE) -> Scores:
    """Return scores of one window in which a few labels reach 1/K, each on some of the planes."""
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn((1, N_LABELS, *WINDOW), generator=rng) - 9.0
    for z in range(WINDOW[0]):
        label = shown[int(torch.randint(len(shown), (), generator=rng))]
        logits[0, label, z] += 8.0 * torch.rand((WINDOW[1], WINDOW[2]), generator=rng)
        logits[0, 0, z] += 6.0
    return Scores(logits, logits.logsumexp(1))


def slab(average: Literal["probabilities", "logits"] = "probabilities") -> Slab:
    return Slab(1, N_LABELS, WINDOW, (8, 12), "cpu", average=average)


def fill(into: Slab, z: int, seed: int) -> None:
    for x, number in ((0, seed), (4, seed + 100)):
        window = Window(z, 0, x)
        into.add(0, window, scores_of(number), 0)
        into.count(window)


def planes_of(into: Slab) -> list[Plane]:
    """Return the planes of windows at z = 0, 3 and 6."""
    found: list[Plane] = []
    for z, seed in ((0, 1), (3, 2), (6, 3)):
        found += into.finish(z)
        fill(into, z, seed)
    return [*found, *into.finish(DEPTH)]


def whole(into: Slab) -> Slab:
    """Return the slab so that every label may win everywhere."""
    into._least = -np.inf
    return into


def test_labels_that_may_win_here_or_next_door_are_kept_with_their_probabilities() -> None:
    planes, every = planes_of(slab()), planes_of(whole(slab()))
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

    def restored(into: Slab) -> Array:
        restorer = Restorer(grid, N_LABELS)
        return np.concatenate([labels for plane in planes_of(into) for labels in restorer.push(plane)])

    few, every = restored(slab()), restored(whole(slab()))
    assert len(np.unique(every)) > 2
    assert np.array_equal(few, every)


def test_where_logits_are_averaged_every_label_may_win() -> None:
    assert [len(p.labels) for p in planes_of(slab("logits"))] == [N_LABELS] * DEPTH


def test_planes_without_a_window_are_background_alone() -> None:
    empty = slab()
    first, *rest = empty.finish(3)
    assert first.labels.tolist() == [0]
    assert (first.scores == 1.0).all()
    assert rest[-1].labels.tolist() == list(range(N_LABELS))  # the next plane is not known yet


def test_a_plane_of_the_ring_is_used_again_as_if_it_were_new() -> None:
    used = slab()
    fill(used, 0, 1)
    list(used.finish(4))
    for plane in used.finish(8):
        assert (plane.scores[:, 0] == 1.0).all()
        assert not plane.scores[:, 1:].any()
