"""The second choice: where the answer's label barely won, and what nearly won there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fakes
from made_methods import MadeRouting
from voxtrace.inference import predict, segment
from voxtrace.inference.score_plane import ScorePlane
from voxtrace.inference.second_choice import MARGIN, SecondChoice
from voxtrace.kernels import switches
from voxtrace.preprocess import grid_of
from voxtrace.trace import Trace
from voxtrace.trace.disagreement import offered, regions

EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}


def choice(
    *steps: list[list[float]], labels: tuple[int, ...] = (0, 2, 5), average: Any = "probabilities"
) -> np.ndarray:
    """Return what is yielded for a scan of one row of voxels; each step gives a list per voxel, in order of labels."""
    scores = torch.tensor(steps).permute(0, 2, 1)[:, :, None]  # (S, n, 1, X)
    volume = fakes.ball((1, 1, scores.shape[-1]))
    grid = grid_of(volume, fakes.bundle(fakes.Nearest()).plan, "all")
    padded = torch.zeros((*scores.shape[:2], *grid.padded_shape[1:]))
    (before, _), (top, _), (left, _) = grid.padding
    padded[:, :, top : top + 1, left : left + scores.shape[-1]] = scores
    second = SecondChoice(grid, len(steps), average)
    found = [plane for _ in range(before + 1) for plane in second.push(ScorePlane(padded, np.asarray(labels)))]
    return second.labels(
        found[0], np.asarray(labels)[padded.argmax(1).numpy()][:, top : top + 1, left:][..., : scores.shape[-1]]
    )


def test_where_the_answer_leads_by_more_than_the_margin_there_is_no_doubt() -> None:
    sure, close = 0.5 + MARGIN / 2 + 0.01, 0.5 + MARGIN / 2 - 0.01
    assert choice([[sure, 1 - sure, 0.0], [close, 1 - close, 0.0], [0.0, 0.45, 0.55]]).tolist() == [[0, 2, 2]]


def test_the_mean_over_the_steps_counts_and_the_answer_is_that_of_the_last() -> None:
    """Voxel 0 was sure of label 5 before it came to 2; voxel 1 doubts at the last step, and never before."""
    first, last = [[0.0, 0.1, 0.9], [0.0, 1.0, 0.0]], [[0.0, 0.9, 0.1], [0.0, 0.6, 0.4]]
    assert choice(first, last).tolist() == [[5, 2]]


def test_logits_become_probabilities() -> None:
    assert choice([[4.0, 0.0, 0.0], [0.5, 0.0, -9.0]], average="logits").tolist() == [[0, 2]]


@pytest.mark.parametrize(("steps", "labels"), [(1, 2), (1, 5), (3, 2), (5, 6)])
def test_sure_voxels_are_left_out_without_missing_one_in_doubt(steps: int, labels: int) -> None:
    rng = np.random.default_rng(steps)
    drawn = rng.normal(0, 4, (1, 300, labels)) + rng.normal(0, 1.5, (steps, 300, labels))
    table = np.exp(drawn) / np.exp(drawn).sum(-1, keepdims=True)
    mean, answer = table.mean(0), table[-1].argmax(-1)
    others = np.where(np.arange(labels) == answer[:, None], -1.0, mean)
    doubt = mean[np.arange(300), answer] - others.max(-1) <= MARGIN
    assert 0.1 < doubt.mean() < 0.9
    expected = np.where(doubt, others.argmax(-1), answer)
    found = choice(*table.tolist(), labels=tuple(range(labels)))
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.parametrize("keep", ["labels", "all"])
def test_it_lies_in_the_trace_in_memory_on_disk_and_in_a_copy(keep: str, tmp_path: Path) -> None:
    bundle, scan = fakes.bundle(MadeRouting(n_steps=3, drift=0.3)), fakes.ball((20, 24, 24))
    trace = predict(bundle, scan, keep=keep, **EXACT).trace
    assert trace.second is not None
    assert trace.second.shape == trace.geometry.shape
    list(segment(bundle, scan, keep=keep, store=tmp_path / "a.trace", **EXACT))
    stored = Trace.load(tmp_path / "a.trace")
    np.testing.assert_array_equal(np.asarray(stored.second[:]), trace.second)
    copy = Trace.load(stored.save(tmp_path / "b.trace"))
    np.testing.assert_array_equal(np.asarray(copy.second[:]), trace.second)


def test_it_is_the_same_where_extras_are_kept() -> None:
    """Extras follow the steps along the first axis: the answer is the last step, not the last extra."""
    bundle, scan = fakes.bundle(MadeRouting(n_steps=3, drift=0.3)), fakes.ball((20, 24, 24))
    plain, full = (predict(bundle, scan, keep=keep, **EXACT).trace for keep in ("labels", "all"))
    assert (np.asarray(full.extras["draft"][-1]) != np.asarray(full.labels[-1])).any()
    np.testing.assert_array_equal(full.second, plain.second)


def test_with_the_last_step_alone_it_is_not_kept_and_old_traces_have_none() -> None:
    trace = predict(fakes.bundle(MadeRouting()), fakes.ball((20, 24, 24)), keep="last", **EXACT).trace
    assert trace.second is None
    assert all(answers.kind != "choices" for answers in offered(trace))


def test_places_in_doubt_say_what_the_network_nearly_said() -> None:
    trace = predict(fakes.bundle(MadeRouting()), fakes.ball((20, 24, 24)), keep="labels", **EXACT).trace
    second = np.asarray(trace.labels[-1]).copy()
    second[4:12, 4:12, 4:12] = 1 - second[4:12, 4:12, 4:12]
    found = regions(offered(replace(trace, second=second))[0])
    assert found.answers.title == "first and second choice"
    assert sum(place.indices.size for place in found.places) == 8**3
    assert {place.sentence for place in found.places} <= {
        f"the network nearly said {trace.names[1]}",
        "the network nearly said background",
    }


@pytest.mark.parametrize("kernels", [True, False])
def test_a_label_that_wins_nowhere_near_is_a_second_choice_with_kernels_and_without(
    kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lesion that the network nearly found on four planes, and found on none."""
    monkeypatch.setattr(switches, "is_enabled", lambda group: kernels)
    scan, lesion = fakes.ball((20, 24, 24)), (slice(8, 12), slice(8, 14), slice(8, 14))
    scan.data[:] = 0.0
    scan.data[0][lesion] = 0.49  # probabilities 0.6 and 0.4
    trace = predict(fakes.bundle(fakes.Nearest(n_steps=2)), scan, keep="labels", **EXACT).trace
    assert not np.asarray(trace.labels[-1]).any()
    expected = np.zeros(trace.geometry.shape, np.uint8)
    expected[lesion] = 1
    np.testing.assert_array_equal(trace.second, expected)
