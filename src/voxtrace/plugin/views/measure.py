"""The measuring dock: tools, a table of what was measured, and a button that copies it."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.measures import COLUMNS, Measurement, cells
from voxtrace.plugin.views.theme import set_tone
from voxtrace.plugin.views.widgets import fill_height, note

_TOOLS = (
    ("line", "Line", "Length in mm."),
    ("ellipse", "Ellipse", "Area, mean, deviation, smallest and largest intensity inside an ellipse."),
    ("rectangle", "Box", "Area and intensities inside a rectangle."),
    ("polygon", "Polygon", "Area and intensities inside a polygon."),
    ("select", "Move", "Move or change a shape; Delete removes it."),
)


class QtMeasureView(QWidget):
    """Setters and signals; implements the controller's ``MeasureView``."""

    tool_asked = Signal(str)
    labels_asked = Signal()
    clear_asked = Signal()
    copy_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.tools = {name: _button(title, tooltip, checkable=True) for name, title, tooltip in _TOOLS}
        self.labels = _button("Labels", "Volume, mean, deviation, smallest and largest intensity of each label.")
        self.copy = _button("Copy", "Copy the table as comma-separated values.")
        self.clear = _button("Clear", "Remove every measurement of this scan.")
        self.table, self.message = QTableWidget(0, len(COLUMNS)), note()
        self._group = QButtonGroup(self)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self._group.setExclusive(False)
        tools, actions = QHBoxLayout(), QHBoxLayout()
        for button in self.tools.values():
            self._group.addButton(button)
            tools.addWidget(button)  # as wide as its text asks for
        for button in (self.labels, self.copy, self.clear):
            actions.addWidget(button, 1)
        self.message.hide()
        self.table.setHorizontalHeaderLabels(list(COLUMNS))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setAccessibleName("Measurements")
        self.table.setToolTip("What was measured on the slices.")
        self.table.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        rows = self.table.verticalHeader()
        assert rows is not None
        rows.hide()
        layout = QVBoxLayout(self)
        layout.addLayout(tools)
        layout.addWidget(self.message)
        layout.addWidget(self.table, 1)
        layout.addLayout(actions)
        fill_height(self)

    def _connect(self) -> None:
        for name, button in self.tools.items():
            button.clicked.connect(lambda _, tool=name: self.tool_asked.emit(tool))
        self.labels.clicked.connect(self.labels_asked)
        self.clear.clicked.connect(self.clear_asked)
        self.copy.clicked.connect(self.copy_asked)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the canvas."""
        return QSize(320, 300)

    def show_measurements(self, rows: Sequence[Measurement]) -> None:
        """List measurements."""
        self.table.setRowCount(len(rows))
        for row, one in enumerate(rows):
            for column, text in enumerate(cells(one)):
                item = QTableWidgetItem(text)
                side = Qt.AlignmentFlag.AlignRight if 0 < column < len(COLUMNS) - 1 else Qt.AlignmentFlag.AlignLeft
                item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
        filled = [any(cells(one)[column] for one in rows) for column in range(len(COLUMNS))]
        for column, has_values in enumerate(filled):
            self.table.setColumnHidden(column, bool(rows) and not has_values)
        self.table.resizeColumnsToContents()
        for button in (self.copy, self.clear):
            button.setEnabled(bool(rows))

    def show_tool(self, tool: str) -> None:
        """Mark the tool in use; ``""`` for none."""
        for name, button in self.tools.items():
            button.setChecked(name == tool)

    def show_message(self, message: str, *, is_error: bool = False) -> None:
        """Show a sentence; ``""`` hides it."""
        self.message.setText(message)
        set_tone(self.message, "error box" if is_error else "dimmed")
        self.message.setVisible(bool(message))

    @property
    def texts(self) -> list[list[str]]:
        """The table as shown."""
        return [
            [item.text() if (item := self.table.item(row, column)) else "" for column in range(len(COLUMNS))]
            for row in range(self.table.rowCount())
        ]


def _button(title: str, tooltip: str, *, checkable: bool = False) -> QPushButton:
    button = QPushButton(title)
    button.setCheckable(checkable)
    button.setToolTip(tooltip)
    button.setAccessibleName(title)
    button.setStyleSheet("QPushButton { padding: 3px 4px; min-width: 0px; }")
    return button
