"""The form of a method's options, and the panels that hold one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes import bundle as fake_bundle
from made_layers import made_volume
from made_methods import Blurred
from voxtrace import bundle as bundles
from voxtrace.methods import METHODS
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.bundles import BundleRegistry

pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")

from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QCheckBox, QComboBox, QLabel, QLineEdit, QSpinBox

from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.npe2.segment import SegmentWidget
from voxtrace.plugin.npe2.train import TrainWidget
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.charts import MAX_POINTS, append_point
from voxtrace.plugin.views.fields import NumberBox
from voxtrace.plugin.views.options import OptionsForm

VALUES = {"strength": 3e-5, "kernel": "round", "sharp": True, "repeats": 4, "remark": "two"}
LIVE = tuple(info for info in Blurred.options() if info.name in VALUES)


@pytest.fixture
def form(qtbot: Any) -> OptionsForm:
    form = OptionsForm()
    qtbot.addWidget(form)
    form.set_options(LIVE, VALUES)
    return form


def test_each_option_has_the_field_of_its_type(form: OptionsForm) -> None:
    classes = {name: type(made.widget) for name, made in form.fields.items()}
    expected = {"strength": NumberBox, "kernel": QComboBox, "sharp": QCheckBox, "repeats": QSpinBox}
    assert classes == {**expected, "remark": QLineEdit}
    assert form.values == VALUES


def test_a_field_keeps_to_the_options_range_and_says_what_it_is(form: OptionsForm) -> None:
    repeats = form.fields["repeats"].widget
    assert (repeats.minimum(), repeats.maximum()) == (1, 8)
    assert repeats.toolTip() == "How often."
    shown = {label.text() for label in form.findChildren(QLabel)}
    assert {"Repeats", "How often.", "Blur nothing.", "Kernel"} <= shown


def test_small_numbers_are_shown_and_typed_as_they_are_written(form: OptionsForm) -> None:
    box = form.fields["strength"].widget
    assert box.text() == "3e-05"
    box.lineEdit().setText("1e-6")
    box.interpretText()
    assert form.values["strength"] == 1e-6
    states = [box.validate(text, 0)[0].name for text in ("0.5", "1e", "2", "many")]
    assert states == ["Acceptable", "Intermediate", "Intermediate", "Invalid"]


def test_a_change_is_told_and_reset_takes_it_back(form: OptionsForm, qtbot: Any) -> None:
    with qtbot.waitSignal(form.edited):
        form.fields["kernel"].widget.setCurrentText("flat")
    assert form.values["kernel"] == "flat"
    form.reset()
    assert form.values == VALUES


def test_a_field_that_another_option_leaves_unread_is_greyed_and_asks_for_nothing(qtbot: Any) -> None:
    form, kind = OptionsForm(), METHODS["e2enet"]
    qtbot.addWidget(form)
    form.set_options(kind.options(), kind().to_json()["options"])
    interval = form.fields["update_every"]
    interval.write(600)
    assert (form.values["update_every"], form.changed, interval.widget.isEnabled()) == (600, 1, True)

    form.fields["dynamic"].write(False)

    assert not interval.widget.isEnabled()
    assert interval.widget.toolTip().endswith("Does nothing now: dynamic=false does not read it.")
    assert (form.values["update_every"], form.changed) == (1200, 1)
    form.fields["dynamic"].write(True)
    assert (form.values["update_every"], interval.widget.isEnabled()) == (600, True)


def test_the_same_options_leave_what_was_filled_in(form: OptionsForm) -> None:
    form.fields["repeats"].widget.setValue(7)
    form.set_options(LIVE, VALUES)
    assert form.values["repeats"] == 7
    form.set_options(LIVE, VALUES | {"repeats": 2})
    assert form.values["repeats"] == 2
    form.set_options((), {})
    assert form.values == {}


def test_the_wheel_scrolls_the_panel_and_not_a_number(form: OptionsForm) -> None:
    box = form.fields["repeats"].widget
    middle, turn = QPointF(5, 5), QPoint(0, 120)
    up = QWheelEvent(
        middle,
        middle,
        turn,
        turn,
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, up)
    assert form.values["repeats"] == 4


def test_a_long_curve_keeps_its_first_point_and_stays_short() -> None:
    curve: tuple[list[float], list[float]] = ([], [])
    for n in range(3 * MAX_POINTS):
        append_point(curve, n, -n)
    assert len(curve[0]) == len(curve[1]) <= MAX_POINTS
    assert curve[0][0] == 0
    assert curve[0] == sorted(curve[0])


@pytest.fixture
def viewer(make_napari_viewer_proxy: Any, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(METHODS, "blurred", Blurred)
    made = bundles.save(fake_bundle(Blurred(repeats=2)), tmp_path / "blurred")
    viewer = make_napari_viewer_proxy()
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([made, bundle])
    viewer_state_of(viewer)._method_registry = MethodRegistry(METHODS)
    for data, about, _ in display.image_layers(made_volume(modality="MR", channels=("image",))):
        viewer.add_image(data, **about)
    return viewer


@pytest.fixture
def segment(viewer: Any, qtbot: Any) -> SegmentWidget:
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="segment")
    qtbot.waitUntil(lambda: not widget.controller.models.pending, timeout=10_000)
    widget.controller.pick_bundle(widget.view.bundle.findText("fake"))
    return widget


def test_a_bundles_options_extras_and_seed_reach_the_engine_and_its_layers(
    segment: SegmentWidget, viewer: Any, qtbot: Any
) -> None:
    view = segment.view
    assert view.form.method_title.text() == "Of Blurred"
    assert view.form.method.values["repeats"] == 2  # as the bundle was trained, not the default
    assert view.form.extras.text() == "Also keep: seen through noise"
    view.form.extras.setChecked(True)
    view.form.seed.setValue(5)
    view.form.method.fields["strength"].widget.setValue(1.0)
    assert view.form.section.title.text() == "⚙ Options · 1 changed"
    view.state.start.click()
    qtbot.waitUntil(lambda: not segment.runner.busy, timeout=60_000)
    assert view.state.message.text().startswith("Done in")
    name = "scan · fake · keep all, seed 5, strength 1"
    extra, steps = viewer.layers[-2:]
    assert [extra.name, steps.name] == [f"{name} · seen_through_noise", name]
    assert (extra.visible, steps.visible) == (False, True)
    assert extra.data.shape == steps.data.shape == (2, 4, 6, 5)
    assert (extra.scale == steps.scale).all()
    assert extra.axis_labels == steps.axis_labels == ("look", "I", "P", "L")
    viewer.layers.selection.active = extra
    viewer.dims.set_current_step(0, 0)
    assert segment.steps_view.title.text() == "Look 1 of 2"  # the extra follows the slider of its prediction
    assert [words for words, _ in segment.steps_view.facts.texts] == ["Entropy per labelled voxel", "Mean intensity"]


def test_windows_may_settle(segment: SegmentWidget, viewer: Any, qtbot: Any) -> None:
    view = segment.view
    view.form.settle.setChecked(True)
    view.state.start.click()
    qtbot.waitUntil(lambda: not segment.runner.busy, timeout=60_000)
    assert viewer.layers[-1].name == "scan · fake · stop early below 0.001"
    assert "Computed" in [words for words, _ in segment.steps_view.facts.texts]


def test_the_form_follows_the_bundle(segment: SegmentWidget) -> None:
    view = segment.view
    pick = segment.controller.pick_bundle
    pick(view.bundle.findText("tiny"))  # RecycleNet: cycles is the steps box; feedback and mean over cycles are live
    assert view.form.method.values == {"feedback": 1.0, "average": False}
    assert view.form.extras.isHidden()
    assert (view.form.steps.value(), view.form.steps.maximum(), view.form.steps_word.text()) == (3, 64, "Cycles")
    assert view.bundle.card(view.bundle.currentIndex()).method == "RecycleNet, 3 cycles"
    pick(view.bundle.findText("fake"))
    assert "average" not in view.form.method.values
    assert not view.form.method.isHidden()


def test_a_method_picked_to_train_shows_all_its_options(viewer: Any) -> None:
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="train")
    titles = [start.title for start in train.controller.starts]
    train.view.start.setCurrentIndex(titles.index("Blurred, from scratch"))
    train.view.start.activated.emit(titles.index("Blurred, from scratch"))
    assert train.view.options_section.title.text() == f"Options of Blurred ({len(Blurred.options())})"
    assert train.view.options.values["repeats"] == 1
    train.view.options.fields["sharp"].widget.setChecked(True)
    assert train.controller.request.options["sharp"] is True
    assert train.controller.request.method == "blurred"
