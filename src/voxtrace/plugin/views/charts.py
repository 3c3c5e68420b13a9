"""The plots of a training; pyqtgraph is imported in a thread when a panel opens, before the first plot is drawn."""

from __future__ import annotations

import html
import importlib
import math
import threading
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

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


_HEIGHTS = {"loss": 170, "dice": 130, "rate": 90}
_TITLES = {"loss": "loss", "dice": "validation Dice", "rate": "rate"}
_TERM, _LABEL = " (term)", " (label)"  # ends of the names of curves


class TrainingChart(QWidget):
    """Loss and its terms, validation Dice and that of each label, and the rate, against the iteration.

    A line stands where each phase begins.
    """

    def __init__(self) -> None:
        super().__init__()
        self.points: dict[str, Curve] = {}
        self._plots: dict[str, Any] = {}
        self._curves: dict[str, Any] = {}
        self._marks: list[Any] = []
        self._legends: dict[str, QLabel] = {}
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
        for at, (name, curve) in enumerate(self._curves.items()):
            colour = now.curves[at % len(now.curves)]
            curve.setPen(_pen(colour, 2 if name in self._plots else 1))
            if _home(name) == "dice":
                curve.setSymbolBrush(colour)
        self._tell_curves()
        for line in self._marks:
            line.setPen(_pen(now.mark, 1))
            line.label.setColor(now.mark)

    def _tell_curves(self) -> None:
        """Say above each plot which line is which: inside it, the words would lie on the lines."""
        for home, legend in self._legends.items():
            curves = self._colours.curves
            words_of = [
                f'<span style="color:{curves[at % len(curves)]}">▬</span>&nbsp;{_title(name)}'
                for at, name in enumerate(self._curves)
                if _home(name) == home
            ]
            legend.setText(" &nbsp; ".join(words_of))

    def clear(self) -> None:
        """Remove every point, and show nothing until there is another."""
        if not self._plots:
            self._make_plots()
        for name in [name for name in self._curves if name not in self._plots]:
            self._plots[_home(name)].removeItem(self._curves.pop(name))
        for line in self._marks:
            self._plots["loss"].removeItem(line)
        self._marks, self._phase = [], ""
        self.points = {name: ([], []) for name in self._curves}
        self._recolour(self._colours)
        self._draw()
        self.hide()

    def add_report(self, report: TrainReport) -> None:
        """Add a point of the loss and of each term, and one of the Dice where it was measured."""
        if report.phase != self._phase:
            self._begin_phase(report)
        for name, value in _values(report).items():
            if name not in self._curves:
                self._add_curve(name)
            append_point(self.points[name], report.iteration, value)
        self._draw()
        self.show()

    def _make_plots(self) -> None:
        for name in ("loss", "dice"):
            self._add_plot(name)
        self._recolour(self._colours)

    def _add_plot(self, name: str) -> None:
        plot = self._plots[name] = _plot(_HEIGHTS[name], _TITLES[name], "iteration" if name == "dice" else "")
        if name == "dice":
            plot.getViewBox().setLimits(minYRange=_LEAST_DICE_RANGE)
        if name != "rate":  # of one line, which the axis names
            legend = self._legends[name] = QLabel()
            legend.setWordWrap(True)
            legend.setTextFormat(Qt.TextFormat.RichText)
            self._layout.addWidget(legend)
        self._curves[name] = plot.plot(**_symbol(name))
        self.points[name] = ([], [])
        self._layout.addWidget(plot)
        plot.setXLink(None if name == "loss" else self._plots["loss"])

    def _add_curve(self, name: str) -> None:
        if name in _HEIGHTS:
            self._add_plot(name)
        else:
            self._curves[name] = self._plots[_home(name)].plot(**_symbol(name))
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
        if rates := self.points.get("rate", ([], []))[1]:  # a constant one is no line at 0
            self._plots["rate"].setYRange(0.0, max(rates))


def _home(name: str) -> str:
    """Return the plot that a curve is in."""
    return name if name in _HEIGHTS else "dice" if name.endswith(_LABEL) else "loss"


def _title(name: str) -> str:
    """Return what a curve is called, as rich text."""
    if name in _HEIGHTS:
        return "loss" if name == "loss" else "mean of labels"
    title = loss_name(name.removesuffix(_TERM)) if name.endswith(_TERM) else name.removesuffix(_LABEL)
    return html.escape(title).replace(" ", "&nbsp;")


def _symbol(name: str) -> dict[str, Any]:
    if _home(name) != "dice":
        return {}
    return {"symbol": "o", "symbolSize": 7 if name == "dice" else 4, "symbolPen": None}


def _values(report: TrainReport) -> dict[str, float]:
    """Return name of a curve -> its next value, of those that a report has."""
    values: dict[str, float] = {"loss": report.loss}
    if len(report.losses) > 1:
        values |= {f"{name}{_TERM}": value for name, value in report.losses.items()}
    if report.dice is not None:
        values["dice"] = report.dice
    if len(report.dice_per_label) > 1:
        values |= {f"{name}{_LABEL}": v for name, v in report.dice_per_label.items() if math.isfinite(v)}
    if report.rate > 0:
        values["rate"] = report.rate
    return values


def append_point(curve: Curve, x: float, y: float) -> None:
    """Add a point to a curve in place; at the maximum every second point is dropped and the first is kept."""
    for axis, value in zip(curve, (x, y), strict=True):
        axis.append(value)
        if len(axis) > MAX_POINTS:
            del axis[1::2]


def _pen(colour: str, width: int) -> Any:
    import pyqtgraph

    return pyqtgraph.mkPen(colour, width=width)
