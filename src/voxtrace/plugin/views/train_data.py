"""The parts of the training panel that show a dataset: the list of its faults, and its plan."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.models.train_data import Fact, FaultRow
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.theme import set_tone
from voxtrace.plugin.views.widgets import WrappedLabel, note

MAX_BATCH = 4096
_LINES = 7  # of the list
_COLUMNS = ("", "Case", "What is wrong")
_CASE_CHARACTERS = 16


class FaultsView(QWidget):
    """The list of a dataset's faults, with buttons that open a case and write a mended copy."""

    look_asked = Signal()
    stop_asked = Signal()
    case_asked = Signal(int)
    mend_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.state, self.table, self.detail = StateView("Look over the data", "Stop"), QTableWidget(), WrappedLabel()
        self.open, self.mend = QPushButton("Open case"), QPushButton("Mend into a copy…")
        self._rows: Sequence[FaultRow] = ()
        self.state.start.setToolTip("Read every file once and list all that is wrong, as `voxtrace plan` does.")
        self.open.setToolTip("Open the marked case, image and labels, in the viewer.")
        self.mend.setToolTip(
            "Write a copy of the dataset with headers copied, labels re-mapped and what cannot be mended left out, "
            "and use it."
        )
        set_tone(self.detail, "dimmed")
        self._prepare_table()
        buttons = QHBoxLayout()
        buttons.addWidget(self.open)
        buttons.addWidget(self.mend)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 0, 0, 0)
        for widget in (self.state, self.table, self.detail):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        self.state.start.clicked.connect(self.look_asked)
        self.state.stop.clicked.connect(self.stop_asked)
        self.table.itemSelectionChanged.connect(self._show_detail)
        self.table.itemActivated.connect(lambda item: self.case_asked.emit(item.row()))
        self.open.clicked.connect(lambda: self.case_asked.emit(self.table.currentRow()))
        self.mend.clicked.connect(self._browse)
        self.set_faults((), False)

    def _prepare_table(self) -> None:
        self.table.setAccessibleName("What is wrong with the data")
        self.table.setToolTip("Mark a line to read what to do; Enter opens its case.")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setTabKeyNavigation(False)  # Tab leaves the table; the arrow keys move in it
        self.table.setWordWrap(False)
        self.table.setColumnCount(len(_COLUMNS))
        self.table.setHorizontalHeaderLabels(list(_COLUMNS))
        if (header := self.table.verticalHeader()) is not None:
            header.hide()

    def set_faults(self, rows: Sequence[FaultRow], can_mend: bool) -> None:
        """List the faults of a dataset; ``can_mend`` offers a copy without them."""
        self._rows = rows
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(rows))
            for at, row in enumerate(rows):
                for column, text in enumerate((row.level, row.case or "all", f"{row.kind}: {row.what}")):
                    item = QTableWidgetItem(text)
                    item.setToolTip(row.detail)
                    self.table.setItem(at, column, item)
            if rows:
                self.table.selectRow(0)
        if (header := self.table.horizontalHeader()) is not None and rows:
            self.table.resizeColumnsToContents()
            most = self.fontMetrics().averageCharWidth() * _CASE_CHARACTERS
            self.table.setColumnWidth(1, min(most, self.table.columnWidth(1)))
            header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        line = self.fontMetrics().lineSpacing() * 3 // 2
        self.table.setFixedHeight(line * (min(len(rows), _LINES) + 2))  # what is marked is told right below
        for widget in (self.table, self.open):
            widget.setVisible(bool(rows))
        self.mend.setVisible(can_mend)
        self._show_detail()

    def show_state(self, state: PanelState) -> None:
        """Show what the look is at; the buttons wait for it."""
        self.state.show_state(state)
        self.mend.setEnabled(not state.busy)

    def _show_detail(self) -> None:
        """Show below the list all of the marked line."""
        at = self.table.currentRow()
        row = self._rows[at] if 0 <= at < len(self._rows) else None
        self.detail.setText(row.detail if row else "")
        self.detail.setVisible(row is not None)
        self.open.setEnabled(row is not None and row.has_case)

    def _browse(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Name the folder of the copy")
        if path:
            self.mend_asked.emit(path)


class PlanView(QWidget):
    """What may be planned otherwise, and the plan that follows."""

    edited = Signal()
    plan_asked = Signal()
    stop_asked = Signal()
    save_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.window_size, self.spacing, self.batch = QLineEdit(), QLineEdit(), QSpinBox()
        self.file = QLineEdit()
        self.state, self.facts = StateView("Show the plan", "Stop"), WrappedLabel()
        self.save = QPushButton("Save the plan…")
        self.bundles_plan = note()
        self._describe()
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        for text, widget in (
            ("Window", self.window_size),
            ("Spacing", self.spacing),
            ("Plan file", self.file),
            ("Batch", self.batch),
        ):
            form.addRow(text, widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 0, 0, 0)
        layout.addWidget(self.bundles_plan)
        layout.addLayout(form)
        layout.addWidget(self.state)
        layout.addWidget(self.facts)
        layout.addWidget(self.save)
        for field in (self.window_size, self.spacing, self.file):
            field.textChanged.connect(lambda *_: self.edited.emit())
        self.batch.valueChanged.connect(lambda *_: self.edited.emit())
        self.state.start.clicked.connect(self.plan_asked)
        self.state.stop.clicked.connect(self.stop_asked)
        self.save.clicked.connect(self._browse)
        self.set_plan((), False)

    def _describe(self) -> None:
        self.window_size.setPlaceholderText("as planned, or 32 × 128 × 128")
        self.window_size.setToolTip(
            "Voxels of a window, z × y × x: what the network sees at once. Empty is as planned."
        )
        self.spacing.setPlaceholderText("as planned, or 3 × 0.8 × 0.8")
        self.spacing.setToolTip("Spacing in mm, z × y × x, that every scan is brought to. Empty is as planned.")
        self.file.setPlaceholderText("the dataset's own, or a file")
        self.file.setToolTip("A plan with folds, saved here or by `voxtrace plan DATASET --out FILE`.")
        self.batch.setRange(0, MAX_BATCH)
        self.batch.setSpecialValueText("as planned")
        self.batch.setToolTip("Windows in an update; fewer need less memory.")
        self.state.start.setToolTip("Read the dataset and show the plan, and what it needs; nothing is trained.")
        self.save.setToolTip("Write plan and folds to a file, as `voxtrace plan --out` does.")
        self.bundles_plan.setText("A bundle is fine-tuned with its own window and spacing.")
        names = {self.window_size: "Window", self.spacing: "Spacing", self.file: "Plan file", self.batch: "Batch"}
        for widget, name in names.items():
            widget.setAccessibleName(name)

    def set_plan(self, facts: Sequence[Fact], can_save: bool) -> None:
        """Show a plan as names and values."""
        self.facts.setText("\n".join(f"{name}: {value}" for name, value in facts))
        self.facts.setVisible(bool(facts))
        self.save.setVisible(can_save)

    def clear(self) -> None:
        """Empty every field, so that all is as planned."""
        for field in (self.window_size, self.spacing, self.file):
            field.clear()
        self.batch.setValue(0)

    def set_is_the_bundles(self, fixed: bool) -> None:
        """Tell whether window and spacing are those of the bundle that is fine-tuned."""
        for field in (self.window_size, self.spacing, self.file):
            if fixed:
                field.clear()
            field.setEnabled(not fixed)
        self.bundles_plan.setVisible(fixed)

    def _browse(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the plan", "plan.json", "JSON (*.json)")
        if path:
            self.save_asked.emit(path)
