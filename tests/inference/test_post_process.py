"""Small pieces of labels are removed from the answer: what is shown, saved and counted is one thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fakes
from voxtrace.errors import UsageError
from voxtrace.fit.pieces import PieceRule, Pieces, parse_rules, remove_pieces
from voxtrace.inference import predict, segment
from voxtrace.inference.progress import Result
from voxtrace.trace import StepCounts, Trace
from voxtrace.volume import Array, Geometry, Volume

SHAPE = (8, 16, 16)
BIG, SMALL = (slice(1, 5), slice(2, 8), slice(2, 8)), (slice(6, 8), slice(12, 14), slice(12, 14))  # 144 and 8 voxels
NAMES = {1: "liver", 2: "lesion"}


def scan() -> Volume:
    """Label 1 in two pieces, label 2 in a piece of one voxel."""
    data = np.zeros(SHAPE, np.float32)
    data[BIG] = data[SMALL] = 1.0
    data[0, 0, 0] = 2.0
    return Volume(data[None], Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0)), name="pieces")


def bundle(**rules: str) -> Any:
    made = fakes.bundle(fakes.Nearest(n_steps=2, drift=0.6), labels=3)
    plan = made.plan.model_copy(update={"labels": {0: "background", **NAMES}})
    return replace(made, plan=plan, card={**made.card, "post_processing": {"labels": rules, "tried": {}}})


def ran(made: Any, store: Path | None = None, **options: Any) -> Result:
    task = segment(made, scan(), keep="labels", device="cpu", precision="float32", store=store, **options)
    while True:
        try:
            next(task)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def counted(labels: Array) -> StepCounts:
    counts = StepCounts.empty(len(labels), 3)
    counts.add(labels)
    return counts


@pytest.mark.parametrize("on_disk", [False, True])
def test_answer_trace_and_counts_are_one_thing(tmp_path: Path, on_disk: bool) -> None:
    result = ran(bundle(liver="largest"), tmp_path / "a.trace" if on_disk else None)
    labels = np.asarray(result.trace.labels[:])
    assert np.array_equal(labels[-1], result.labels.data)
    assert not result.labels.data[SMALL].any()
    assert (result.labels.data[BIG] == 1).all()
    assert result.labels.data[0, 0, 0] == 2  # another label, without a rule
    assert labels[0][SMALL].any()  # the step before is as the network gave it
    fresh = counted(labels)
    assert np.array_equal(result.trace.counted().counts, fresh.counts)
    assert np.array_equal(result.trace.counted().changed, fresh.changed)
    assert np.array_equal(result.trace.label_areas(), fresh.areas)
    assert np.array_equal(result.trace.settled_at(), StepCounts.empty(2, 3).add(labels))
    assert result.trace.summary()[-1]["volume_ml"][1] == pytest.approx(0.144)
    assert np.array_equal(result.trace.slice_facts["changed_voxels"], fresh.changed_per_slice)


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_piece_that_went_is_no_doubt_of_the_network(tmp_path: Path, on_disk: bool) -> None:
    """The network was sure of every voxel, so that the second choice is the answer, without the piece as well."""
    made = replace(bundle(liver="largest"), method=fakes.Nearest())
    result = ran(made, tmp_path / "a.trace" if on_disk else None)
    assert result.facts["post_processing"]["liver"]["pieces"] == 1
    assert result.trace.second is not None
    np.testing.assert_array_equal(np.asarray(result.trace.second[:]), result.labels.data)


def test_the_trace_and_the_facts_say_what_went(tmp_path: Path) -> None:
    result = ran(bundle(liver="largest", lesion="10"), tmp_path / "a.trace")
    told = {
        "liver": {"rule": "largest", "pieces": 1, "removed_ml": 0.008},
        "lesion": {"rule": "10", "pieces": 1, "removed_ml": 0.001},
    }
    assert result.facts["post_processing"] == told
    assert Trace.load(tmp_path / "a.trace").provenance.post_processing == told
    assert result.trace.provenance.options["post_processing"] == "auto"
    assert result.trace.provenance.stage_seconds["post-processing"] >= 0


def test_none_leaves_the_answer_of_the_network(tmp_path: Path) -> None:
    plain = ran(bundle(), tmp_path / "a.trace")
    turned_off = ran(bundle(liver="largest"), tmp_path / "b.trace", post_processing="none")
    assert np.array_equal(plain.labels.data, turned_off.labels.data)
    assert turned_off.labels.data[SMALL].all()
    assert turned_off.trace.provenance.post_processing == {}
    assert "post_processing" not in turned_off.facts


def test_a_user_may_ask_for_rules_of_every_label() -> None:
    found = predict(bundle(), scan(), post_processing="largest,lesion=5", device="cpu", precision="float32")
    assert not found.labels.data[SMALL].any()
    assert found.labels.data[0, 0, 0] == 0


@pytest.mark.parametrize("text", ["liver=biggest", "kidney=largest", "", "liver=-3", "liver=nan", "liver=inf"])
def test_rules_that_do_not_exist_are_refused_before_anything_runs(text: str) -> None:
    with pytest.raises(UsageError, match="post-processing"):
        next(segment(bundle(), scan(), post_processing=text))


def test_several_bundles_keep_to_what_all_their_cards_say() -> None:
    agreeing = [bundle(liver="largest", lesion="10"), bundle(liver="largest")]
    found = predict(agreeing, scan(), device="cpu", precision="float32")
    assert set(found.facts["post_processing"]) == {"liver"}
    assert found.labels.data[0, 0, 0] == 2


def test_the_vote_of_members_is_processed_and_members_are_not(tmp_path: Path) -> None:
    members = [bundle(liver="largest"), bundle(liver="largest")]
    result = ran(members, tmp_path / "a.trace", members=True)
    assert not result.labels.data[SMALL].any()
    assert np.array_equal(np.asarray(result.trace.labels[-1]), result.labels.data)
    assert all(np.asarray(labels[-1])[SMALL].all() for labels in result.trace.members.values())
    assert result.facts["post_processing"]["liver"]["pieces"] == 1
    assert result.trace.provenance.options["post_processing"] == "auto"


def test_pieces_touch_at_a_corner_and_the_first_of_equal_ones_stays() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = 1  # one piece
    labels[3, 3, 2:] = 1  # another of two voxels
    assert Pieces.of(labels, 1).voxels.tolist() == [2, 2]
    kept, report = remove_pieces(labels, {1: PieceRule(largest=True)}, 1.0)
    assert kept[1, 1, 1] == 1
    assert not kept[3].any()
    assert report == {1: {"rule": "largest", "pieces": 1, "removed_ml": 0.002}}
    assert labels[3, 3, 3] == 1  # what was given is left


def test_a_piece_of_exactly_the_least_size_stays() -> None:
    labels = np.zeros((1, 1, 12), np.uint8)
    labels[0, 0, :10] = 1
    assert remove_pieces(labels, {1: PieceRule(least_mm3=1.0)}, 0.1)[0].sum() == 10
    assert remove_pieces(labels, {1: PieceRule(least_mm3=1.1)}, 0.1)[0].sum() == 0


def test_a_label_that_does_not_occur_loses_nothing() -> None:
    empty = np.zeros((2, 2, 2), np.uint8)
    for rule in (PieceRule(largest=True), PieceRule(least_mm3=9.0)):
        assert remove_pieces(empty, {1: rule}, 1.0)[1][1]["pieces"] == 0


def test_rules_are_read_as_written() -> None:
    assert parse_rules("none", NAMES) == {}
    assert parse_rules("lesion=50,largest", NAMES) == {1: PieceRule(largest=True), 2: PieceRule(least_mm3=50)}
    assert parse_rules("largest, liver=none", NAMES) == {2: PieceRule(largest=True)}
    assert parse_rules("a=b=50", {1: "a=b", 2: "c"}) == {1: PieceRule(least_mm3=50)}
