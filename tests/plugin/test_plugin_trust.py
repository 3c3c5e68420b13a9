"""What a model's validation tells of a result: intervals in the legend, and one line above the list of places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from made_layers import Recorded, made_trace
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.steps import StepsController
from voxtrace.plugin.controllers.trust import TrustController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.trust import interval_of, record_of, trust
from voxtrace.plugin.views.legend import LegendView
from voxtrace.trace import OTHERWISE, ExpectedDice, Provenance, Trace

INTERVALS = {"labels": {"1": {"cases": 20, "level": 0.95, "factors": [0.9, 1.2], "predicted_ml": [1.0, 4.0]}}}
LIKE = {"expected": {"cases": 20, "features": {"volume_ml": [0.001, 0.1]}}}
UNLIKE = {"expected": {"cases": 20, "features": {"volume_ml": [1.0, 2.0]}}}


def known(record: dict[str, Any]) -> KnownBundle:
    return KnownBundle("model", Path("model"), "m", ("CT",), {1: "liver"}, record=record)


def made_by(bundle: str) -> Trace:
    return replace(made_trace(), provenance=Provenance(bundle=bundle))


def test_the_legend_has_the_interval_of_each_volume() -> None:
    names, colours = {1: "liver", 2: "spleen"}, {1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0)}
    row = {"volume_ml": {1: 2.0, 2: 2.0}}
    liver, spleen = panel_state.legend(names, colours, row, interval_of({"intervals": INTERVALS}))
    assert (liver.volume_text, liver.interval_text) == ("2.00 mL", "(1.8–2.4)")
    assert (spleen.interval_ml, spleen.interval_text) == (None, "")
    assert panel_state.legend(names, colours, row)[0].interval_ml is None


@pytest.mark.parametrize(
    ("interval_ml", "text"), [((0.018, 0.024), "(0.02–0.02)"), ((1.8, 99.0), "(1.8–99.0)"), ((90.0, 120.4), "(90–120)")]
)
def test_intervals_have_the_digits_of_their_size(interval_ml: tuple[float, float], text: str) -> None:
    assert panel_state.LegendRow(1, (1.0, 1.0, 1.0), "liver", 1.0, interval_ml).interval_text == text


def test_the_record_is_that_of_the_model_that_made_the_trace() -> None:
    assert record_of([known(LIKE)], made_by("model")) == LIKE
    assert record_of([known(LIKE)], made_by("model + other")) == {}
    assert record_of([known(LIKE)], made_trace()) == {}
    assert record_of([known(LIKE)], None) == {}


def test_a_model_that_was_trained_anew_under_the_same_name_did_not_make_the_trace() -> None:
    now = replace(known(LIKE), weights_sha256="b0")
    for stated, found in (("b0", LIKE), ("a9", {}), ("", LIKE)):  # early traces do not state it
        made = replace(made_trace(), provenance=Provenance(bundle="model", weights_sha256=stated))
        assert record_of([now], made) == found
    assert record_of([known(LIKE)], made) == LIKE


def test_what_folds_were_measured_for_holds_for_their_average_and_not_for_their_vote() -> None:
    folds = replace(known(LIKE), predicts_as="fold_0 + fold_1")
    averaged = made_by("fold_0 + fold_1")
    assert record_of([folds], averaged) == LIKE
    assert record_of([folds], replace(averaged, members={"fold_0": averaged.labels})) == {}


def test_validation_tells_nothing_of_a_scan_that_the_model_does_not_fit() -> None:
    trace = replace(made_trace(), provenance=Provenance(bundle="model", fit="does not fit: the model is for MR"))
    assert record_of([known(LIKE)], trace) == {}


def test_validation_tells_nothing_of_an_answer_with_other_options() -> None:
    about = Provenance(bundle="model", expected_dice=OTHERWISE)
    assert record_of([known(LIKE)], replace(made_trace(), provenance=about)) == {}


def test_familiar_and_unfamiliar_cases_are_told_apart() -> None:
    like, unlike = trust(LIKE, {"volume_ml": 0.05}), trust(UNLIKE, {"volume_ml": 0.05})
    assert like is not None
    assert unlike is not None
    assert (like.sentence, like.level) == ("Like the validation cases", "done")
    assert unlike.sentence.startswith("Unlike them: look closely (the volume of all labels is 0.05 mL")
    assert unlike.level == "error"
    assert trust({}, {"volume_ml": 0.05}) is None


def test_the_expected_dice_of_the_trace_is_told_with_its_interval_or_why_it_is_not_known() -> None:
    told = trust(LIKE, {"volume_ml": 0.05}, ExpectedDice(0.9, (0.85, 0.94), 0.9, 0.61, 47))
    unknown = trust(LIKE, {"volume_ml": 0.05}, ExpectedDice(unknown="nothing was found in the scan"))
    assert told is not None
    assert unknown is not None
    assert told.sentence == (
        "Like the validation cases · Dice 0.90 expected, 0.85 to 0.94 in 90% of cases (rank correlation 0.61, n 47)"
    )
    assert unknown.sentence == "Like the validation cases · expected Dice not known: nothing was found in the scan"


def test_the_panel_shows_intervals_of_the_answer_alone(model: Any, view: Recorded) -> None:
    stored = {"1": {**INTERVALS["labels"]["1"], "predicted_ml": [0.001, 1.0]}}
    current = CurrentResult(model)
    data, about, _ = display.trace_layer(made_by("model"), "result")
    model.add_labels(data, **about)
    controller = StepsController(current, view, lambda: [known({"intervals": {"labels": stored}})])
    shown = []
    for station in range(3):
        current.go(station)
        shown.append([row.interval_text for row in view.last("show_step")[2]])
    assert shown == [["", ""], ["", ""], ["(0.01–0.01)", ""]]
    EditController(model, current).start(model.layers["result"], 2)
    assert current.is_edited
    assert [row.interval_text for row in view.last("show_step")[2]] == ["", ""]
    controller.close()


def test_the_line_follows_the_current_result(model: Any, view: Recorded) -> None:
    waiting: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
    current = CurrentResult(model)
    controller = TrustController(view, current, lambda: [known(UNLIKE)], lambda *call: waiting.append(call))  # type: ignore[arg-type]
    assert view.last("set_fit") == ("", "hint")
    for name in ("other", "model"):
        data, about, _ = display.trace_layer(made_by(name), name)
        model.add_labels(data, **about)
    [(function, on_result)] = waiting  # nothing is worked out for a model without measures
    on_result(function())
    assert view.last("set_fit")[0].startswith("Unlike them: look closely")
    model.layers.selection.active = model.layers["other"]
    assert view.last("set_fit") == ("", "hint")
    on_result(function())  # too late: another result is shown
    assert view.last("set_fit") == ("", "hint")
    controller.close()
    model.layers.selection.active = model.layers["model"]
    assert len(waiting) == 1


def test_regions_stand_below_the_labels_with_their_own_volume_and_interval() -> None:
    entry = {"cases": 10, "level": 0.9, "factors": [0.9, 1.2], "predicted_ml": [1.0, 100.0]}
    record = {"intervals": {"labels": {}, "regions": {"whole": entry}}}
    names, regions = {1: "edema", 2: "core"}, {"whole": (1, 2), "core": (2,)}
    row = {"volume_ml": {1: 4.0, 2: 6.0}}
    shown = panel_state.legend(names, {}, row, interval_of(record), regions)
    assert [(one.name, one.volume_ml, one.is_region) for one in shown] == [
        ("edema", 4.0, False),
        ("core", 6.0, False),  # a region that is a label by itself stands once
        ("whole", 10.0, True),
    ]
    assert shown[2].interval_ml == pytest.approx((9.0, 12.0))
    assert panel_state.legend(names, {}, {}, interval_of(record), regions)[2].volume_ml is None


def test_a_region_cannot_be_hidden_by_itself(qtbot: Any) -> None:
    view = LegendView()
    qtbot.addWidget(view)
    view.show()
    label, region = panel_state.legend({1: "edema"}, {}, {"volume_ml": {1: 4.0}}, regions={"whole": (1,)})
    view.show_rows([label, region])
    assert view.texts == [("edema", "4.00 mL"), ("whole", "4.00 mL")]
    assert [view.row(value).eye.isVisible() for value in (1, 0)] == [True, False]
    view.show_rows([label, replace(label, value=2, name="core")])  # the widgets are used again
    assert view.row(2).eye.isVisible()
