"""The engine's inner loops: compiled ones, torch's, and what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from chance import chance
from tolerance import rounding
from voxtrace.inference import ops_numba, ops_torch
from voxtrace.inference.score_plane import ScorePlane
from voxtrace.preprocess import axis_weights
from voxtrace.volume import Array

pytestmark = pytest.mark.numeric


def plane(scores: torch.Tensor) -> ScorePlane:
    """Return a plane with every label (S, K, Y, X)."""
    return ScorePlane(scores, np.arange(scores.shape[1], dtype=np.uint8))


def logits(*shape: int, seed: int = 0, spread: float = 5.0) -> torch.Tensor:
    return spread * torch.randn(shape, generator=chance(seed))


def assert_near(found: torch.Tensor, exact: torch.Tensor, largest: float, *, products: int, roundings: int) -> None:
    """Check a result against float64; ``largest`` is the largest number that goes into it."""
    assert exact.dtype is torch.float64
    assert (found.double() - exact).abs().max() <= largest * rounding(
        torch.float32, products=products, roundings=roundings
    )


def assert_assessed(
    found: tuple[torch.Tensor, ...], scores: torch.Tensor, before: torch.Tensor | None, largest: float
) -> None:
    """Check labels, log Σ exp, changed_fraction and entropy of logits (B, K, Z, Y, X) against float64.

    Entropy is a sum over labels of logits, taken from ``largest`` at most, then over a row of voxels.
    """
    labels, normaliser, changed, entropy = found
    exact, K, X = scores.double(), scores.shape[1], scores.shape[-1]
    p, log_p = exact.softmax(1), exact.log_softmax(1)
    assert torch.equal(labels.long(), scores.argmax(1))
    differs = scores.argmax(1) != (0 if before is None else before)
    assert torch.equal(changed, differs.flatten(1).double().mean(1).float())
    # The normaliser is the largest logit and the logarithm of a sum of powers.
    assert_near(normaliser, exact.logsumexp(1), float(scores.abs().max()), products=K, roundings=3)
    assert_near(entropy, -(p * log_p).sum(1).flatten(1).mean(1), largest, products=K + X, roundings=5)


def assert_strongest(labels: Array, exact: Array) -> None:
    """Check that no other of K labels is stronger in float64 scores (S, K, Y, X), by more than two may be rounded.

    A score is a sum of 8 products, rounded between planes, rows and columns.
    """
    chosen = np.take_along_axis(exact, labels[:, None].astype(np.int64), 1)[:, 0]
    allowed = 2 * np.abs(exact).max() * rounding(torch.float32, products=8, roundings=3)
    assert exact.dtype == np.float64
    assert (exact.max(1) - chosen <= allowed).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 6), (1, 14, 33, 40, 51), (1, 1, 2, 2, 2), (1, 300, 1, 3, 4)])
def test_labels_facts_and_probabilities_are_those_of_float64(shape: tuple[int, ...], threads: int) -> None:
    scores, before = logits(*shape), logits(*shape, seed=1).argmax(1)
    kind = torch.uint8 if shape[1] <= 256 else torch.uint16
    torch.set_num_threads(threads)
    try:
        found = ops_numba.argmax_entropy(scores, before.to(kind))
    finally:
        torch.set_num_threads(1)
    assert_assessed(found, scores, before, 1 + math.log(shape[1]))


def test_numba_and_torch_agree() -> None:
    scores = logits(2, 5, 6, 7, 8)
    for before in (None, scores.roll(1, 1).argmax(1)):
        mine = ops_numba.argmax_entropy(scores, None if before is None else before.to(torch.uint8))
        assert_assessed(mine, scores, before, 1 + math.log(5))  # of logits less the largest one
        assert_assessed(ops_torch.argmax_entropy(scores, before), scores, before, float(scores.abs().max()))


@pytest.mark.parametrize("averaged", ["probabilities", "logits"])
@pytest.mark.parametrize("turn", [0, 3, 5])
def test_windows_are_added_where_they_lie_in_the_ring(turn: int, averaged: str) -> None:
    scores, blend = logits(3, 4, 5, 6), torch.rand(4, 5, 6, generator=chance())
    normaliser = scores.logsumexp(0) if averaged == "probabilities" else None
    values = blend.double() * (scores.double().softmax(0) if averaged == "probabilities" else scores.double())
    # A ring of 6 planes: the window's plane z goes to slot (turn + z) % 6.
    expected = torch.ones(3, 6, 9, 10, dtype=torch.float64)
    for z in range(4):
        expected[:, (turn + z) % 6, 2:7, 3:9] += values[:, z]
    for ops in (ops_numba, ops_torch):
        sums, peaks = torch.ones(3, 6, 9, 10), np.full((3, 6), 1e-6, np.float32)
        ops.accumulate(sums, peaks, scores, normaliser, blend, (turn + 12, 2, 3))
        # log Σ exp, what a logit lacks to it, its power; a product and a sum
        assert_near(sums, expected, float(scores.abs().max()), products=2, roundings=3)


def test_peaks_are_the_largest_probabilities_of_each_label_and_plane_so_far() -> None:
    scores, blend, peaks = (
        logits(3, 4, 5, 21),
        torch.rand(4, 5, 21, generator=chance(2)),
        np.full((3, 6), 0.3, np.float32),
    )
    ops_numba.accumulate(torch.zeros(3, 6, 9, 30), peaks, scores, scores.logsumexp(0), blend, (4, 0, 0))
    largest = scores.double().softmax(0).amax((2, 3)).clamp_min(0.3)
    found = torch.from_numpy(peaks[:, [4, 5, 0, 1]])
    assert_near(found, largest, float(scores.abs().max()), products=0, roundings=3)
    assert (peaks[:, 2:4] == np.float32(0.3)).all()
    ops_torch.accumulate(torch.zeros(3, 6, 9, 30), peaks, scores, scores.logsumexp(0), blend, (4, 0, 0))
    assert (peaks[:, [4, 5, 0, 1]] == 1.0).all()  # not looked for, so each may be the winner


def test_a_plane_is_taken_once_and_is_background_where_no_window_lies() -> None:
    for ops in (ops_numba, ops_torch):
        sums, weights = torch.full((2, 3, 4, 5, 6), 8.0), torch.full((4, 5, 6), 2.0)
        weights[1, 0, 0] = 0.0
        sums[:, 2, 1] = 6.0
        plane = ops.take_plane(sums, weights, 1, np.array([0, 2], np.uint8))
        assert plane.labels.tolist() == [0, 2]
        assert plane.scores[:, :, 0, 0].tolist() == [[1.0, 0.0]] * 2
        assert (plane.scores[:, 0, 1:] == 4.0).all()
        assert (plane.scores[:, 1, 1:] == 3.0).all()
        assert (sums[:, :, 1] == 0.0).all()
        assert (sums[:, :, [0, 2, 3]] == 8.0).all()


@pytest.mark.parametrize("kind", ["linear", "nearest"])
@pytest.mark.parametrize("size", [(11, 13), (24, 40), (6, 7)])
def test_the_strongest_label_of_mixed_and_enlarged_planes_wins(size: tuple[int, int], kind: str) -> None:
    below, above = (logits(2, 5, 11, 13, seed=seed).softmax(1) for seed in (0, 1))
    y, x = (axis_weights(n, want, kind) for n, want in zip((11, 13), size, strict=True))  # type: ignore[arg-type]
    mixed = (0.75 * below.double() + 0.25 * above.double()).numpy()
    exact = x.apply(y.apply(mixed, 2), 3)
    for ops in (ops_numba, ops_torch):
        labels = ops.upsample_argmax(plane(below), plane(above), 0.25, y, x, 0.999 / 5)
        assert labels.dtype == np.uint8
        assert_strongest(labels, exact)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_labels_that_cannot_win_in_a_tile_are_left_out_without_a_difference(share: float) -> None:
    """Smooth planes: in most tiles of 8 rows and 32 columns few labels compete, at borders several."""
    places = torch.stack(torch.meshgrid(torch.arange(40.0), torch.arange(90.0), indexing="ij"))
    centres = 60 * torch.rand((2, 6, 2), generator=chance())
    below, above = (-((places - c[:, :, None, None]) ** 2).sum(1)[None] / 50 for c in centres)
    y, x = axis_weights(40, 61, "linear"), axis_weights(90, 133, "linear")
    exact = x.apply(y.apply(torch.lerp(below.double(), above.double(), share).numpy(), 2), 3)
    labels = ops_numba.upsample_argmax(plane(below), plane(above), share, y, x, -np.inf)
    assert len(np.unique(exact.argmax(1))) > 3
    assert_strongest(labels, exact)


def test_a_logit_that_is_no_number_shows_in_the_entropy() -> None:
    for ops in (ops_numba, ops_torch):
        for label in range(3):
            for bad in (torch.nan, torch.inf):
                scores = logits(1, 3, 2, 4, 17)
                scores[0, label, 1, 2, 3] = bad
                assert not torch.isfinite(ops.argmax_entropy(scores, None)[3]).any()


def test_the_lower_label_wins_a_tie() -> None:
    y, x = axis_weights(2, 4, "linear"), axis_weights(2, 4, "linear")
    tied = plane(torch.tensor([0.2, 0.4, 0.4]).view(1, 3, 1, 1).expand(1, 3, 2, 2).contiguous())
    for ops in (ops_numba, ops_torch):
        assert (ops.upsample_argmax(tied, tied, 0.5, y, x, 0.33) == 1).all()


def test_labels_are_compared_where_both_planes_have_them() -> None:
    """Of labels 0, 300, 301 and 302 one plane lacks 301, the other 300: 302 wins, where 0 is not stronger."""
    y, x = axis_weights(5, 9, "linear"), axis_weights(6, 7, "linear")
    full = logits(2, 4, 5, 6).softmax(1), logits(2, 4, 5, 6, seed=1).softmax(1)
    names = np.array([0, 300, 301, 302], np.uint16)
    below, above = (ScorePlane(p[:, kept], names[kept]) for p, kept in zip(full, ([0, 1, 3], [0, 2, 3]), strict=True))
    between = torch.lerp(full[0].double(), full[1].double(), 0.25)[:, [0, 3]]
    exact = x.apply(y.apply(between.numpy(), 2), 3)
    for ops in (ops_numba, ops_torch):
        labels = ops.upsample_argmax(below, above, 0.25, y, x, 0.0)
        assert labels.dtype == np.uint16
        assert set(np.unique(labels)) == {0, 302}
        assert_strongest(labels == 302, exact)


def test_a_certain_window_has_no_entropy() -> None:
    scores = torch.full((1, 3, 2, 2, 2), -torch.inf)
    scores[:, 1] = 0.0
    for ops in (ops_numba, ops_torch):
        labels, _, changed, entropy = ops.argmax_entropy(scores, None)
        assert (labels == 1).all()
        assert (changed.item(), entropy.item()) == (1.0, pytest.approx(0.0, abs=1e-6))
