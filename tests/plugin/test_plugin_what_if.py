"""What if: the table from a trace, the options that run a row, and a row that was run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_plugin_think import FORCE, Session

from made_layers import ImmediateRunner, Recorded, made_trace
from voxtrace.errors import InputError
from voxtrace.inference.options import PredictOptions
from voxtrace.methods import METHODS
from voxtrace.plugin.controllers.what_if import NOTHING, WhatIfController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.models.methods import Capabilities, MethodRegistry, capabilities
from voxtrace.plugin.models.what_if import MeasuredSetting, options_for, rows
from voxtrace.plugin.work import jobs
from voxtrace.trace import WhatIf
from voxtrace.trace.alternatives import NOTHING_SKIPPED

ABLE = Capabilities("m", "cycle", 3, 9, (FORCE,), value_names={"network": ("skip", "S", "L")})
FOUND = (
    WhatIf("as it was run", 3.0, 1.0, 9.0, 0, True),
    WhatIf("stop after 1 cycle", 1.0, 1 / 3, 3.4, 120, True),
    WhatIf("stop early below 0.1 %", 1.5, 0.5, None, None, False),
    WhatIf("every window by L", 3.0, 2.0, 18.0, None, False),
)


def test_each_row_says_how_its_numbers_are_known() -> None:
    table = rows(FOUND, PredictOptions(), ABLE)
    assert [(row.time, row.work, row.changed, row.how) for row in table] == [
        ("9.0 s", "100%", "0", ""),
        ("about 3 s", "33%", "120", "from the trace"),
        ("–", "50%", "–", "estimated"),
        ("about 20 s", "200%", "–", "estimated"),
    ]
    run = rows(FOUND, PredictOptions(), ABLE, {"stop early below 0.1 %": MeasuredSetting(4.25, 7)})[2]
    assert (run.time, run.changed, run.how) == ("4.2 s", "7", "measured")


def test_a_row_becomes_the_options_that_run_it() -> None:
    table = rows(FOUND, PredictOptions(overlap=0.25), ABLE)
    assert table[0].options is None
    assert [row.options.steps for row in table[1:]] == [1, None, None]
    assert [row.options.settle for row in table[1:]] == [None, 0.001, None]
    assert table[3].options.method_options == {"force": "two"}
    assert all(row.options.overlap == 0.25 for row in table[1:])
    assert options_for("every window by S", PredictOptions(), ABLE).method_options == {"force": "one"}
    assert options_for("every window by skip", PredictOptions(), ABLE) is None


def test_a_run_that_skips_nothing_has_options_where_the_method_can_be_told_to() -> None:
    able_to = [capabilities(kind()) for kind in METHODS.values()]
    assert sum(options_for(NOTHING_SKIPPED, PredictOptions(), able) is not None for able in able_to) == 1
    able = replace(ABLE, every_window={"windows": "regular"})
    before = PredictOptions(method_options={"alpha": 1})
    assert options_for(NOTHING_SKIPPED, before, able).method_options == {"alpha": 1, "windows": "regular"}
    assert options_for(NOTHING_SKIPPED, before, ABLE) is None
    assert options_for("S in place of skip", before, able) is None


@pytest.fixture
def session(model: Any, bundle: Path) -> Session:
    return Session(model, bundle)


def table_of(session: Session, runner: ImmediateRunner | None = None) -> tuple[WhatIfController, Recorded]:
    view, runner = Recorded(), runner or session.runner
    registry = session.think._bundles
    made = WhatIfController(session.model, session.current, registry, MethodRegistry(METHODS), view, runner)
    return made, view


def test_the_current_result_is_compared_with_fewer_steps(session: Session) -> None:
    _, view = table_of(session)
    of, table = view.last("set_rows")
    assert of == session.base.name
    assert [row.name for row in table[:3]] == ["As it was run", "Stop after 1 cycle", "Stop after 2 cycles"]
    steps = session.base.data
    expected = int(np.count_nonzero(steps.station(0) != steps.station(2)))
    assert table[1].changed == f"{expected:,}"


def test_a_row_that_was_run_is_measured_and_agrees_with_the_trace(session: Session) -> None:
    controller, view = table_of(session)
    before = view.last("set_rows")[1][1]
    controller.run_row(1)
    after = view.last("set_rows")[1][1]
    assert after.how == "measured"
    assert after.changed == before.changed  # what the trace said without running
    second = session.current.layer
    assert second.name.endswith("what if steps 1")
    assert second.data.n_steps == 1
    assert session.base.visible


@pytest.mark.parametrize("end", ["fails", "is stopped", "is stopped by closing the scan"])
def test_after_a_run_without_a_result_the_table_follows_the_current_result_again(
    session: Session, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    def segment(request: Any, cancel: Any) -> Any:
        yield JobStage("going")
        raise InputError("no such luck.")

    runner, scan = ImmediateRunner(held=True), session.current.scan
    controller, view = table_of(session, runner)
    monkeypatch.setattr(jobs, "segment", segment)
    controller.run_row(1)
    labels, about, _ = display.trace_layer(made_trace(), "other", "")
    session.model.add_labels(labels, **about)
    assert view.last("set_rows")[0] == session.base.name  # while the run goes on
    if end == "fails":
        runner.let_go()
        assert view.state.message == "no such luck."
    elif end == "is stopped":
        controller.cancel()
        assert "topped" in view.state.message
    else:
        session.model.layers.remove(scan)
        assert view.state.message.startswith("The scan was closed")
    assert view.last("set_rows")[0] == "other"
    session.model.layers.selection.active = session.base
    assert view.last("set_rows")[0] == session.base.name


def test_without_a_result_it_says_what_to_do(model: Any) -> None:
    from voxtrace.plugin.controllers.current import CurrentResult
    from voxtrace.plugin.models.bundles import BundleRegistry

    view = Recorded()
    WhatIfController(model, CurrentResult(model), BundleRegistry([]), MethodRegistry(), view, ImmediateRunner())
    assert view.state.message == NOTHING
    assert view.last("set_rows") == ("", ())
