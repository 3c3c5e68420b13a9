"""Two small plots; pyqtgraph is imported in a thread when a panel opens, before the first plot is drawn."""

from __future__ import annotations

import importlib
import threading
from typing import Any

from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout, QWidget

from voxtrace.plugin.models.messages import TrainReport
from voxtrace.plugin.models.panel_state import loss_name, words

_LINE, _MARK, _DICE, _TEXT = "#5aa9e6", "#ffd54a", "#4ecb8d", "#c8ccd4"
_TERMS = ("#e69f00", "#cc79a7", "#56b4a9", "#d55e00", "#b39ddb", "#9ccc65", "#f48fb1", "#80cbc4")
_LEFT_PX = 66  # room for the label and seven digits; an automatic width overlaps them at first
MAX_POINTS = 2000  # of a curve; longer curves drop every second point

Curve = tuple[list[float], list[float]]


def preload_pyqtgraph() -> None:
    """Import pyqtgraph in a thread, so that the first plot does not block the window."""
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
    plot.getAxis("left").setWidth(_LEFT_PX)
    return plot


class TrainingChart(QWidget):
    """Loss and its terms above, validation Dice below, against the iteration; a line where each phase begins."""

    def __init__(self) -> None:
        super().__init__()
        self.points: dict[str, Curve] = {}
        self._plots: dict[str, Any] = {}
        self._curves: dict[str, Any] = {}
        self._marks: list[Any] = []
        self._phase = ""
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)

    def clear(self) -> None:
        """Remove every point."""
        if not self._plots:
            self._make_plots()
        for name in [name for name in self._curves if name not in self._plots]:
            self._plots["loss"].removeItem(self._curves.pop(name))
        for line in self._marks:
            self._plots["loss"].removeItem(line)
        self._marks, self._phase = [], ""
        self.points = {name: ([], []) for name in self._curves}
        self._draw()

    def add_report(self, report: TrainReport) -> None:
        """Add a point of the loss and of each term, and one of the Dice where it was measured."""
        if report.phase != self._phase:
            self._begin_phase(report)
        values: dict[str, float] = {"loss": report.loss}
        if len(report.losses) > 1:
            values |= {f"{name} (term)": value for name, value in report.losses.items()}
        if report.dice is not None:
            values["dice"] = report.dice
        for name, value in values.items():
            if name not in self._curves:
                self._add_term(name)
            append_point(self.points[name], report.iteration, value)
        self._draw()

    def _make_plots(self) -> None:
        for name, colour, label in (("loss", _LINE, "loss"), ("dice", _DICE, "validation Dice")):
            plot = self._plots[name] = _plot(
                170 if name == "loss" else 130, label, "iteration" if name == "dice" else ""
            )
            if name == "loss":
                plot.addLegend(offset=(-5, 5), labelTextColor=_TEXT, labelTextSize="8pt", verSpacing=-6)
            symbol = {"symbol": "o", "symbolSize": 7, "symbolBrush": QColor(colour), "symbolPen": None}
            title = {"name": "loss"} if name == "loss" else {}
            self._curves[name] = plot.plot(pen=_pen(colour, 2), **title, **(symbol if name == "dice" else {}))
            self._layout.addWidget(plot)
            plot.setXLink(self._plots["loss"] if name == "dice" else None)

    def _add_term(self, name: str) -> None:
        colour = _TERMS[(len(self._curves) - len(self._plots)) % len(_TERMS)]
        title = loss_name(name.removesuffix(" (term)"))
        self._curves[name] = self._plots["loss"].plot(pen=_pen(colour, 1), name=title)
        self.points[name] = ([], [])

    def _begin_phase(self, report: TrainReport) -> None:
        import pyqtgraph

        self._phase = report.phase
        if len(report.phases) > 1:
            options = {"color": _MARK, "position": 0.08, "anchors": [(0, 0.5), (0, 0.5)]}
            title = words(report.phase).lower()
            line = pyqtgraph.InfiniteLine(report.iteration, 90, _pen(_MARK, 1), label=title, labelOpts=options)
            self._plots["loss"].addItem(line)
            self._marks.append(line)

    def _draw(self) -> None:
        for name, curve in self._curves.items():
            curve.setData(*self.points[name])


def append_point(curve: Curve, x: float, y: float) -> None:
    """Add a point to a curve in place; at the maximum every second point is dropped and the first is kept."""
    for axis, value in zip(curve, (x, y), strict=True):
        axis.append(value)
        if len(axis) > MAX_POINTS:
            del axis[1::2]


def _pen(colour: str, width: int) -> Any:
    import pyqtgraph

    return pyqtgraph.mkPen(colour, width=width)
