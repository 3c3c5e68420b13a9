"""Lanes under the film strip: lines and bars that share its axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPolygonF

from voxtrace.plugin.models.lanes import Lane, LaneCurve, number
from voxtrace.plugin.models.stations import StationAxis
from voxtrace.plugin.views.strip import DIM, LINE, MARK, RAISED, RulerStrip, pen, position, qcolour

LANE_PX, GAP_PX, INSET_PX = 38, 2, 4
_BAR_PX = 16.0


class LanesView(RulerStrip):
    """Setters and a signal."""

    station_picked = Signal(int)

    def __init__(self) -> None:
        super().__init__("Lanes", "Values at each step. Click or drag to show a step.")
        self._lanes: tuple[Lane, ...] = ()
        self._count, self._current = 1, 0
        self.setMouseTracking(True)
        self.set_lanes(())

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes that are shown."""
        return self._lanes

    def set_lanes(self, lanes: Sequence[Lane]) -> None:
        """Show these lanes, one below the other."""
        self._lanes = tuple(lanes)
        self.setFixedHeight(len(self._lanes) * (LANE_PX + GAP_PX))
        self.setVisible(bool(self._lanes))
        self.update()

    def set_count(self, count: int) -> None:
        """Set the number of stations."""
        self._count = max(1, count)
        self.update()

    def set_current(self, station: int) -> None:
        """Mark a station."""
        self._current = station
        self.update()

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(900, self.height())

    def draw(self, painter: QPainter) -> None:
        """Paint every lane and the line at the current station."""
        for index, lane in enumerate(self._lanes):
            self._draw_lane(painter, lane, index * (LANE_PX + GAP_PX) + 1.0)
        if self._lanes:
            x = self._axis().centre(self._current)
            painter.setPen(pen(MARK))
            painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))

    def _draw_lane(self, painter: QPainter, lane: Lane, top: float) -> None:
        plot = QRectF(self.left, top, self.right - self.left, LANE_PX - 2)
        painter.fillRect(plot, QColor(RAISED))
        name = self.gutter(top, LANE_PX)
        low, high = lane.limits
        self.write(painter, QRectF(name.x(), top + 2, name.width(), 16), f"{lane.title}")
        limits = QRectF(name.x(), top + 18, name.width(), 16)
        self.write(painter, limits, f"{number(low)} to {number(high)} {lane.unit}", dim=True)
        inner = plot.adjusted(0, INSET_PX, 0, -INSET_PX)
        painter.save()
        painter.setClipRect(plot)
        (self._draw_bars if lane.bars else self._draw_lines)(painter, lane, inner)
        painter.restore()
        self.write(painter, self.readout(top, LANE_PX - 2), lane.readout(self._current), wrap=True)

    def _draw_lines(self, painter: QPainter, lane: Lane, box: QRectF) -> None:
        low, high = lane.limits
        axis = self._axis()
        for curve in lane.curves:
            colour = qcolour(curve.colour)
            painter.setPen(pen(colour, 2.0))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for part in _parts(curve):
                points = [
                    QPointF(axis.centre(k), box.bottom() - (curve.values[k] - low) / (high - low) * box.height())
                    for k in part
                ]
                painter.drawPolyline(QPolygonF(points))
                if self._count <= 40:
                    painter.setBrush(colour)
                    for point in points:
                        painter.drawEllipse(point, 2.2, 2.2)
                    painter.setBrush(Qt.BrushStyle.NoBrush)

    def _draw_bars(self, painter: QPainter, lane: Lane, box: QRectF) -> None:
        _, high = lane.limits
        axis, both = self._axis(), len(lane.curves) > 1
        middle = box.center().y() if both else box.bottom()
        room = (box.height() / 2 if both else box.height()) - 1
        width = max(1.0, min(_BAR_PX, 0.6 * axis.pitch))
        painter.setPen(pen(LINE))
        painter.drawLine(QPointF(box.left(), middle), QPointF(box.right(), middle))
        for curve, sign in zip(lane.curves[:2], (-1.0, 1.0), strict=False):
            for station, value in enumerate(curve.values):
                if math.isfinite(value) and value > 0:
                    tall = room * min(1.0, value / high)
                    y = middle - tall if sign < 0 else middle
                    painter.fillRect(QRectF(axis.centre(station) - width / 2, y, width, tall), qcolour(curve.colour))
        if lane.first_apart and lane.curves and lane.curves[0].at(0) > high:  # its bar is cut off: say how much it is
            painter.setPen(QColor(DIM))
            box_of_text = QRectF(axis.centre(0) + width / 2 + 4, box.top() - 3, axis.pitch, 16)
            painter.drawText(box_of_text, Qt.AlignmentFlag.AlignLeft, f"{number(lane.curves[0].at(0))} ↑")

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Pick the station under the mouse."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._pick(position(event).x())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Pick the station under the mouse while it is dragged."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._pick(position(event).x())

    def _pick(self, x: float) -> None:
        if self.left <= x <= self.right and (station := self._axis().at(x)) != self._current:
            self.station_picked.emit(station)

    def _axis(self) -> StationAxis:
        return StationAxis(self._count, self.left, self.right)


def _parts(curve: LaneCurve) -> list[list[int]]:
    """Return the stretches of stations whose value is known."""
    parts: list[list[int]] = [[]]
    for station, value in enumerate(curve.values):
        if math.isfinite(value):
            parts[-1].append(station)
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]
