"""Labels with their colours and volumes, and other facts about a step."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QWidget

from voxtrace.plugin.layers.palette import ramp
from voxtrace.plugin.models.panel_state import LegendRow

SWATCH = 14


class LegendView(QWidget):
    """A row for each label: swatch, name, mL."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[tuple[QLabel, QLabel, QLabel]] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        self._grid.setVerticalSpacing(3)

    def show_rows(self, rows: Sequence[LegendRow]) -> None:
        """Show these rows; widgets are reused."""
        while len(self._rows) < len(rows):
            self._append()
        for widgets, row in zip(self._rows, rows, strict=False):
            swatch, name, volume = widgets
            swatch.setPixmap(_square(row.colour))
            name.setText(row.name)
            volume.setText(row.volume_text)
        for index, widgets in enumerate(self._rows):
            for widget in widgets:
                widget.setVisible(index < len(rows))

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Names and volumes as shown."""
        return [(name.text(), volume.text()) for swatch, name, volume in self._rows if not swatch.isHidden()]

    def _append(self) -> None:
        widgets = (QLabel(), QLabel(), QLabel())
        widgets[2].setAlignment(Qt.AlignmentFlag.AlignRight)
        for column, widget in enumerate(widgets):
            self._grid.addWidget(widget, len(self._rows), column)
        self._rows.append(widgets)


class FactsView(QWidget):
    """The facts of a step: a row with name and value for each."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[tuple[QLabel, QLabel]] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(0, 1)
        self._grid.setVerticalSpacing(1)
        self._grid.addWidget(QLabel("Means over all windows, at this step:"), 0, 0, 1, 2)

    def show_facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Show these pairs of name and value; widgets are reused."""
        while len(self._rows) < len(facts):
            self._append()
        for index, widgets in enumerate(self._rows):
            for widget, text in zip(widgets, facts[index] if index < len(facts) else ("", ""), strict=True):
                widget.setText(text)
                widget.setVisible(index < len(facts))
        self.setVisible(bool(facts))

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Names and values as shown."""
        return [(name.text(), value.text()) for name, value in self._rows if not name.isHidden()]

    def _append(self) -> None:
        widgets = (QLabel(), QLabel())
        widgets[1].setAlignment(Qt.AlignmentFlag.AlignRight)
        for column, widget in enumerate(widgets):
            widget.setStyleSheet("color: #a6adb8;")
            self._grid.addWidget(widget, len(self._rows) + 1, column)
        self._rows.append(widgets)


class RampView(QWidget):
    """The colours of the map of settled voxels, from the first step to the last."""

    def __init__(self) -> None:
        super().__init__()
        self._first, self._strip, self._last = QLabel(), QLabel(), QLabel()
        self._strip.setFixedHeight(10)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._first)
        layout.addWidget(self._strip, 1)
        layout.addWidget(self._last)

    def set_steps(self, steps: int, word: str) -> None:
        """Show a colour for each of 1 … S."""
        self._first.setText(f"{word} 1")
        self._last.setText(str(steps))
        stops = ", ".join(
            f"stop:{k / steps:.3f} {_css(colour)}, stop:{(k + 0.99) / steps:.3f} {_css(colour)}"
            for k, colour in enumerate(ramp(steps).values())
        )
        self._strip.setStyleSheet(f"background: qlineargradient(x1:0, y1:0, x2:1, y2:0, {stops});")


def _css(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)


def _square(colour: tuple[float, float, float]) -> QPixmap:
    square = QPixmap(SWATCH, SWATCH)
    square.fill(QColor.fromRgbF(*colour))
    return square
