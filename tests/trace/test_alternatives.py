"""What other settings would have cost and changed, from one trace."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fakes
from made_traces import made_trace
from voxtrace.errors import Cancelled
from voxtrace.inference import predict
from voxtrace.trace import Provenance, Trace, WhatIf, what_if
from voxtrace.volume import Geometry

EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}


def drawn(**changes: object) -> Trace:
    """Three steps of two windows side by side along x, of four voxels each.

    The left window changes a voxel in the second step and one in the third, the right one two in the third.
    """
    steps = [
        [1, 1, 0, 0, 1, 0, 0, 0],
        [1, 1, 1, 0, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 0],
    ]
    shape = (1, 1, 8)
    trace = Trace(
        np.reshape(np.array(steps, np.uint8), (3, *shape)),
        {"changed_fraction": np.float32([[0.5, 0.25], [0.25, 0.0], [0.25, 0.5]])},
        np.array([(0, 0, 0, 1, 1, 4), (0, 0, 4, 1, 1, 8)]),
        {},
        Geometry.from_spacing(shape, (1.0, 1.0, 1.0)),
        {0: "background", 1: "liver"},
        "cycle",
        network_shape=shape,
        provenance=Provenance(seconds=10.0, stage_seconds={"network": 6.0}),
    )
    return replace(trace, **changes)  # type: ignore[arg-type]


def rows(trace: Trace) -> dict[str, WhatIf]:
    return {row.name: row for row in what_if(trace)}


def test_fewer_steps_are_counted_from_the_labels() -> None:
    found = rows(drawn())
    assert found["as it was run"] == WhatIf("as it was run", 3, 1.0, 10.0, 0, True)
    assert found["stop after 1 cycle"] == WhatIf("stop after 1 cycle", 1, pytest.approx(1 / 3), 6.0, 4, True)
    assert found["stop after 2 cycles"] == WhatIf("stop after 2 cycles", 2, pytest.approx(2 / 3), 8.0, 3, True)


def test_a_window_that_stops_early_keeps_its_labels() -> None:
    found = rows(drawn())
    # The right window changed nothing in the second step and stops there: two voxels of the third are missed.
    assert found["stop early below 0 %"] == WhatIf(
        "stop early below 0 %", 2.5, pytest.approx(5 / 6), pytest.approx(9.0), 2, True
    )
    quarter = drawn(facts={"changed_fraction": np.float32([[0.5, 0.25], [0.05, 0.0], [0.25, 0.5]])})
    assert rows(quarter)["stop early below 5 %"].changed_voxels == 3
    assert rows(quarter)["stop early below 5 %"].steps == 2


def test_overlapping_windows_are_an_estimate_by_the_nearest_centre() -> None:
    overlapping = drawn(windows=np.array([(0, 0, 0, 1, 1, 6), (0, 0, 2, 1, 1, 8)]))
    assert not rows(overlapping)["stop early below 0 %"].measured
    assert rows(overlapping)["stop after 2 cycles"].measured


def test_an_early_stop_is_foretold_as_it_comes() -> None:
    # Each step lowers the intensity, so that windows change until their labels are settled; windows do not overlap.
    bundle, volume = fakes.bundle(fakes.Nearest(n_steps=4, drift=0.2)), fakes.ball((16, 32, 32), radius_mm=6.0)
    volume.data[:, :8, :16] *= 0.7
    options = {**EXACT, "overlap": 0.0, "keep": "labels"}
    full = predict(bundle, volume, **options).trace
    for threshold in (0.0, 0.01, 0.05):
        early = predict(bundle, volume, settle=threshold, **options).trace
        foretold = rows(full)[f"stop early below {100 * threshold:g} %"]
        assert foretold.measured
        assert foretold.changed_voxels == np.count_nonzero(early.labels[-1] != full.labels[-1])
        assert foretold.window_steps_fraction == pytest.approx(float(early.facts["computed"].mean()))
        assert rows(early)["as it was run"].window_steps_fraction == pytest.approx(foretold.window_steps_fraction)
    assert 0 < rows(full)["stop early below 5 %"].window_steps_fraction < 1


def test_a_choice_everywhere_has_a_cost_and_no_labels() -> None:
    found = rows(made_trace())
    # 7 GFLOP were spent; the small branch everywhere costs 4 and the large one 16. The network took 10 of 12.5 s.
    assert found["every window by small"] == WhatIf(
        "every window by small", 3, pytest.approx(4 / 7), pytest.approx(2.5 + 10 * 4 / 7), None, False
    )
    assert found["every window by large"].window_steps_fraction == pytest.approx(16 / 7)
    assert "every window by none" not in found


def test_a_choice_in_place_of_a_free_one_costs_what_its_windows_would() -> None:
    found = rows(made_trace())
    # One of four windows went to "none", which costs nothing; 7 GFLOP were spent.
    assert found["small in place of none"] == WhatIf(
        "small in place of none", 3, pytest.approx(8 / 7), pytest.approx(2.5 + 10 * 8 / 7), None, False
    )
    assert found["large in place of none"].window_steps_fraction == pytest.approx(11 / 7)
    assert "none in place of none" not in found


def test_windows_that_were_skipped_would_cost_as_much_as_those_that_ran() -> None:
    three = np.array([(0, 0, 0, 1, 1, 4)] * 3)
    found = rows(drawn(window_sets={"skipped": three}))["no window skipped"]  # beside the two that ran
    assert found == WhatIf("no window skipped", 3, 2.5, pytest.approx(4.0 + 6.0 * 2.5), None, False)
    assert "no window skipped" not in rows(drawn(window_sets={"discarded": three}))


def test_without_all_steps_only_costs_are_told() -> None:
    trace = drawn(labels=drawn().labels[-1:], provenance=Provenance())
    found = rows(trace)
    assert found["stop after 1 cycle"] == WhatIf("stop after 1 cycle", 1, pytest.approx(1 / 3), None, None, True)
    assert found["stop early below 0 %"].changed_voxels is None


def test_a_single_step_has_no_alternatives() -> None:
    trace = drawn(labels=drawn().labels[-1:], facts={"changed_fraction": np.float32([[0.5, 0.25]])})
    assert list(rows(trace)) == ["as it was run"]


def test_it_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        what_if(drawn(), cancel=lambda: True)


def test_many_overlapping_windows_take_little_time() -> None:
    shape = (16, 256, 256)
    rng = np.random.default_rng(0)
    starts = np.stack(np.meshgrid([0, 4, 8], range(0, 225, 16), range(0, 225, 16), indexing="ij"), -1).reshape(-1, 3)
    trace = drawn(
        labels=rng.integers(0, 2, (3, *shape), np.uint8),
        geometry=Geometry.from_spacing(shape, (1.0, 1.0, 1.0)),
        facts={"changed_fraction": rng.random((3, len(starts))).astype(np.float32)},
        windows=np.concatenate([starts, np.add(starts, (8, 32, 32))], 1),
        network_shape=shape,
    )
    began = time.perf_counter()
    assert len(what_if(trace)) == 1 + 2 + 5
    assert time.perf_counter() - began < 5.0
