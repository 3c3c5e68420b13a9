"""The Fine-tune panel: what to train on, what to start from, the curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QSpinBox, QVBoxLayout, QWidget

from voxtrace.plugin.controllers.finetune import Form
from voxtrace.plugin.panel import PanelState
from voxtrace.plugin.views.charts import TrainingChart
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.widgets import fill, picker

MOST_ITERATIONS = 1_000_000


class FineTuneView(QWidget):
    """Plain setters down, signals up; implements the controller's ``FineTuneView``."""

    edited = Signal(object)
    start_asked = Signal()
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.dataset, self.out = _path("nnU-Net raw layout: dataset.json, imagesTr, labelsTr"), _path("a new folder")
        self.fold, self.iterations = QSpinBox(), QSpinBox()
        self.start = picker("A trained bundle to improve, or a method with random weights.")
        self.state, self.chart = StateView("Start", "Stop"), TrainingChart()
        self._inputs = QWidget()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.fold.setRange(0, 4)
        self.fold.setToolTip("Which fifth of the cases is kept for validation.")
        self.iterations.setRange(1, MOST_ITERATIONS)
        self.iterations.setValue(1000)
        self.iterations.setGroupSeparatorShown(True)
        form = QFormLayout(self._inputs)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Dataset", _with_button(self.dataset, "Browse…", self._browse_dataset))
        form.addRow("Fold", self.fold)
        form.addRow("Start from", self.start)
        form.addRow("Iterations", self.iterations)
        form.addRow("New bundle", _with_button(self.out, "Browse…", self._browse_out))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._inputs, self.state, self.chart):
            layout.addWidget(widget)

    def _connect(self) -> None:
        for field in (self.dataset, self.out):
            field.textChanged.connect(self._edited)
        for box in (self.fold, self.iterations):
            box.valueChanged.connect(self._edited)
        self.start.activated.connect(self._edited)
        self.state.start.clicked.connect(self.start_asked)
        self.state.stop.clicked.connect(self.stop_asked)

    @property
    def form(self) -> Form:
        """What is filled in."""
        return Form(
            self.dataset.text().strip(),
            self.fold.value(),
            max(0, self.start.currentIndex()),
            self.iterations.value(),
            self.out.text().strip(),
        )

    def _edited(self, *_: object) -> None:
        self.edited.emit(self.form)

    def set_starts(self, names: Sequence[str]) -> None:
        """Fill the picker of what to start from; what was chosen stays chosen."""
        before = self.start.currentText()
        with QSignalBlocker(self.start):
            fill(self.start, names, names.index(before) if before in names else 0)

    def set_start_word(self, word: str) -> None:
        """Name the button: Start, or Resume."""
        self.state.start.setText(word)

    def clear_curves(self) -> None:
        """Forget the curves of the run before."""
        self.chart.clear()

    def add_point(self, iteration: int, loss: float, dice: float | None) -> None:
        """Draw a point of the loss, and one of the validation Dice where it was measured."""
        self.chart.add_point(iteration, loss, dice)

    def show_state(self, state: PanelState) -> None:
        """Show what goes on; the form is locked while something does."""
        self.state.show_state(state)
        self._inputs.setEnabled(not state.busy)

    def _browse_dataset(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Choose a dataset folder"):
            self.dataset.setText(folder)

    def _browse_out(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Name the new bundle's folder")
        if path:
            self.out.setText(path)


def _path(hint: str) -> QLineEdit:
    field = QLineEdit()
    field.setPlaceholderText(hint)
    return field


def _with_button(field: QLineEdit, text: str, pressed: Callable[[], None]) -> QHBoxLayout:
    button = QPushButton(text)
    button.clicked.connect(pressed)
    row = QHBoxLayout()
    row.addWidget(field, 1)
    row.addWidget(button)
    return row
