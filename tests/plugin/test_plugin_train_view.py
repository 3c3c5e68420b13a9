"""The training panel by itself: what stays in view, what is filled in, and which line of a chart is which."""

from __future__ import annotations

from typing import Any

import pytest

from voxtrace.plugin.models.messages import TrainReport
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.models.train_data import FaultRow
from voxtrace.plugin.models.train_form import KnownDataset
from voxtrace.plugin.models.train_more import TrainMore
from voxtrace.plugin.views.train import QtTrainView
from voxtrace.plugin.views.widgets import Panel


@pytest.fixture
def view(qtbot: Any) -> QtTrainView:
    made = QtTrainView()
    panel = Panel(made, footer=made.state)
    qtbot.addWidget(panel)
    panel.resize(330, 420)
    panel.show()
    qtbot.waitExposed(panel)
    made.panel = panel  # type: ignore[attr-defined] # kept as long as the view
    return made


def in_view(view: QtTrainView, widget: Any) -> bool:
    """Return whether all of a widget lies within the panel."""
    panel = view.panel  # type: ignore[attr-defined]
    top = widget.mapTo(panel, widget.rect().topLeft())
    bottom = widget.mapTo(panel, widget.rect().bottomRight())
    return bool(widget.isVisible() and panel.rect().contains(top) and panel.rect().contains(bottom))


def test_what_to_press_and_what_is_missing_stay_in_view(view: QtTrainView, qtbot: Any) -> None:
    message = "Choose a dataset, " + "and say where the new bundle should go, " * 4
    view.show_state(PanelState(message, can_start=True))
    for section in (view.plan_section, view.more_section, view.faults_section):
        section.title.setChecked(True)  # far more than fits
    label = view.state.message
    qtbot.waitUntil(lambda: label.height() > 50 and in_view(view, label))
    assert label.height() >= label.heightForWidth(label.width())  # no line of it is cut
    assert in_view(view, view.state.start)
    viewport = view.panel.viewport()  # type: ignore[attr-defined]
    assert viewport.height() > 100
    assert viewport.geometry().bottom() < view.state.geometry().top()


def test_a_marked_fault_is_told_right_below_a_short_list(view: QtTrainView, qtbot: Any) -> None:
    view.faults_section.title.setChecked(True)
    view.set_faults([FaultRow("fault", "grid", "a", "grids differ.", "Copy the header.", "", True)], True)
    short = view.faults.table.height()
    view.set_faults([FaultRow("fault", "grid", "a", "grids differ.", "Copy the header.", "", True)] * 50, True)
    assert short < view.faults.table.height() < 400
    qtbot.waitUntil(view.faults.detail.isVisible)
    assert view.faults.detail.text() == "grids differ. → Copy the header."


def test_no_line_of_a_plan_is_cut(view: QtTrainView, qtbot: Any) -> None:
    view.plan_section.title.setChecked(True)
    facts = [(f"Fact {n}", "words that go on and on for more than a line of the panel") for n in range(9)]
    for text in ("Planning …", "Planned. It is kept for every fold and method, and for whoever comes after."):
        view.set_plan(facts, True)
        view.show_plan_state(PanelState(text, "done", can_start=True))
        qtbot.waitUntil(
            lambda: view.plan.facts.height() >= view.plan.facts.heightForWidth(view.plan.facts.width()) > 200
        )
    view.set_plan(facts[:1], True)
    qtbot.waitUntil(lambda: view.plan.facts.height() < 100)


def test_as_begun_fills_in_every_field(view: QtTrainView) -> None:
    view.set_known(KnownDataset("data", cases=("a", "b", "c"), folds=3, layout="raw"))
    view.plan.window_size.setText("32")
    view.plan.batch.setValue(9)
    forms: list[Any] = []
    view.edited.connect(forms.append)
    more = TrainMore(7, 0.002, 0.99, 4, "best", "labelsChosen")
    view.fill_begun(2, True)
    view.fill_rest(30.0, "b", more)
    form = forms[-1]
    assert (form.fold, form.constant_rate, form.minutes, form.preview, form.more) == (2, True, 30.0, "b", more)
    assert (form.window, form.batch_size, form.iterations) == ("", 0, 0)
    assert view.more_section.title.text() == "Seed, rate and average (6 changed)"
    view.fill_rest(None, "", TrainMore())
    assert (forms[-1].minutes, forms[-1].preview, forms[-1].more) == (None, "", TrainMore())
    view.more.seed.setValue(3)
    view.more_section.reset.click()
    assert forms[-1].more == TrainMore()


def test_each_line_is_named_above_its_chart(view: QtTrainView) -> None:
    chart = view.chart
    view.clear_curves()
    assert not chart.isVisible()  # nothing is drawn yet
    dice = {"anterior <1>": 0.5, "posterior": 0.4}
    view.add_report(TrainReport(1, 9, {"dice": -0.5, "cross_entropy": 0.3}, 0.45, dice_per_label=dice, rate=0.01))
    assert chart.isVisible()
    told = {name: legend.text() for name, legend in chart._legends.items()}
    assert list(told) == ["loss", "dice"]
    assert [told["loss"].count(word) for word in ("▬", ">loss<", "cross&nbsp;entropy")] == [3, 0, 1]
    assert "anterior&nbsp;&lt;1&gt;" in told["dice"]
    low, high = chart._plots["rate"].getViewBox().viewRange()[1]
    assert low < 0.01 < high < 0.1  # a constant rate is no line at 0
    view.clear_curves()
    assert "anterior" not in chart._legends["dice"].text()
