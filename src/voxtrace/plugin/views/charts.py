"""The plots of a training; pyqtgraph is imported in a thread when a panel opens, before the first plot is drawn."""

from __future__ import annotations

import importlib
import threading
from typing import Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from voxtrace.plugin.models.messages import TrainReport
from voxtrace.plugin.models.panel_state import loss_name, words
from voxtrace.plugin.models.theme_colours import ThemeColours
from voxtrace.plugin.views.theme import colours, on_theme

_LEAST_DICE_RANGE = 0.02  # finer ticks would say more than a validation knows, and run into the label
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
        axis.setLabel(text)
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
        self._colours = colours(self)
        on_theme(self, self._recolour)

    def _recolour(self, now: ThemeColours) -> None:
        """Draw axes, curves and marks in the colours of the theme."""
        self._colours = now
        for plot in self._plots.values():
            for side in ("left", "bottom"):
                axis = plot.getAxis(side)
                axis.setLabel(axis.labelText, color=now.text)
                axis.setTextPen(now.text)
        if self._plots:
            self._plots["loss"].plotItem.legend.setLabelTextColor(now.text)
        for at, (name, curve) in enumerate(self._curves.items()):
            colour = now.curves[at % len(now.curves)]
            curve.setPen(_pen(colour, 2 if name in self._plots else 1))
            if name == "dice":
                curve.setSymbolBrush(colour)
        for line in self._marks:
            line.setPen(_pen(now.mark, 1))
            line.label.setColor(now.mark)

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
        for name, label in (("loss", "loss"), ("dice", "validation Dice")):
            plot = self._plots[name] = _plot(
                170 if name == "loss" else 130, label, "iteration" if name == "dice" else ""
            )
            if name == "dice":
                plot.getViewBox().setLimits(minYRange=_LEAST_DICE_RANGE)
            if name == "loss":
                plot.addLegend(offset=(-5, 5), labelTextSize="8pt", verSpacing=-6)
            symbol = {"symbol": "o", "symbolSize": 7, "symbolPen": None}
            title = {"name": "loss"} if name == "loss" else {}
            self._curves[name] = plot.plot(**title, **(symbol if name == "dice" else {}))
            self._layout.addWidget(plot)
            plot.setXLink(self._plots["loss"] if name == "dice" else None)
        self._recolour(self._colours)

    def _add_term(self, name: str) -> None:
        title = loss_name(name.removesuffix(" (term)"))
        self._curves[name] = self._plots["loss"].plot(name=title)
        self.points[name] = ([], [])
        self._recolour(self._colours)

    def _begin_phase(self, report: TrainReport) -> None:
        import pyqtgraph

        self._phase = report.phase
        if len(report.phases) > 1:
            colour = self._colours.mark
            options = {"color": colour, "position": 0.08, "anchors": [(0, 0.5), (0, 0.5)]}
            title = words(report.phase).lower()
            line = pyqtgraph.InfiniteLine(report.iteration, 90, _pen(colour, 1), label=title, labelOpts=options)
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
