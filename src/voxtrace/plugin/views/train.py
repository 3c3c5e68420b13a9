"""The training panel: dataset, start, options and curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QSpinBox, QVBoxLayout, QWidget

from voxtrace.plugin.models.messages import TrainReport
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.models.train_form import TrainForm
from voxtrace.plugin.views.charts import TrainingChart
from voxtrace.plugin.views.options import OptionsForm
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.widgets import Collapsible, fill, picker

if TYPE_CHECKING:
    from voxtrace.method import OptionInfo

MAX_ITERATIONS = 1_000_000


class QtTrainView(QWidget):
    """Setters and signals; implements the controller's ``TrainView``."""

    edited = Signal(object)
    start_picked = Signal(int)
    start_asked = Signal()
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.dataset, self.out = _path("nnU-Net raw layout: dataset.json, imagesTr, labelsTr"), _path("a new folder")
        self.fold, self.iterations = QSpinBox(), QSpinBox()
        self.start = picker("A trained bundle to improve, or a method with random weights.")
        self.options = OptionsForm()
        self.options_section = Collapsible(self.options)
        self.state, self.chart = StateView("Start", "Stop"), TrainingChart()
        self._inputs = QWidget()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.fold.setRange(0, 4)
        self.fold.setToolTip("Which fifth of the cases is kept for validation.")
        self.iterations.setRange(0, MAX_ITERATIONS)
        self.iterations.setSpecialValueText("as planned")
        self.iterations.setSingleStep(100)
        self.iterations.setToolTip("Updates of the weights; as planned is what the bundle or this machine suggests.")
        self.iterations.setGroupSeparatorShown(True)
        form = QFormLayout(self._inputs)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Dataset", _with_button(self.dataset, "Browse…", self._browse_dataset))
        form.addRow("Fold", self.fold)
        form.addRow("Start from", self.start)
        form.addRow(self.options_section)
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
        self.options.edited.connect(self._edited)
        self.options_section.reset.clicked.connect(self.options.reset)
        self.start.activated.connect(self.start_picked)
        self.state.start.clicked.connect(self.start_asked)
        self.state.stop.clicked.connect(self.stop_asked)

    @property
    def form(self) -> TrainForm:
        """The values of the form."""
        return TrainForm(
            self.dataset.text().strip(),
            self.fold.value(),
            self.iterations.value(),
            self.out.text().strip(),
            self.options.values,
        )

    def _edited(self, *_: object) -> None:
        self.edited.emit(self.form)

    def set_starts(self, names: Sequence[str], chosen: int) -> None:
        """Fill the picker of what training starts from."""
        fill(self.start, names, chosen)

    def set_options(self, title: str, options: Sequence[OptionInfo], values: Mapping[str, Any]) -> None:
        """Show a field for each option of a method, filled in."""
        self.options.set_options(options, values)
        self.options_section.title.setText(f"Options of {title} ({len(options)})")
        self.options_section.setVisible(bool(options))

    def set_start_word(self, word: str) -> None:
        """Set the text of the Start button: Start or Resume."""
        self.state.start.setText(word)

    def clear_curves(self) -> None:
        """Remove the curves of the previous run."""
        self.chart.clear()

    def add_report(self, report: TrainReport) -> None:
        """Add a point to each loss curve, and to the validation Dice where it was measured."""
        self.chart.add_report(report)

    def show_state(self, state: PanelState) -> None:
        """Show the state; the form is disabled while a job runs."""
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
