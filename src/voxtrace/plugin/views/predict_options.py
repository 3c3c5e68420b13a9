"""The options of a prediction: those in daily use, and all others in a collapsed form made from their declaration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QCheckBox, QFormLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from voxtrace.inference.options import PredictOptions
from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.methods import Capabilities
from voxtrace.plugin.models.panel_state import words
from voxtrace.plugin.views.fields import MAX_INT
from voxtrace.plugin.views.options import OptionsForm
from voxtrace.plugin.views.theme import set_tone
from voxtrace.plugin.views.widgets import Collapsible, note

SETTLED = 0.001  # fraction of a window's labels: a step that changes no more is the last one there


class PredictOptionsForm(QWidget):
    """Shows every option of a prediction that is offered in the window, folded; ``options`` is what is chosen.

    ``others`` holds the declared options without a widget here, ``method`` those of the bundle's method.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps_word, self.steps, self.seed = QLabel(), QSpinBox(), QSpinBox()
        self.keep_all, self.extras = QCheckBox(), QCheckBox()
        self.settle, self.mirror = QCheckBox("Stop early where nothing changes any more"), QCheckBox()
        self._capabilities: Capabilities | None = None
        self._mirrors = False  # whether the bundle does so by default
        # Options with a widget of their own: the widget, and how its value is read. All others get a generated field.
        self._daily: dict[str, tuple[QWidget, Callable[[], Any]]] = {
            "steps": (self.steps, self._read_steps),
            "keep": (self.keep_all, self._read_keep),
            "settle": (self.settle, self._read_settle),
            "mirror": (self.mirror, self._read_mirror),
            "seed": (self.seed, self.seed.value),
        }
        self.others, self.method = OptionsForm(), OptionsForm()
        self.method_title, self._others_title = QLabel(), QLabel("Of every method")
        self._form = QFormLayout()
        self._form.setContentsMargins(12, 0, 0, 0)
        self._top = QVBoxLayout()
        self.section = Collapsible(self._folded())
        self._lay_out()
        self._declare()

    def _folded(self) -> QWidget:
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._top)
        layout.addLayout(self._form)
        for title in (self.method_title, self._others_title):
            set_tone(title, "heading")
            title.setIndent(12)
        for widget in (self.method_title, self.method, self._others_title, self.others):
            layout.addWidget(widget)
        return content

    def _lay_out(self) -> None:
        self.keep_all.setChecked(True)
        self.extras.setToolTip("Extra outputs of each step: one more layer each, hidden at first.")
        self.seed.setRange(0, MAX_INT)
        self.steps.setAccessibleName("Steps")
        self.seed.setAccessibleName("Seed")
        self.mirror.setText("Mirror (slower, a little better)")
        self._seed_note = note()
        self._form.addRow(self.steps_word, self.steps)
        for row in (self.keep_all, self.extras, self.settle, self.mirror):
            self._form.addRow(row)
        self._form.addRow("Seed", self.seed)
        self._form.addRow(self._seed_note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.section)
        self.keep_all.toggled.connect(self.extras.setEnabled)
        for form in (self.others, self.method):
            self.section.reset.clicked.connect(form.reset)
            form.edited.connect(self._count_changes)

    def _declare(self) -> None:
        """Take sentences and generated fields from the declaration."""
        offered = {info.name: info for info in PredictOptions.options() if "window" in info.where}
        for name, (widget, _) in self._daily.items():
            widget.setToolTip(offered[name].sentence)
        self.settle.setToolTip(f"{self.settle.toolTip()} Ticked, it is {SETTLED:g}.")
        self._seed_note.setText(self.seed.toolTip())
        self.others.set_options([info for name, info in offered.items() if name not in self._daily], {})
        self._count_changes()

    def add_on_top(self, widget: QWidget) -> None:
        """Put a widget above the options, in the folded section."""
        self._top.addWidget(widget)

    @property
    def options(self) -> PredictOptions:
        """What is chosen; None where the bundle, the plan or the method decides."""
        daily = {name: read() for name, (_, read) in self._daily.items()}
        return PredictOptions(**daily, **self.others.values, method_options=self.method.values)

    def _read_steps(self) -> int | None:
        able = self._capabilities
        return self.steps.value() if able and able.max_steps and self.steps.value() != able.steps else None

    def _read_keep(self) -> str:
        if not self.keep_all.isChecked():
            return "last"
        return "all" if self.extras.isChecked() and not self.extras.isHidden() else "labels"

    def _read_settle(self) -> float | None:
        return SETTLED if self.settle.isChecked() and not self.settle.isHidden() else None

    def _read_mirror(self) -> bool | None:
        return self.mirror.isChecked() if self.mirror.isChecked() != self._mirrors else None

    def set_defaults(self, bundle: KnownBundle) -> None:
        """Set the options to the defaults of a bundle."""
        self._mirrors = bundle.mirror
        self.mirror.setChecked(bundle.mirror)

    def set_capabilities(self, capabilities: Capabilities | None) -> None:
        """Offer what can be chosen with the bundle's method; None where it is unknown or not loaded yet."""
        self._capabilities = capabilities
        able = capabilities or Capabilities("", steps=2)
        self.steps.setRange(1, max(1, able.max_steps))
        self.steps.setValue(able.steps)
        self.steps_word.setText(f"{able.step_word.capitalize()}s")
        self._form.setRowVisible(self.steps, able.max_steps > 0)
        self.keep_all.setText(f"Keep every {able.step_word}, to step through them")
        several = max(able.steps, able.max_steps) > 1
        self._form.setRowVisible(self.keep_all, several)
        self._form.setRowVisible(self.settle, several)
        self.extras.setText(f"Also keep: {', '.join(words(name).lower() for name in able.extras)}")
        self._form.setRowVisible(self.extras, bool(able.extras))
        self.method.set_options(able.options, able.values)
        self.method_title.setText(f"Of {able.title}")
        for widget in (self.method_title, self.method, self._others_title):
            widget.setVisible(bool(able.options))

    def set_busy(self, busy: bool) -> None:
        """Disable every option while a job runs."""
        for widget in (*(widget for widget, _ in self._daily.values()), self.section.content, self.section.reset):
            widget.setEnabled(not busy)
        self.extras.setEnabled(not busy and self.keep_all.isChecked())

    def _count_changes(self) -> None:
        changed = self.others.changed + self.method.changed
        self.section.title.setText(f"⚙ Options · {changed} changed" if changed else "⚙ Options")
