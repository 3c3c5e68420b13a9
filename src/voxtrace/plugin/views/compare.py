"""The compare dock: results to tick, what to do with them, and the table of scores."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models import compare
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.views.theme import follow_theme, set_tone
from voxtrace.plugin.views.widgets import Collapsible, fill, heading, note, picker

_ID = int(Qt.ItemDataRole.UserRole)
_LIST_ROWS = 4
_NAME_CHARACTERS = 16


class QtCompareView(QWidget):
    """Setters and signals; implements the controller's ``CompareView``."""

    ticked = Signal(object, bool)  # the unique id of a layer, and whether it is ticked
    reference_picked = Signal(int)
    side_by_side_toggled = Signal(bool)
    differences_asked = Signal()
    vote_asked = Signal()
    score_asked = Signal()
    cancel_asked = Signal()
    models_asked = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.results, self.models = _list("Results to compare"), _list("Models to run on this scan")
        self.reference = picker("The layer that counts as the truth in the table.")
        self.side, self.differences = QPushButton("Side by side"), QPushButton("Where they differ")
        self.vote, self.score, self.copy = (
            QPushButton("Majority vote"),
            QPushButton("Score"),
            QPushButton("Copy as CSV"),
        )
        self.run, self.stop, self.bar, self.message = QPushButton("Run"), QPushButton("Cancel"), QProgressBar(), note()
        self.table = QTableWidget(0, len(compare.COLUMNS))
        self._rows: tuple[compare.ScoreRow, ...] = ()
        self._sorted: tuple[int, bool] | None = None
        self._lay_out()
        self._connect()
        follow_theme(self)

    def _lay_out(self) -> None:
        for button, tooltip in (
            (self.side, "Show each ticked result in a view of its own; the views move together."),
            (self.differences, "List the places where the ticked results differ, by mL at stake."),
            (self.vote, "Add a result that gives each voxel the label of most ticked results."),
            (self.score, "Fill the table: mL of each label, and agreement with the reference where one is chosen."),
            (self.copy, "Copy the table as comma-separated values."),
            (self.run, "Segment the scan with each ticked model, one after the other."),
            (self.stop, "Stop the comparison."),
        ):
            button.setToolTip(tooltip)
        self.side.setCheckable(True)
        self.reference.setAccessibleName("Reference")
        self.table.setHorizontalHeaderLabels(list(compare.COLUMNS))
        self.table.setAccessibleName("Scores")
        self.table.setToolTip("Each result against the reference.")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setMinimumHeight(150)
        header, numbers = self.table.horizontalHeader(), self.table.verticalHeader()
        assert header is not None
        assert numbers is not None
        numbers.hide()
        numbers.setDefaultSectionSize(self.table.fontMetrics().height() + 8)
        for column, text in enumerate(compare.EXPLAINED):
            if (item := self.table.horizontalHeaderItem(column)) is not None:
                item.setToolTip(text)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)  # long names are cut: their tooltip has them
        self.table.setColumnWidth(0, self.table.fontMetrics().averageCharWidth() * _NAME_CHARACTERS)
        buttons = QGridLayout()
        for i, button in enumerate((self.side, self.differences, self.vote)):
            buttons.addWidget(button, i // 2, i % 2, 1, 1 + i // 2)
        against = QHBoxLayout()
        against.addWidget(QLabel("Against"))
        against.addWidget(self.reference, 1)
        against.addWidget(self.score)
        layout = QVBoxLayout(self)
        layout.addWidget(heading("Results of one scan"))
        layout.addWidget(self.results)
        layout.addLayout(buttons)
        layout.addLayout(against)
        for widget in (self.message, self.bar, self.stop, self.table, self.copy, self._models_part()):
            layout.addWidget(widget, int(widget is self.table))

    def _models_part(self) -> QWidget:
        content = QWidget()
        inside = QVBoxLayout(content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.models)
        inside.addWidget(self.run)
        part = Collapsible(content, resettable=False)
        part.title.setText("Run several models on this scan")
        part.title.setToolTip("Tick models and press Run; their results are added to the list above.")
        return part

    def _connect(self) -> None:
        self.results.itemChanged.connect(
            lambda item: self.ticked.emit(item.data(_ID), item.checkState() == Qt.CheckState.Checked)
        )
        self.reference.activated.connect(self.reference_picked)
        self.side.clicked.connect(self.side_by_side_toggled)
        self.differences.clicked.connect(self.differences_asked.emit)
        self.vote.clicked.connect(self.vote_asked.emit)
        self.score.clicked.connect(self.score_asked.emit)
        self.stop.clicked.connect(self.cancel_asked.emit)
        self.copy.clicked.connect(self._copy)
        self.run.clicked.connect(lambda: self.models_asked.emit(_checked(self.models)))
        header = self.table.horizontalHeader()
        assert header is not None
        header.sectionClicked.connect(self._sort)

    def set_results(self, results: Sequence[compare.ResultChoice]) -> None:
        """List the results that can be compared."""
        with QSignalBlocker(self.results):
            self.results.clear()
            for result in results:
                item = _item(result.name, result.ticked)
                item.setData(_ID, result.id)
                self.results.addItem(item)

    def set_references(self, names: Sequence[str], chosen: int) -> None:
        """Offer reference layers; the first entry is none."""
        fill(self.reference, names, chosen)

    def set_models(self, models: Sequence[compare.RunnableModel]) -> None:
        """List the models that can be run on the scan; ticks are kept."""
        before = {item.data(_ID) for i in _checked(self.models) if (item := self.models.item(i)) is not None}
        self.models.clear()
        for model in models:
            item = _item(model.name, model.name in before and not model.refusal)
            item.setData(_ID, model.name)
            item.setToolTip(model.refusal or f"Finds {model.finds}.")
            if model.refusal:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.models.addItem(item)

    def set_table(self, rows: Sequence[compare.ScoreRow]) -> None:
        """Show the table."""
        self._rows = tuple(rows)
        self.table.setRowCount(len(rows))
        for index, row in enumerate(rows):
            for column, text in enumerate(row.cells):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{row.result}: {row.label}")
                if column > 1:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(index, column, item)
        self.copy.setEnabled(bool(rows))

    def set_side_by_side(self, shown: bool) -> None:
        """Show whether results are side by side."""
        with QSignalBlocker(self.side):
            self.side.setChecked(shown)

    def show_state(self, state: PanelState) -> None:
        """Show a message, and progress while a job runs."""
        self.message.setText(state.message)
        set_tone(self.message, "error" if state.level == "error" else "good" if state.level == "done" else "dimmed")
        self.bar.setVisible(state.busy)
        self.stop.setVisible(state.busy)
        self.bar.setRange(0, state.total)
        self.bar.setValue(state.done)
        for button in (self.differences, self.vote, self.score, self.run):
            button.setEnabled(not state.busy)

    def _sort(self, column: int) -> None:
        """Sort by a column, best first; clicked again, the other way round."""
        turned = self._sorted == (column, False)
        self._sorted = (column, turned)
        rows = compare.ordered(self._rows, column)
        self.set_table(tuple(reversed(rows)) if turned else rows)

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(compare.as_csv(self._rows))


def _list(name: str) -> QListWidget:
    found = QListWidget()
    found.setAccessibleName(name)
    found.setToolTip(name)
    found.setFixedHeight(_LIST_ROWS * (found.fontMetrics().height() + 8))
    return found


def _item(text: str, ticked: bool) -> QListWidgetItem:
    item = QListWidgetItem(text)
    item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
    item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
    return item


def _checked(widget: QListWidget) -> list[int]:
    items = ((i, widget.item(i)) for i in range(widget.count()))
    return [i for i, item in items if item is not None and item.checkState() == Qt.CheckState.Checked]
