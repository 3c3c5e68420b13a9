"""Two small plots. pyqtgraph is loaded in a thread as soon as a panel opens, and needed only later."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from typing import Any

from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout, QWidget

_LINE, _MARK, _DICE, _TEXT = "#5aa9e6", "#ffd54a", "#4ecb8d", "#c8ccd4"


def load_early() -> None:
    """Import pyqtgraph in a thread, so that the first plot does not make the window wait for it."""
    threading.Thread(target=importlib.import_module, args=("pyqtgraph",), daemon=True).start()


def _plot(height: int, left: str, bottom: str) -> Any:
    import pyqtgraph

    plot = pyqtgraph.PlotWidget(background=None)
    plot.setFixedHeight(height)
    plot.setMenuEnabled(False)
    plot.setMouseEnabled(x=False, y=False)
    plot.hideButtons()
    plot.showGrid(y=True, alpha=0.25)
    for side, text in (("left", left), ("bottom", bottom)):
        axis = plot.getAxis(side)
        axis.setLabel(text, color=_TEXT)
        axis.setTextPen(_TEXT)
        axis.enableAutoSIPrefix(False)
    return plot


class StepsChart(QWidget):
    """Voxels that each step changed against the one before, with the current step marked."""

    def __init__(self) -> None:
        super().__init__()
        self._plot: Any = None
        self._changes: Sequence[float] = ()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)

    def set_changes(self, changes: Sequence[float], word: str) -> None:
        """Draw the changes of steps 1 … S; NaN leaves a gap."""
        import pyqtgraph

        if self._plot is None:
            self._plot = _plot(150, "changed voxels", word)
            self._layout.addWidget(self._plot)
            pen = pyqtgraph.mkPen(_LINE, width=2)
            self._line = self._plot.plot(pen=pen, symbol="o", symbolSize=6, symbolBrush=_LINE, symbolPen=None)
            self._cursor = pyqtgraph.InfiniteLine(angle=90, pen=pyqtgraph.mkPen(_MARK, width=1))
            self._dot = self._plot.plot(pen=None, symbol="o", symbolSize=11, symbolBrush=_MARK, symbolPen=None)
            self._plot.addItem(self._cursor)
        self._changes = changes
        steps = list(range(1, len(changes) + 1))
        self._line.setData(steps, list(changes))
        axis = self._plot.getAxis("bottom")
        axis.setLabel(word, color=_TEXT)
        axis.setTicks([[(k, str(k)) for k in steps[:: max(1, len(steps) // 10)]]])
        self._plot.setXRange(0.7, len(changes) + 0.3, padding=0)
        known = [count for count in changes if count == count]
        self._plot.setYRange(0, max([*known, 1.0]) * 1.1, padding=0)

    def mark(self, step: int) -> None:
        """Mark a step, counted from 0."""
        if self._plot is not None and step < len(self._changes):
            self._cursor.setValue(step + 1)
            known = self._changes[step] == self._changes[step]  # the first step has no change to mark
            self._dot.setData([step + 1] if known else [], [self._changes[step]] if known else [])


class TrainingChart(QWidget):
    """Loss on the left axis, validation Dice below it, against the iteration."""

    def __init__(self) -> None:
        super().__init__()
        self._points: dict[str, tuple[list[float], list[float]]] = {}
        self._curves: dict[str, Any] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)

    def clear(self) -> None:
        """Forget every point."""
        if not self._curves:
            first: Any = None
            for name, colour, label in (("loss", _LINE, "loss"), ("dice", _DICE, "validation Dice")):
                plot = _plot(140, label, "iteration" if name == "dice" else "")
                symbol = {"symbol": "o", "symbolSize": 7, "symbolBrush": QColor(colour), "symbolPen": None}
                self._curves[name] = plot.plot(pen=colour, **(symbol if name == "dice" else {}))
                self._layout.addWidget(plot)
                plot.setXLink(first)
                first = first or plot
        self._points = {name: ([], []) for name in self._curves}
        self._draw()

    def add_point(self, iteration: int, loss: float, dice: float | None) -> None:
        """Add a point of the loss, and one of the Dice where it was measured."""
        for name, value in (("loss", loss), ("dice", dice)):
            if value is not None:
                xs, ys = self._points[name]
                xs.append(iteration)
                ys.append(value)
        self._draw()

    def _draw(self) -> None:
        for name, curve in self._curves.items():
            curve.setData(*self._points[name])
