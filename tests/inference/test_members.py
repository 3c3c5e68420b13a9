"""Several seeds, or several bundles: each answer is a member, the majority is the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fakes
from voxtrace.errors import Cancelled, MethodError, UsageError
from voxtrace.inference import Progress, predict, segment
from voxtrace.trace import Trace
from voxtrace.trace.combine import majority

EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}


NOISY = fakes.bundle(fakes.Noisy(n_steps=2))
BALL = fakes.ball((12, 20, 20))


@pytest.mark.parametrize("stored", [True, False])
def test_each_seed_is_a_member_and_the_majority_is_the_answer(tmp_path: Path, stored: bool) -> None:
    store = tmp_path / "a.trace" if stored else None
    result = predict(NOISY, BALL, keep="labels", seed=4, seeds=3, store=store, **EXACT)
    alone = [predict(NOISY, BALL, keep="labels", seed=seed, **EXACT).trace.labels for seed in (4, 5, 6)]
    assert list(result.trace.members) == ["seed 4", "seed 5", "seed 6"]
    for member, labels in zip(result.trace.members.values(), alone, strict=True):
        assert np.array_equal(np.asarray(member[:]), labels)
    assert not np.array_equal(alone[0], alone[1])
    voted = np.stack([majority(np.stack([labels[step] for labels in alone])) for step in range(2)])
    assert np.array_equal(np.asarray(result.trace.labels[:]), voted)
    assert np.array_equal(result.labels.data, voted[-1])
    told = result.trace.provenance
    assert (told.bundle, told.seed, told.options["seeds"]) == ("fake", 4, 3)
    assert result.facts["members"] == 3
    if store:
        assert [path.name for path in tmp_path.iterdir()] == ["a.trace"]
        assert list(Trace.load(store).members) == list(result.trace.members)


def test_several_seeds_of_a_method_without_chance_are_refused() -> None:
    with pytest.raises(MethodError, match="draws no random numbers, so 3 seeds would give one answer"):
        predict(fakes.bundle(), BALL, seeds=3, **EXACT)


def test_several_bundles_vote_where_each_answer_is_kept() -> None:
    one, other = fakes.bundle(fakes.Nearest(n_steps=1)), fakes.bundle(fakes.Nearest(n_steps=3, drift=0.3))
    trace = predict([one, other], BALL, keep="labels", members=True, **EXACT).trace
    assert list(trace.members) == ["fake 1", "fake 2"]
    assert trace.n_steps == 3
    expected = predict(one, BALL, keep="labels", **EXACT).trace.labels
    assert np.array_equal(np.asarray(trace.members["fake 1"])[2], expected[0])


def test_seeds_of_several_bundles_have_both_names() -> None:
    trace = predict([NOISY, NOISY], BALL, members=True, seeds=2, **EXACT).trace
    assert list(trace.members) == ["fake 1 · seed 0", "fake 1 · seed 1", "fake 2 · seed 0", "fake 2 · seed 1"]


def test_bundles_that_cannot_vote_are_refused() -> None:
    with pytest.raises(UsageError, match="give at least two"):
        predict(fakes.bundle(), BALL, members=True, **EXACT)
    with pytest.raises(UsageError, match=r"has labels .* only bundles with the same can vote"):
        predict([fakes.bundle(), fakes.bundle(labels=3)], BALL, members=True, **EXACT)


def test_progress_counts_all_runs() -> None:
    reports = [p for p in segment(NOISY, BALL, seeds=2, **EXACT) if p.stage == "segmenting"]
    assert [p.message.split(":")[0] for p in (reports[0], reports[-1])] == ["seed 0", "seed 1"]
    assert [p.done for p in reports] == sorted(p.done for p in reports)
    assert reports[-1].done == reports[-1].total


def test_nothing_is_left_behind_when_the_second_run_is_cancelled(tmp_path: Path) -> None:
    reached: list[Progress] = []

    def cancel() -> bool:
        return bool(reached) and reached[-1].message.startswith("seed 1")

    task = segment(NOISY, BALL, seeds=2, store=tmp_path / "a.trace", cancel=cancel, **EXACT)
    with pytest.raises(Cancelled):
        reached.extend(iter(lambda: next(task), None))
    assert any(p.message.startswith("seed 1") for p in reached)
    assert list(tmp_path.iterdir()) == []
