"""The form of a prediction's options: every declared option is in it once, and what is chosen reaches the engine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from new_option import NAME, SENTENCE, extended_package, run_extended
from voxtrace.declaration import OptionInfo
from voxtrace.inference.options import KEEP_EVERY_STEP, PredictOptions
from voxtrace.plugin.models.bundles import describe
from voxtrace.plugin.models.methods import Capabilities

pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")

from qtpy.QtWidgets import QComboBox, QSpinBox

from voxtrace.plugin.views.fields import NumberBox, field_for
from voxtrace.plugin.views.predict_options import PredictOptionsForm

OFFERED = [info.name for info in PredictOptions.options() if "window" in info.where]


@pytest.fixture
def form(qtbot: Any, bundle: Path) -> PredictOptionsForm:
    form = PredictOptionsForm()
    qtbot.addWidget(form)
    form.set_defaults(describe(bundle))
    form.set_capabilities(Capabilities("RecycleNet", "cycle", steps=3, max_steps=9))
    return form


def test_every_option_for_the_window_has_one_widget(form: PredictOptionsForm) -> None:
    daily = list(form._daily)
    assert sorted([*daily, *form.others.fields]) == sorted(OFFERED)
    assert daily == ["steps", "keep", "settle", "mirror", "seed"]


def test_untouched_it_is_what_the_command_line_begins_with(form: PredictOptionsForm) -> None:
    assert form.options == KEEP_EVERY_STEP
    assert form.section.title.text() == "⚙ Options"
    assert form.section.content.isHidden()


def test_each_choice_is_a_value(form: PredictOptionsForm) -> None:
    form.steps.setValue(5)
    form.keep_all.setChecked(False)
    form.settle.setChecked(True)
    form.mirror.setChecked(True)
    form.seed.setValue(4)
    chosen = {"region": "all", "runtime": "torch", "device": "cpu", "precision": "float32", "overlap": 0.25, "batch": 2}
    for name, value in chosen.items():
        form.others.fields[name].write(value)
    daily = {"steps": 5, "keep": "last", "settle": 0.001, "mirror": True, "seed": 4}
    assert form.options == PredictOptions(**daily, **chosen)
    assert form.section.title.text() == "⚙ Options · 6 changed"
    form.section.reset.click()
    assert form.options == PredictOptions(**daily)
    assert form.section.title.text() == "⚙ Options"


def test_a_bundle_that_mirrors_can_be_told_not_to(form: PredictOptionsForm) -> None:
    form._mirrors = True
    form.mirror.setChecked(True)
    assert form.options.mirror is None  # as the bundle says
    form.mirror.setChecked(False)
    assert form.options.mirror is False


def test_nothing_can_be_changed_during_a_run(form: PredictOptionsForm) -> None:
    form.set_busy(True)
    widgets = [*(widget for widget, _ in form._daily.values()), *(one.widget for one in form.others.fields.values())]
    assert not any(widget.isEnabled() for widget in widgets)
    form.set_busy(False)
    assert all(widget.isEnabled() for widget in widgets)


def test_a_number_that_is_not_set_says_what_it_stands_for(qtbot: Any) -> None:
    info = OptionInfo("overlap", float, None, "Overlap.", 0.0, 0.95, optional=True, unset="the plan's")
    made = field_for(info, None)
    box = made.widget
    qtbot.addWidget(box)
    assert isinstance(box, NumberBox)
    assert (box.text(), made.read()) == ("the plan's", None)
    box.stepBy(1)
    assert made.read() == 0.0
    box.stepBy(1)
    assert made.read() == pytest.approx(0.05)
    box.stepBy(-1)
    box.stepBy(-1)
    assert made.read() is None
    box.lineEdit().setText("0.5")
    box.interpretText()
    assert made.read() == 0.5
    assert [box.validate(text, 0)[0].name for text in ("-0.5", "0.96", "", "the plan's")] == [
        "Intermediate",
        "Intermediate",
        "Acceptable",
        "Acceptable",
    ]
    box.lineEdit().setText("")
    box.interpretText()
    assert made.read() is None


def test_a_whole_number_and_a_choice_can_be_unset(qtbot: Any) -> None:
    count = field_for(OptionInfo("batch", int, None, "", 1, optional=True, unset="as fits"), None)
    answer = field_for(OptionInfo("mirror", bool, None, "", optional=True, unset="as the bundle says"), True)
    for made in (count, answer):
        qtbot.addWidget(made.widget)
    assert isinstance(count.widget, QSpinBox)
    assert (count.widget.text(), count.read()) == ("as fits", None)
    count.widget.stepBy(1)
    assert count.read() == 1
    assert isinstance(answer.widget, QComboBox)
    assert (answer.widget.currentText(), answer.read()) == ("yes", True)
    answer.write(None)
    assert (answer.widget.currentText(), answer.read()) == ("as the bundle says", None)


def test_suggested_texts_can_be_picked_and_others_typed(qtbot: Any) -> None:
    info = OptionInfo("device", str, "auto", "Where.", suggestions=("auto", "cpu"))
    made = field_for(info, "auto")
    qtbot.addWidget(made.widget)
    assert isinstance(made.widget, QComboBox)
    assert [made.widget.itemText(index) for index in range(made.widget.count())] == ["auto", "cpu"]
    made.widget.setEditText("cuda:1")
    assert made.read() == "cuda:1"


# A scan over time: its results are the engine's label maps, on which the added option acts.
WINDOW = f"""
import sys
sys.path.insert(0, {{helpers!r}})
import json
from pathlib import Path
import numpy as np
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication, QLabel
from made_layers import ImmediateRunner, made_volume
from voxtrace.plugin.controllers.segment import SegmentController
from voxtrace.plugin.layers.timepoints import TimepointsSource, timepoints_layer
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.views.segment import QtSegmentView

application, model, view, volume = QApplication([]), ViewerModel(), QtSegmentView(), made_volume()
data, about, _ = timepoints_layer(TimepointsSource(volume, np.repeat(volume.data, 2, 0)))
model.add_image(data, **about)
registry = BundleRegistry([Path({{bundle!r}})])
controller = SegmentController(model, registry, view, ImmediateRunner(), lambda *result: None)
controller.pick_bundle(0)
view.start_asked.connect(controller.start)
field = view.form.others.fields[{NAME!r}]
for chosen in (False, True):
    field.write(chosen)
    view.state.start.click()
plain, acted = model.layers[-2:]
shown = [label.text() for label in view.form.others.findChildren(QLabel)]
names = [layer.name for layer in model.layers]
print(json.dumps(dict(
    shown=shown, names=names, plain=plain.data[0].ravel().tolist(), acted=acted.data[0].ravel().tolist()
)))
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extended_package(tmp_path_factory.mktemp("extended"))


def test_an_option_that_is_only_declared_is_in_the_form_and_reaches_the_engine(
    extended: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    helpers = str(Path(__file__).parents[1] / "helpers")
    ended: subprocess.CompletedProcess[str] = run_extended(extended, WINDOW.format(helpers=helpers, bundle=str(bundle)))
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout.splitlines()[-1])
    assert SENTENCE in seen["shown"]
    assert seen["names"] == ["scan", "scan_t000 · tiny", f"scan_t000 · tiny · {NAME} on"]
    highest = max(seen["plain"])
    assert highest > 0
    assert seen["acted"] == [highest - value for value in seen["plain"]]
