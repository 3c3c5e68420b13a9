"""The training panel: dataset, start, options and curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.messages import TrainReport
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.models.train_form import TrainForm
from voxtrace.plugin.models.train_receipt import TrainReceipt
from voxtrace.plugin.views.charts import TrainingChart
from voxtrace.plugin.views.fields import NumberBox
from voxtrace.plugin.views.options import OptionsForm
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.theme import Tone, set_tone
from voxtrace.plugin.views.widgets import Collapsible, fill, heading, note, picker

if TYPE_CHECKING:
    from voxtrace.method import OptionInfo

MAX_ITERATIONS = 1_000_000
VERDICT_TONES: dict[str, Tone] = {"fits": "good", "check": "warning", "does not fit": "error"}
VERDICT_MARKS = {"fits": "✓", "check": "!", "does not fit": "✗"}


class QtTrainView(QWidget):
    """Setters and signals; implements the controller's ``TrainView``."""

    edited = Signal(object)
    start_picked = Signal(int)
    start_asked = Signal()
    stop_asked = Signal()
    use_asked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.dataset, self.out = _path("nnU-Net raw layout: dataset.json, imagesTr, labelsTr"), _path("a new folder")
        self.fold, self.iterations = QSpinBox(), QSpinBox()
        self.minutes = NumberBox(0.1, 100_000.0, "no limit")
        self.start_note, self.receipt = note(), ReceiptView()
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
        self.minutes.setToolTip("Stop the updates after this time and write the bundle, e.g. 2 for a first look.")
        self.minutes.set_number(None)
        self.start_note.hide()
        names = {
            self.dataset: "Dataset folder",
            self.fold: "Fold",
            self.start: "Start from",
            self.iterations: "Iterations",
            self.minutes: "Time limit in minutes",
            self.out: "Folder of the new bundle",
        }
        for widget, name in names.items():
            widget.setAccessibleName(name)
        self.dataset.setToolTip("A folder in nnU-Net's raw layout; Correct adds cases to one.")
        self.out.setToolTip("A folder that does not exist yet.")
        form = QFormLayout(self._inputs)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Dataset", _with_button(self.dataset, "Browse…", self._browse_dataset))
        form.addRow("Fold", self.fold)
        form.addRow("Start from", self.start)
        form.addRow("", self.start_note)
        form.addRow(self.options_section)
        form.addRow("Iterations", self.iterations)
        form.addRow("Minutes", self.minutes)
        form.addRow("New bundle", _with_button(self.out, "Browse…", self._browse_out))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._inputs, self.state, self.receipt, self.chart):
            layout.addWidget(widget)

    def _connect(self) -> None:
        for field in (self.dataset, self.out):
            field.textChanged.connect(self._edited)
        for box in (self.fold, self.iterations, self.minutes):
            box.valueChanged.connect(self._edited)
        self.options.edited.connect(self._edited)
        self.options_section.reset.clicked.connect(self.options.reset)
        self.start.activated.connect(self.start_picked)
        self.state.start.clicked.connect(self.start_asked)
        self.state.stop.clicked.connect(self.stop_asked)
        self.receipt.use_asked.connect(self.use_asked)

    @property
    def form(self) -> TrainForm:
        """The values of the form."""
        return TrainForm(
            self.dataset.text().strip(),
            self.fold.value(),
            self.iterations.value(),
            self.out.text().strip(),
            self.options.values,
            self.minutes.number,
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

    def set_start_note(self, verdict: str, sentence: str) -> None:
        """Show below the picker whether the start fits the dataset."""
        set_tone(self.start_note, VERDICT_TONES.get(verdict, "dimmed"))
        self.start_note.setText(f"{VERDICT_MARKS[verdict]} {sentence}" if verdict else "")
        self.start_note.setVisible(bool(verdict))

    def set_dataset(self, folder: str) -> None:
        """Fill in the dataset's folder."""
        self.dataset.setText(folder)

    def show_receipt(self, made: TrainReceipt | None) -> None:
        """Show what a training made; None hides it."""
        self.receipt.show_receipt(made)

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


class ReceiptView(QFrame):
    """What a training made, and a button that uses it."""

    use_asked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.title, self.lines, self.use = heading(""), QLabel(), QPushButton("Use it now")
        self.use.setToolTip("Choose the new bundle in the Segment panel.")
        self.lines.setWordWrap(True)
        self.lines.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._made: TrainReceipt | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.title, self.lines, self.use):
            layout.addWidget(widget)
        self.use.clicked.connect(self._use)
        self.hide()

    def show_receipt(self, made: TrainReceipt | None) -> None:
        """Show a receipt; None hides it."""
        self._made = made
        self.setVisible(made is not None)
        if made is not None:
            self.title.setText(made.title)
            self.lines.setText("\n".join(made.lines))

    def _use(self) -> None:
        if self._made is not None:
            self.use_asked.emit(self._made.folder)


def _path(hint: str) -> QLineEdit:
    field = QLineEdit()
    field.setPlaceholderText(hint)
    return field


def _with_button(field: QLineEdit, text: str, pressed: Callable[[], None]) -> QHBoxLayout:
    button = QPushButton(text)
    button.setToolTip("Choose a folder.")
    button.clicked.connect(pressed)
    row = QHBoxLayout()
    row.addWidget(field, 1)
    row.addWidget(button)
    return row
