"""The list of places to look at, with its buttons and keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QKeySequence, QPixmap, QShortcut
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.panel_state import Level
from voxtrace.plugin.models.places import ListedPlace
from voxtrace.plugin.views.theme import follow_theme, set_tone
from voxtrace.plugin.views.widgets import fill, fill_height, note, picker

_COLUMNS = ("", "mL", "Label", "What differs", "")
_STRETCHED = 3
# name of the button and its signal, text, key, tooltip
_BUTTONS = (
    ("accept", "Accept", "Return", "Leave this place as it is shown, and go on."),
    ("repaint", "Repaint", "R", "Take up the brush with the label of this place; the first stroke marks it."),
    ("replace", "Other side", "O", "Give the place what the other side says, as one edit, and go on."),
    ("back", "Back", "Backspace", "Show the place before this one."),
    ("undo", "Undo", "Z", "Take back the last decision, and what was painted for it."),
    ("next", "Next", "N", "Show the next place without a decision."),
)
_MORE_KEYS = (("accept", "Enter"), ("repaint", "E"))  # Enter of the number pad


class QtPlacesView(QWidget):
    """Setters and signals; implements the controller's ``PlacesView``."""

    source_picked = Signal(int)
    place_picked = Signal(int)
    accept_asked = Signal()
    repaint_asked = Signal()
    replace_asked = Signal()
    back_asked = Signal()
    undo_asked = Signal()
    next_asked = Signal()
    contours_toggled = Signal(bool)
    contours_picked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.source, self.fit, self.message = picker("What is compared with what."), note(), note()
        self.progress, self.undecided = QLabel(), note()
        self.table = QTableWidget(0, len(_COLUMNS))
        self.contours, self.contour_label = QCheckBox("Contours of"), picker("Whose contours are drawn.")
        self.buttons: dict[str, QPushButton] = {}
        self._body = QWidget()
        self._set_up_table()
        self._make_buttons()
        self._lay_out()
        self._connect()
        follow_theme(self)

    def _set_up_table(self) -> None:
        table = self.table
        table.setHorizontalHeaderLabels(list(_COLUMNS))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setAccessibleName("Places to look at, the largest first")
        table.setToolTip("Select a place to go there.")
        table.setShowGrid(False)
        table.setMinimumHeight(160)
        # the buttons follow a short list
        table.setSizeAdjustPolicy(QAbstractItemView.SizeAdjustPolicy.AdjustToContents)
        table.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Maximum)
        table.setTabKeyNavigation(False)  # Tab goes on to the buttons
        numbers, header = table.verticalHeader(), table.horizontalHeader()
        assert numbers is not None
        assert header is not None
        numbers.hide()
        numbers.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)  # also when the panel gets another width
        header.setHighlightSections(False)
        for column in range(len(_COLUMNS)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_STRETCHED, QHeaderView.ResizeMode.Stretch)

    def _make_buttons(self) -> None:
        for name, text, key, tooltip in _BUTTONS:
            shown = {"Return": "⏎", "Backspace": "⌫"}.get(key, key)
            button = self.buttons[name] = QPushButton(f"{text}  {shown}")
            button.setToolTip(f"{tooltip} Key: {key}.")
            button.setAccessibleName(text)
        for name, key in (*((name, key) for name, _, key, _ in _BUTTONS), *_MORE_KEYS):
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(self.buttons[name].click)

    def _lay_out(self) -> None:
        self.source.setAccessibleName("Compare")
        self.contours.setToolTip("Solid: all agree. Dashed: any of them says so.")
        self.contour_label.setAccessibleName("Contours of")
        set_tone(self.progress, "text")
        self.progress.setWordWrap(True)
        buttons = QGridLayout()
        for i, button in enumerate(self.buttons.values()):
            buttons.addWidget(button, i // 3, i % 3)
        contours = QHBoxLayout()
        contours.addWidget(self.contours)
        contours.addWidget(self.contour_label, 1)
        body = QVBoxLayout(self._body)
        body.setContentsMargins(0, 0, 0, 0)
        body.addWidget(self.progress)
        body.addWidget(self.table, 1)
        body.addLayout(buttons)
        layout = QVBoxLayout(self)
        for widget in (self.fit, self.source, self.message, self._body):
            layout.addWidget(widget, int(widget is self._body))
        layout.addLayout(contours)
        layout.addWidget(self.undecided)
        layout.addStretch(0)
        fill_height(self)
        self.fit.hide()

    def _connect(self) -> None:
        self.source.activated.connect(self.source_picked)
        self.table.currentCellChanged.connect(self._on_row)
        self.contours.toggled.connect(self.contours_toggled)
        self.contour_label.activated.connect(self.contours_picked)
        for name, button in self.buttons.items():
            button.clicked.connect(getattr(self, f"{name}_asked").emit)

    def set_sources(self, titles: Sequence[str], chosen: int) -> None:
        """Offer what can be compared."""
        fill(self.source, [f"Compare {title}" for title in titles], chosen)
        self.source.setVisible(bool(titles))
        self.source.setEnabled(len(titles) > 1)

    def set_fit(self, text: str, level: Level) -> None:
        """Show how much the scan looks like those that the model was validated on; ``""`` hides it."""
        self.fit.setText(text)
        set_tone(self.fit, "good" if level == "done" else "warning" if level == "error" else "dimmed")
        self.fit.setVisible(bool(text))

    def show_message(self, text: str, level: Level) -> None:
        """Show a sentence in place of the list; ``""`` shows the list."""
        self.message.setText(text)
        set_tone(self.message, "error" if level == "error" else "dimmed")
        self.message.setVisible(bool(text))
        self._body.setVisible(not text)
        if level != "done":
            self.undecided.setVisible(False)

    def set_rows(self, rows: Sequence[ListedPlace], current: int | None) -> None:
        """Show the places, with the one on screen selected."""
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(rows))
            for index, row in enumerate(rows):
                self._set_row(index, row)
            if current is None:
                self.table.setCurrentCell(-1, -1)
                self.table.clearSelection()
            else:
                self.table.selectRow(current)
                self.table.setCurrentCell(current, 0)
        for name in ("accept", "repaint", "replace", "back"):
            self.buttons[name].setEnabled(current is not None)
        self.buttons["next"].setEnabled(any(row.decision == "open" for row in rows))
        self.buttons["undo"].setEnabled(any(row.decision != "open" for row in rows))

    def _set_row(self, index: int, row: ListedPlace) -> None:
        texts = (str(row.rank), row.ml_text.removesuffix(" mL"), row.label, row.sentence, row.state)
        for column, text in enumerate(texts):
            item = self.table.item(index, column)
            if item is None:
                item = QTableWidgetItem()
                self.table.setItem(index, column, item)
            item.setText(text)
            item.setToolTip(f"{row.change}: {row.sentence} ({row.ml_text}), {row.decision}.")
            if column == 2:
                item.setIcon(_swatch(row.colour))
            if column < 2:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def set_progress(self, text: str, is_done: bool) -> None:
        """Show how far the review is."""
        self.progress.setText(text)
        set_tone(self.progress, "good" if is_done else "text")

    def set_undecided(self, text: str) -> None:
        """Show how much of each label is undecided, and what is left alone."""
        self.undecided.setText(text)
        self.undecided.setVisible(bool(text))

    def set_contours(self, labels: Sequence[str], chosen: int, shown: bool) -> None:
        """Offer the labels whose contours can be shown."""
        fill(self.contour_label, labels, chosen)
        with QSignalBlocker(self.contours):
            self.contours.setChecked(shown)
        for widget in (self.contours, self.contour_label):
            widget.setVisible(bool(labels))

    def _on_row(self, row: int, *_: Any) -> None:
        if row >= 0:
            self.place_picked.emit(row)


def _swatch(colour: tuple[float, float, float]) -> QIcon:
    square = QPixmap(12, 12)
    square.fill(QColor.fromRgbF(*colour))
    icon = QIcon(square)
    icon.addPixmap(square, QIcon.Mode.Selected)  # or Qt tints it in the selected row
    return icon
