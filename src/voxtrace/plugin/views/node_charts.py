"""Charts of the network: a table of small stacked bars, one for each node."""

from __future__ import annotations

import math

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QDialog, QVBoxLayout, QWidget

from voxtrace.plugin.layers.routing import action_colours
from voxtrace.plugin.models.lanes import number
from voxtrace.plugin.views.strip import DIM, GROUND, LINE, RAISED, TEXT, pen, qcolour
from voxtrace.trace import NodeChart

CELL_W, CELL_H, HEAD_W, HEAD_H, LEGEND_H = 132, 46, 96, 26, 30


class NodeChartView(QWidget):
    """A stacked bar for each node that exists, rows from top to bottom."""

    def __init__(self, chart: NodeChart) -> None:
        super().__init__()
        self._chart = chart
        self._colours = [qcolour(colour) for colour in action_colours(len(chart.series))]
        self.setMinimumSize(self.sizeHint())
        self.setAccessibleName(chart.title)
        self.setAccessibleDescription("; ".join(self.texts))

    @property
    def texts(self) -> list[str]:
        """What each node has, as text."""
        chart = self._chart
        return [
            f"{row}, {column}: {self._node_text(r, c)}"
            for r, row in enumerate(chart.rows)
            for c, column in enumerate(chart.columns)
            if self._known(r, c)
        ]

    def sizeHint(self) -> QSize:
        """Return the size of the table."""
        rows, columns, _ = self._chart.values.shape
        return QSize(max(360, HEAD_W + columns * CELL_W + 8), HEAD_H + rows * CELL_H + LEGEND_H)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint names, bars and the legend."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(GROUND))
        chart, middle = self._chart, Qt.AlignmentFlag.AlignCenter
        painter.setPen(QColor(TEXT))
        for c, column in enumerate(chart.columns):
            painter.drawText(QRectF(HEAD_W + c * CELL_W, 0, CELL_W, HEAD_H), middle, column)
        for r, row in enumerate(chart.rows):
            painter.setPen(QColor(TEXT))
            painter.drawText(QRectF(6, HEAD_H + r * CELL_H, HEAD_W - 8, CELL_H), Qt.AlignmentFlag.AlignVCenter, row)
            for c in range(len(chart.columns)):
                if self._known(r, c):
                    self._draw_node(painter, r, c)
        self._draw_legend(painter)
        painter.end()

    def _draw_node(self, painter: QPainter, row: int, column: int) -> None:
        values = [max(0.0, float(v)) for v in self._chart.values[row, column] if math.isfinite(v)]
        total = max(sum(values), 1e-12)
        box = QRectF(HEAD_W + column * CELL_W + 6, HEAD_H + row * CELL_H + 4, CELL_W - 12, 18)
        painter.fillRect(box, QColor(RAISED))
        x = box.left()
        for value, colour in zip(values, self._colours, strict=False):
            painter.fillRect(QRectF(x, box.top(), box.width() * value / total, box.height()), colour)
            x += box.width() * value / total
        painter.setPen(pen(LINE))
        painter.drawRect(box)
        painter.setPen(QColor(DIM))
        below = QRectF(box.left() - 6, box.bottom() + 1, box.width() + 12, 18)
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, self._node_text(row, column))

    def _draw_legend(self, painter: QPainter) -> None:
        x, y = 8.0, float(self.sizeHint().height() - LEGEND_H + 8)
        for name, colour in zip(self._chart.series, self._colours, strict=True):
            painter.fillRect(QRectF(x, y + 2, 11, 11), colour)
            painter.setPen(QColor(TEXT))
            width = painter.fontMetrics().horizontalAdvance(name) + 6
            painter.drawText(QRectF(x + 16, y - 2, width, 18), Qt.AlignmentFlag.AlignVCenter, name)
            x += 16 + width + 12

    def _known(self, row: int, column: int) -> bool:
        return any(math.isfinite(v) for v in self._chart.values[row, column])

    def _node_text(self, row: int, column: int) -> str:
        values = [float(v) for v in self._chart.values[row, column]]
        if self._chart.unit == "fraction":
            return " · ".join(f"{100 * v:.0f} %" if math.isfinite(v) else "–" for v in values)
        return f"{' · '.join(map(number, values))} {self._chart.unit}".rstrip()


class NodeChartDialog(QDialog):
    """A window of its own for one chart."""

    def __init__(self, chart: NodeChart, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"{chart.title.capitalize()} ({chart.unit})" if chart.unit else chart.title.capitalize())
        self.chart = NodeChartView(chart)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.chart)
