"""The training panel: dataset, start, options, plan, what lies at the output, receipt and curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.messages import TrainReport
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.models.train_data import Fact, FaultRow
from voxtrace.plugin.models.train_form import KnownDataset, TrainForm
from voxtrace.plugin.models.train_more import TrainMore
from voxtrace.plugin.models.train_receipt import TrainReceipt
from voxtrace.plugin.views.charts import TrainingChart
from voxtrace.plugin.views.fields import NumberBox
from voxtrace.plugin.views.options import OptionsForm
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.theme import Tone, set_tone
from voxtrace.plugin.views.train_data import FaultsView, PlanView
from voxtrace.plugin.views.train_more import MoreView
from voxtrace.plugin.views.train_receipt import ReceiptView
from voxtrace.plugin.views.widgets import Collapsible, fill, note, picker

if TYPE_CHECKING:
    from voxtrace.method import OptionInfo

MAX_ITERATIONS = 1_000_000
FOLDS = 5  # where the dataset is not known yet
NO_FOLD, EVERY_FOLD = "none: train on every case", "each in turn: cross-validation"
FIRST_CASE = "the first held-back case"
VERDICT_TONES: dict[str, Tone] = {"fits": "good", "check": "warning", "does not fit": "error"}
VERDICT_MARKS = {"fits": "✓", "check": "!", "does not fit": "✗"}


class QtTrainView(QWidget):
    """Setters and signals; implements the controllers' ``TrainView`` and ``TrainDataView``.

    ``state``, with the buttons, is the footer of its panel.
    """

    edited = Signal(object)
    start_picked = Signal(int)
    start_asked = Signal()
    stop_asked = Signal()
    help_asked = Signal(str)
    fill_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.dataset, self.out = _path("a folder, or a CSV"), _path("a new folder")
        self.known, self.faults = note(), FaultsView()
        self.start, self.start_note = picker(_START), note()
        self.start.setPlaceholderText(_NO_START)
        self.options, self.plan, self.more = OptionsForm(), PlanView(), MoreView()
        self.fold, self.preview = picker("Which part of the cases is kept for validation."), picker(_PREVIEW)
        self.iterations, self.extend, self.minutes = QSpinBox(), QSpinBox(), NumberBox(0.01, 100_000.0, "no limit")
        self.constant = QCheckBox("constant, to extend it later")
        self.run, self.begun = note(), QPushButton("As begun")
        self.options_section = Collapsible(self.options)
        self.faults_section = Collapsible(self.faults, resettable=False)
        self.plan_section = Collapsible(self.plan, resettable=False)
        self.more_section = Collapsible(self.more)
        self.state, self.receipt, self.chart = StateView("Start", "Stop"), ReceiptView(), TrainingChart()
        self._inputs = QWidget()
        self.setup = Collapsible(self._inputs, resettable=False)
        self._extend_row = QWidget()
        self._was_shown = True
        self._describe()
        self._lay_out()
        self._connect()
        self._fill_folds(FOLDS)
        fill(self.preview, [FIRST_CASE], 0)
        self.show_run((), False, False)

    def _describe(self) -> None:
        for box, word in ((self.iterations, "as planned"), (self.extend, "not")):
            box.setRange(0, MAX_ITERATIONS)
            box.setSpecialValueText(word)
            box.setSingleStep(100)
            box.setGroupSeparatorShown(True)
        self.minutes.set_number(None)
        self.known.hide()
        self.start_note.hide()
        tips = {
            self.dataset: "A folder in nnU-Net's raw layout, the Decathlon's, with BraTS names, or a CSV; Correct adds "
            "cases to one.",
            self.iterations: "Updates of the weights; as planned is what the bundle or this machine suggests.",
            self.minutes: "Stop the updates after this time and write the bundle, e.g. 2 for a first look.",
            self.constant: "The learning rate stays, and falls in the last fifth; such a run can be made longer.",
            self.extend: "Train the run at New bundle for so many iterations more; it must have a constant rate.",
            self.begun: "Fill in everything as the run was begun with; other values are refused.",
            self.out: "A folder that does not exist yet, or that of a run to resume or to extend.",
        }
        names = {
            self.dataset: "Dataset",
            self.fold: "Fold held back",
            self.start: "Start from",
            self.preview: "Case shown as it is learned",
            self.iterations: "Iterations",
            self.minutes: "Time limit in minutes",
            self.extend: "Iterations to extend by",
            self.out: "Folder of the new bundle",
        }
        for widget, tip in tips.items():
            widget.setToolTip(tip)
        for widget, name in names.items():
            widget.setAccessibleName(name)

    def _lay_out(self) -> None:
        extend = QHBoxLayout(self._extend_row)
        extend.setContentsMargins(0, 0, 0, 0)
        extend.addWidget(self.extend, 1)
        extend.addWidget(self.begun)
        form = QFormLayout(self._inputs)
        form.setContentsMargins(0, 0, 0, 0)
        menu = QMenu(self)
        menu.addAction("Folder…", self._browse_dataset)
        menu.addAction("CSV…", self._browse_csv)
        form.addRow("Dataset", _with_button(self.dataset, "Choose a folder or a CSV.", menu))
        form.addRow("", self.known)
        form.addRow(self.faults_section)
        form.addRow("Start from", self.start)
        form.addRow("", self.start_note)
        form.addRow(self.options_section)
        form.addRow(self.plan_section)
        form.addRow("Hold back", self.fold)
        form.addRow("Iterations", self.iterations)
        form.addRow("Minutes", self.minutes)
        form.addRow("Rate", self.constant)
        form.addRow("Show", self.preview)
        form.addRow(self.more_section)
        form.addRow("New bundle", _with_button(self.out, "Choose a folder.", self._browse_out))
        form.addRow("", self.run)
        form.addRow("Extend by", self._extend_row)
        self._form = form
        for section, title in (
            (self.setup, "What to train"),
            (self.faults_section, "Look over the data"),
            (self.plan_section, "Plan"),
            (self.more_section, "Seed, rate and average"),
        ):
            section.title.setText(title)
        self.setup.title.setChecked(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.setup, self.receipt, self.chart):
            layout.addWidget(widget)

    def _connect(self) -> None:
        for field in (self.dataset, self.out):
            field.textChanged.connect(self._edited)
        for box in (self.iterations, self.minutes, self.extend):
            box.valueChanged.connect(self._edited)
        for choice in (self.fold, self.preview):
            choice.currentIndexChanged.connect(self._edited)
        self.constant.toggled.connect(self._edited)
        self.options.edited.connect(self._edited)
        self.plan.edited.connect(self._edited)
        self.more.edited.connect(self._edited)
        self.more_section.reset.clicked.connect(self.more.reset)
        self.options_section.reset.clicked.connect(self.options.reset)
        self.start.activated.connect(self.start_picked)
        self.begun.clicked.connect(self.fill_asked)
        self.state.start.clicked.connect(self.start_asked)
        self.state.stop.clicked.connect(self.stop_asked)
        self.state.remedy_asked.connect(self.help_asked)

    @property
    def form(self) -> TrainForm:
        """The values of the form."""
        at, folds = self.fold.currentIndex(), self.fold.count() - 2
        return TrainForm(
            dataset=self.dataset.text().strip(),
            fold=at if 0 <= at < folds else None,
            iterations=self.iterations.value(),
            out=self.out.text().strip(),
            options=self.options.values,
            minutes=self.minutes.number,
            every_fold=self.fold.currentText() == EVERY_FOLD,
            window=self.plan.window_size.text().strip(),
            spacing=self.plan.spacing.text().strip(),
            batch_size=self.plan.batch.value(),
            plan=self.plan.file.text().strip(),
            constant_rate=self.constant.isChecked(),
            preview=self.preview.currentText() if self.preview.currentIndex() > 0 else "",
            more=self.more.values,
            extend=self.extend.value() if self._extend_row.isVisibleTo(self._inputs) else 0,
        )

    def _edited(self, *_: object) -> None:
        changed = self.more.values.changed
        self.more_section.title.setText(f"Seed, rate and average{f' ({changed} changed)' if changed else ''}")
        self.edited.emit(self.form)

    def set_starts(self, names: Sequence[str], chosen: int) -> None:
        """Fill the picker of what training starts from."""
        fill(self.start, names, chosen)
        self.start.setToolTip(f"{names[chosen]}: {_START}" if chosen >= 0 else _START)  # a long name is cut

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

    def set_plan_is_the_bundles(self, fixed: bool) -> None:
        """Tell whether window and spacing are those of the bundle that is fine-tuned."""
        self.plan.set_is_the_bundles(fixed)

    def set_dataset(self, folder: str) -> None:
        """Fill in the dataset's folder."""
        self.dataset.setText(folder)

    def set_known(self, known: KnownDataset) -> None:
        """Show what is known of the dataset; its folds and cases fill pickers."""
        self.known.setText(known.sentence)
        self.known.setVisible(bool(known.sentence))
        if known.cases:
            self._fill_folds(known.folds)
            before = self.preview.currentText()
            entries = [FIRST_CASE, *known.cases]
            fill(self.preview, entries, entries.index(before) if before in entries else 0)
            self._edited()

    def _fill_folds(self, folds: int) -> None:
        before = self.fold.currentText()
        entries = [*(f"fold {number}" for number in range(folds)), NO_FOLD, EVERY_FOLD]
        fill(self.fold, entries, entries.index(before) if before in entries else 0)

    def show_run(self, lines: Sequence[str], can_fill: bool, can_extend: bool) -> None:
        """Show what lies at the output, and offer to fill in the form as it was begun, or to extend it."""
        self.run.setText("\n".join(lines))
        self._form.setRowVisible(self.run, bool(lines))
        self.begun.setEnabled(can_fill)
        if not can_extend:
            with QSignalBlocker(self.extend):
                self.extend.setValue(0)
        self._form.setRowVisible(self._extend_row, can_extend)

    def fill_begun(self, fold: int | None, constant: bool | None) -> None:
        """Fill in the fold, and how the rate goes where that is known."""
        entry = NO_FOLD if fold is None else f"fold {fold}"
        self.fold.setCurrentIndex(max(0, self.fold.findText(entry)))
        self.iterations.setValue(0)
        if constant is not None:
            self.constant.setChecked(constant)

    def fill_rest(self, minutes: float | None, preview: str, more: TrainMore) -> None:
        """Fill in everything else that a run recorded; a plan of its own it has anyway."""
        self.minutes.set_number(minutes)
        self.preview.setCurrentIndex(max(0, self.preview.findText(preview)) if preview else 0)
        self.plan.clear()
        self.more.fill(more)

    def clear_lengths(self) -> None:
        """Empty the fields of how long a run is, and how much longer it gets."""
        for box in (self.iterations, self.extend):
            with QSignalBlocker(box):
                box.setValue(0)

    def show_receipt(self, made: TrainReceipt | None) -> None:
        """Show what a training made; None hides it."""
        self.receipt.show_receipt(made)

    def set_start_word(self, word: str) -> None:
        """Set the text of the Start button: Start, Resume or Extend."""
        self.state.start.setText(word)

    def clear_curves(self) -> None:
        """Remove the curves of the previous run."""
        self.chart.clear()

    def add_report(self, report: TrainReport) -> None:
        """Add a point to each curve that the report has."""
        self.chart.add_report(report)

    def show_state(self, state: PanelState) -> None:
        """Show the state; while a job runs the form is disabled and folded away, so that the curves are in view."""
        self.state.show_state(state)
        self._inputs.setEnabled(not state.busy)
        shown = not state.busy and state.level != "done"  # then the receipt is in view
        if shown != self._was_shown:
            self.setup.title.setChecked(shown)
        self._was_shown = shown

    def set_faults(self, rows: Sequence[FaultRow], can_mend: bool) -> None:
        """List the faults of the dataset."""
        self.faults.set_faults(rows, can_mend)

    def set_plan(self, facts: Sequence[Fact], can_save: bool) -> None:
        """Show a plan."""
        self.plan.set_plan(facts, can_save)

    def show_data_state(self, state: PanelState) -> None:
        """Show what the look at the dataset is at."""
        self.faults.show_state(state)
        self.faults_section.title.setText(f"Look over the data{_short(state)}")

    def show_plan_state(self, state: PanelState) -> None:
        """Show what the planning is at."""
        self.plan.state.show_state(state)

    def _browse_dataset(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Choose a dataset folder"):
            self.dataset.setText(folder)

    def _browse_csv(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a CSV of images and labels", "", "CSV (*.csv)")
        if path:
            self.dataset.setText(path)

    def _browse_out(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Name the new bundle's folder")
        if path:
            self.out.setText(path)


_NO_START = "Choose, or take what fits the dataset"
_START = "A trained bundle to improve, or a method with random weights."
_PREVIEW = "The case that is segmented at every validation and shown as it is learned: the step slider is time."


def _short(state: PanelState) -> str:
    """Return the end of the title of a section: nothing before the look, else what it found."""
    if state.level not in ("warning", "done"):
        return ""
    _, _, counts = state.message.partition("; ")
    return f": {counts.rstrip('.')}" if counts else ""


def _path(hint: str) -> QLineEdit:
    field = QLineEdit()
    field.setPlaceholderText(hint)
    return field


def _with_button(field: QLineEdit, tip: str, pressed: Callable[[], None] | QMenu) -> QHBoxLayout:
    button = QPushButton("Browse…")
    button.setToolTip(tip)
    if isinstance(pressed, QMenu):
        button.setMenu(pressed)
    else:
        button.clicked.connect(pressed)
    row = QHBoxLayout()
    row.addWidget(field, 1)
    row.addWidget(button)
    return row
