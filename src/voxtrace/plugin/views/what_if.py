"""The dock "What if": a table of other settings, with a button that runs one."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.models.what_if import COLUMNS, WhatIfRow
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.widgets import fill_height, note


class QtWhatIfView(QWidget):
    """Setters and signals; implements the controller's ``WhatIfView``."""

    run_asked = Signal(int)
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.of, self.explained = note(), note()
        self.table = QTableWidget(0, len(COLUMNS))
        self.state = StateView("", "Cancel")
        self.state.start.hide()
        self.explained.setText(
            "Time and changes of other settings, compared with this result. They follow from its trace, without "
            "running again; Run measures one."
        )
        self._lay_out()
        self.state.stop.clicked.connect(self.stop_asked)

    def _lay_out(self) -> None:
        table = self.table
        table.setHorizontalHeaderLabels(COLUMNS)
        table.setAccessibleName("Other settings")
        table.setToolTip("Seconds and changed voxels with other settings; measured, or worked out from the steps.")
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        if (rows := table.verticalHeader()) is not None:
            rows.hide()
            rows.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)  # also when the panel gets another width
        if (head := table.horizontalHeader()) is not None:
            head.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            head.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        table.setWordWrap(True)
        table.setMinimumHeight(320)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.of, self.explained, table, self.state):
            layout.addWidget(widget, int(widget is table))
        fill_height(self)

    def set_rows(self, of: str, rows: Sequence[WhatIfRow]) -> None:
        """Show the table of the result with this name; no rows empty it."""
        self.of.setText(f"Of {of}." if of else "")
        self.table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            name = f"{row.name}\n{row.how}" if row.how else row.name
            for column, text in enumerate((name, f"{row.time}\n{row.changed} voxels")):
                item = QTableWidgetItem(text)
                item.setToolTip(
                    f"{row.name}: {row.time}, {row.work} of the network's work, {row.changed} voxels changed."
                )
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(number, column, item)
            self._set_button(number, row)

    def _set_button(self, number: int, row: WhatIfRow) -> None:
        if row.options is None:
            self.table.removeCellWidget(number, len(COLUMNS) - 1)
            return
        button = QPushButton("Run")
        button.setToolTip(f"Run this setting and measure it: {row.name.lower()}.")
        button.setAccessibleName(f"Run: {row.name}")
        button.clicked.connect(lambda: self.run_asked.emit(number))
        self.table.setCellWidget(number, len(COLUMNS) - 1, button)

    def show_state(self, state: PanelState) -> None:
        """Show the state; no other row can be run while a job runs."""
        self.state.show_state(state)
        self.state.stop.setVisible(state.busy)
        for number in range(self.table.rowCount()):
            if (button := self.table.cellWidget(number, len(COLUMNS) - 1)) is not None:
                button.setEnabled(not state.busy)
