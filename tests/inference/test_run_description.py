"""What the engine writes into a trace beside planes and facts: for every method alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import fakes
from made_methods import MadeRouting
from voxtrace.bundle import Bundle, card, load, save
from voxtrace.errors import MethodError
from voxtrace.inference import predict
from voxtrace.methods.cdlunet import CDLUNet
from voxtrace.plan import Plan
from voxtrace.trace import Trace
from voxtrace.trace.places import along_slices, cost_sentence, window_groups
from voxtrace.version import __version__
from voxtrace.windows import Adaptive, Decision, Window, Windowing

EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}


def test_a_method_that_declares_everything_fills_both_rulers(tmp_path: Path) -> None:
    bundle = fakes.bundle(MadeRouting(n_steps=3, drift=0.3))
    result = predict(bundle, fakes.ball((20, 24, 24)), keep="all", store=tmp_path / "a.trace", seed=7, **EXACT)
    trace = Trace.load(tmp_path / "a.trace")
    assert [row.name for row in trace.rows] == ["answer", "draft"]
    rows = {row.name: row for row in along_slices(trace, 2)}
    assert rows["choice"].value_names == ("leave", "look")
    assert rows["branch"].costs == (0.0, 1.0, 4.0)
    assert set(rows) == {"branch", "brightest", "cost_gflop", "choice", "area 1"} | {
        "changed_fraction",
        "changed_voxels",
        "entropy",
    }
    assert cost_sentence(trace, rows["branch"])
    assert sum(len(group.boxes) for group in window_groups(trace)) == len(trace.windows)
    assert trace.charts[0].series == ("same", "coarser")
    assert np.isfinite(trace.map_ranges()["heat"]).all()
    told = trace.provenance
    assert (told.method, told.method_title, told.bundle, told.version, told.seed, told.scan) == (
        "made_routing",
        "Made-up routing",
        "fake",
        __version__,
        7,
        "ball",
    )
    assert told.options["keep"] == "all"
    assert told.options["steps"] == 3  # what was used where nothing was asked for
    assert told.options["options"]["drift"] == 0.3
    assert told.seconds is not None
    assert 0 < told.stage_seconds["network"] < told.seconds <= result.seconds


def test_the_hash_of_the_weights_is_that_of_the_bundle(tmp_path: Path) -> None:
    plan = Plan.example(labels=2, window=(8, 16, 16))
    method = CDLUNet()
    plan = method.adapt(plan)
    folder = save(Bundle(method, plan, method.build(plan).eval(), {"name": "light"}), tmp_path / "light")
    trace = predict(load(folder), fakes.ball((8, 16, 16)), **EXACT).trace
    assert trace.provenance.weights_sha256 == card(folder)["files"]["weights.safetensors"]
    assert trace.provenance.bundle == "light"


class _Sparse(fakes.Nearest):
    """Looks where the centre of a z start is not empty."""

    def windowing(self, plan: Plan) -> Windowing:
        schedule = Adaptive(rule="code")
        return Windowing(schedule, keeps=schedule.keeps)


def test_windows_that_were_skipped_or_discarded_are_in_the_trace() -> None:
    # Foreground lies in the last planes alone: the centre at z = 0 is empty, which skips the start at z = 4, too.
    volume = fakes.ball((16, 32, 32), value=0.0)
    volume.data[:, 12:] = 1.0
    trace = predict(fakes.bundle(_Sparse()), volume, **EXACT).trace
    groups = {group.name: group.boxes for group in window_groups(trace)}
    assert {name: len(boxes) for name, boxes in groups.items()} == {"visited": 9, "skipped": 17, "discarded": 1}
    assert sorted({box[0] for box in groups["skipped"]}) == [-0.5, 3.5]
    assert groups["discarded"].tolist() == [[-0.5, 7.5, 7.5, 7.5, 23.5, 23.5]]


def test_neighbours_of_a_tube_that_need_not_run_are_skipped() -> None:
    schedule = Adaptive(1000.0, frozenset({1}))((8, 32, 32), (8, 16, 16), 0.5)
    (centre,) = next(schedule)
    labels = np.zeros((8, 16, 16), np.uint8)
    labels[:, 0] = 1  # reaches the face towards lower y
    decision = Decision(centre, {}, labels)
    row = schedule.send([decision])
    assert [tuple(window) for window in row] == [(0, 0, 8)]
    with pytest.raises(StopIteration) as stop:
        schedule.send([Decision(window, {}, labels) for window in row])
    assert len(stop.value.value) == 7
    assert Window(0, 0, 8) not in stop.value.value


def test_names_of_values_need_an_index_fact() -> None:
    class Wrong(MadeRouting):
        value_names: ClassVar[dict[str, tuple[str, ...]]] = {"cost_gflop": ("cheap", "dear")}

    with pytest.raises(MethodError, match="names the values of 'cost_gflop', which is no fact"):
        Wrong()
