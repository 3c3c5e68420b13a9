"""Several traces in one: votes, members and agreement."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from made_traces import made_trace
from voxtrace.errors import Cancelled, UsageError
from voxtrace.trace import Provenance, Trace, agreement, combine
from voxtrace.trace.combine import majority
from voxtrace.volume import Array, Geometry

SHAPE = (2, 1, 3)


def of(*steps: list[int], **changes: object) -> Trace:
    """A trace of 2 × 1 × 3 voxels, the labels of each step in a row."""
    labels = np.reshape(np.array(steps, np.uint8), (len(steps), *SHAPE))
    geometry = Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0))
    names = {0: "background", 1: "liver", 2: "spleen", 3: "spine"}
    trace = Trace(labels, {}, np.zeros((0, 6), np.int64), {}, geometry, names)
    return replace(trace, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("stored", [True, False])
def test_the_answer_is_the_majority_and_each_answer_is_a_member(tmp_path: Path, stored: bool) -> None:
    traces = [of([1, 1, 0, 0, 2, 3]), of([1, 2, 0, 3, 2, 2]), of([0, 2, 0, 1, 2, 1])]
    folder = tmp_path / "all.trace" if stored else None
    trace = combine(traces, ["a", "b", "c"], folder)
    assert np.asarray(trace.labels[:]).ravel().tolist() == [1, 2, 0, 0, 2, 3]  # a tie goes to the first, a
    assert [np.asarray(member[:]).ravel().tolist() for member in trace.members.values()] == [
        [1, 1, 0, 0, 2, 3],
        [1, 2, 0, 3, 2, 2],
        [0, 2, 0, 1, 2, 1],
    ]
    assert list(trace.members) == ["a", "b", "c"]
    thirds = (np.array([2, 2, 3, 1, 3, 1]) / 3).tolist()
    assert np.asarray(trace.maps["agreement"][:]).ravel().tolist() == pytest.approx(thirds)
    assert agreement(trace, 0).ravel().tolist() == pytest.approx(thirds)
    assert agreement(trace, 0, 1, 2).ravel().tolist() == pytest.approx(thirds[3:])
    if folder:
        assert list(Trace.load(folder).members) == ["a", "b", "c"]


def test_members_of_fewer_steps_keep_their_last_answer() -> None:
    trace = combine([of([1] * 6), of([0] * 6, [2] * 6, [1] * 6)], ["one", "three"])
    assert np.asarray(trace.members["one"]).max((1, 2, 3)).tolist() == [1, 1, 1]
    assert np.asarray(trace.labels).max((1, 2, 3)).tolist() == [1, 1, 1]
    assert [row.name for row in trace.rows] == ["answer", "one", "three"]
    assert [float(agreement(trace, step).mean()) for step in range(3)] == [0.5, 0.5, 1.0]


@given(arrays(np.uint8, (5, 2, 3, 4), elements=st.integers(0, 3)))
def test_a_majority_is_at_least_as_frequent_as_any_other_label(planes: Array) -> None:
    answer = majority(planes)
    counts = np.stack([(planes == label).sum(0) for label in range(4)])
    assert np.array_equal(np.take_along_axis(counts, answer[None].astype(int), 0)[0], counts.max(0))


def test_without_a_tie_the_order_of_members_does_not_matter() -> None:
    planes = np.array([[1, 1, 2], [1, 2, 2], [3, 2, 2]], np.uint8)
    assert {tuple(majority(planes[list(order)]).tolist()) for order in permutations(range(3))} == {(1, 2, 2)}


def test_facts_of_one_set_of_windows_are_means_and_choices_those_of_the_first() -> None:
    first = made_trace()
    second = replace(
        first,
        facts={name: values + 1 for name, values in first.facts.items()},
        slice_facts={name: values + 1 for name, values in first.slice_facts.items()},
    )
    trace = combine([first, second], ["a", "b"])
    assert np.allclose(trace.facts["cost_gflop"], first.facts["cost_gflop"] + 0.5)
    assert np.array_equal(trace.facts["branch"], first.facts["branch"])
    assert np.allclose(trace.slice_facts["brightest"], first.slice_facts["brightest"] + 0.5, equal_nan=True)
    assert np.array_equal(trace.slice_facts["choice"], first.slice_facts["choice"])
    # counted anew from the vote
    assert np.array_equal(trace.slice_facts["changed_voxels"], first.slice_facts["changed_voxels"])
    assert np.array_equal(trace.windows, first.windows)
    assert list(trace.extras) == ["draft"]
    assert list(trace.maps) == ["heat", "agreement"]
    assert np.array_equal(trace.maps["heat"], first.maps["heat"], equal_nan=True)
    other = combine([first, replace(second, windows=first.windows + 1)], ["a", "b"])
    assert other.facts == {}
    assert len(other.windows) == 0


def test_provenance_is_joined() -> None:
    def told(bundle: str, seconds: float, demonstration: bool) -> Provenance:
        return Provenance(
            "m", "M", bundle, seconds=seconds, demonstration=demonstration, stage_seconds={"network": 1.0}
        )

    traces = [of([1] * 6, provenance=told("x", 2.0, False)), of([1] * 6, provenance=told("y", 3.0, True))]
    found = combine(traces, ["a", "b"]).provenance
    assert found == Provenance("m", "M", "x + y", seconds=5.0, demonstration=True, stage_seconds={"network": 2.0})


def test_what_was_removed_of_one_answer_is_not_told_of_the_joined_one() -> None:
    removed = {"lung": {"rule": "largest", "pieces": 2, "removed_ml": 3.0}}
    told = [
        Provenance(bundle="x", temperatures=(2.0,), post_processing=removed),
        Provenance(bundle="y", temperatures=(1.5,)),
        Provenance(bundle="x", temperatures=(2.0,)),  # another seed
    ]
    found = combine([of([1] * 6, provenance=one) for one in told], ["a", "b", "c"]).provenance
    assert found.post_processing == {}
    assert found.temperatures == (2.0, 1.5)


def test_traces_that_cannot_be_combined_are_refused() -> None:
    one = of([1] * 6)
    with pytest.raises(UsageError, match="at least two"):
        combine([one], ["a"])
    with pytest.raises(UsageError, match="a name of its own"):
        combine([one, one], ["a", "a"])
    moved = replace(one, geometry=Geometry.from_spacing(SHAPE, (1.0, 1.0, 2.0)))
    with pytest.raises(UsageError, match="b lies on another grid than a"):
        combine([one, moved], ["a", "b"])
    with pytest.raises(UsageError, match="one list"):
        combine([one, replace(one, names={0: "background", 1: "lung"})], ["a", "b"])


def test_combining_can_be_cancelled(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        combine([of([1] * 6), of([2] * 6)], ["a", "b"], tmp_path / "x.trace", cancel=lambda: True)
    assert list(tmp_path.iterdir()) == []
