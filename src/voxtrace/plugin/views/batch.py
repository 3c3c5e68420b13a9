"""The batch dock: what to read, with which model, where to; and the table of cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QListWidget,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.batch import CaseRow
from voxtrace.plugin.models.panel_state import LegendRow, PanelState
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.widgets import fill, fill_height, note, picker

LIST_LINES, TABLE_LINES, ODD_CHARACTERS = 2, 18, 28


class QtBatchView(QWidget):
    """Setters and signals; implements the controller's ``BatchView``."""

    bundle_picked = Signal(int)
    inputs_added = Signal(object)
    input_removed = Signal(int)
    out_picked = Signal(str)
    filter_changed = Signal(str)
    case_asked = Signal(int)
    start_asked = Signal()
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.bundle = picker("The model that every case is segmented with.")
        self.bundle.setAccessibleName("Model")
        self.inputs, self.out, self.filter = QListWidget(), QLineEdit(), QLineEdit()
        self.state, self.order, self.table = StateView("Start", "Cancel"), note(), QTableWidget()
        self.detail = note()
        self._form = QWidget()
        self._lay_out()
        self._prepare_table()
        self._connect()
        self.set_rows((), (), "")

    def _lay_out(self) -> None:
        self.inputs.setAccessibleName("Scans")
        self.inputs.setToolTip("Folders of scans, files, or DICOM folders; Delete takes the marked one off the list.")
        self.inputs.setFixedHeight(self.fontMetrics().lineSpacing() * (LIST_LINES + 1))
        self.out.setPlaceholderText("a folder for the results, or one from an earlier run")
        self.out.setAccessibleName("Results")
        self.out.setToolTip("CASE.nii.gz, CASE.trace and ledger.jsonl go here; a folder that has them is opened.")
        self.filter.setPlaceholderText("Filter: words of case, state or remark")
        self.filter.setAccessibleName("Filter")
        self.filter.setClearButtonEnabled(True)
        self.filter.setToolTip("Show only cases with all of these words in name, state or remark.")
        form = QFormLayout(self._form)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Model", self.bundle)
        form.addRow("Scans", self.inputs)
        form.addRow(
            "",
            _row(
                _button("Add folder…", "A folder of scans, or a DICOM folder.", self._add_folder),
                _button("Add files…", "Scans; files named CASE_0000, CASE_0001, … are one case.", self._add_files),
            ),
        )
        form.addRow("Results", _row(self.out, _button("Browse…", "Choose a folder for the results.", self._browse_out)))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._form, self.state, self.filter, self.order, self.table, self.detail):
            layout.addWidget(widget, int(widget is self.table))
        layout.addStretch(0)
        self._form.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)  # the table takes the height
        fill_height(self)

    def _prepare_table(self) -> None:
        self.table.setAccessibleName("Cases, worst first")
        self.table.setToolTip("Click a case, or press Enter, to open its scan and trace.")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setTabKeyNavigation(False)  # Tab leaves the table; the arrow keys move in it
        self.table.setMinimumHeight(self.fontMetrics().lineSpacing() * TABLE_LINES)
        self.table.setWordWrap(False)
        if (header := self.table.verticalHeader()) is not None:
            header.hide()

    def _connect(self) -> None:
        self.bundle.activated.connect(self.bundle_picked)
        self.out.editingFinished.connect(lambda: self.out_picked.emit(self.out.text().strip()))
        self.filter.textChanged.connect(self.filter_changed)
        self.state.start.clicked.connect(self.start_asked)
        self.state.stop.clicked.connect(self.stop_asked)
        self.table.itemSelectionChanged.connect(self._show_detail)
        self.table.cellClicked.connect(lambda row, _column: self.case_asked.emit(row))
        self.table.itemActivated.connect(lambda item: self.case_asked.emit(item.row()))
        self.inputs.itemActivated.connect(lambda item: self.input_removed.emit(self.inputs.row(item)))

    def set_bundles(self, names: Sequence[str], chosen: int) -> None:
        """Fill the picker of models."""
        fill(self.bundle, names, chosen)

    def set_inputs(self, inputs: Sequence[str]) -> None:
        """List the folders and files to read."""
        self.inputs.clear()
        self.inputs.addItems(list(inputs))

    def set_out(self, out: str) -> None:
        """Show the folder of the results."""
        with QSignalBlocker(self.out):
            self.out.setText(out)

    def set_rows(self, rows: Sequence[CaseRow], labels: Sequence[str], order: str) -> None:
        """Show the table; the row that was marked stays marked."""
        marked = self._marked()
        columns = ["Case", "State", "What is odd", *(f"{label} (mL)" for label in labels), "Seconds"]
        with QSignalBlocker(self.table):
            self.table.setColumnCount(len(columns))
            self.table.setHorizontalHeaderLabels(columns)
            self.table.setRowCount(len(rows))
            for at, row in enumerate(rows):
                self._set_row(at, row, labels)
            names = [row.case for row in rows]
            if marked in names:
                self.table.selectRow(names.index(marked))
        if (header := self.table.horizontalHeader()) is not None and rows:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
            self.table.resizeColumnsToContents()
            most = self.fontMetrics().averageCharWidth() * ODD_CHARACTERS
            self.table.setColumnWidth(2, min(most, self.table.columnWidth(2)))
        self._show_detail()
        self.order.setText(order)
        for widget in (self.filter, self.order, self.table):
            widget.setVisible(bool(rows or order))

    def show_state(self, state: PanelState) -> None:
        """Show the state; the form is disabled while a job runs."""
        self.state.show_state(state)
        self._form.setEnabled(not state.busy)

    def _marked(self) -> str:
        item = self.table.item(self.table.currentRow(), 0)
        return item.text() if item is not None else ""

    def _show_detail(self) -> None:
        """Show below the table all that is odd about the marked case."""
        odd = self.table.item(self.table.currentRow(), 2)
        text = odd.text() if odd is not None else ""
        self.detail.setText(f"{self._marked()}: {text}" if text else "")
        self.detail.setVisible(bool(text))

    def _set_row(self, at: int, row: CaseRow, labels: Sequence[str]) -> None:
        volumes = [LegendRow(0, (0.0, 0.0, 0.0), "", row.volumes_ml.get(label)).volume_text for label in labels]
        seconds = f"{row.seconds:.1f}" if row.seconds else ""
        texts = [row.case, row.state_text, row.odd, *(text.removesuffix(" mL") for text in volumes), seconds]
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            if column > 2:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(at, column, item)

    def _add_folder(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Choose a folder of scans"):
            self.inputs_added.emit([folder])

    def _add_files(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(self, "Choose scans")
        if files:
            self.inputs_added.emit(files)

    def _browse_out(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Choose a folder for the results"):
            self.out_picked.emit(folder)


def _button(text: str, tooltip: str, pressed: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.clicked.connect(pressed)
    return button


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row
