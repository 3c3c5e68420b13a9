"""The place ruler: a cell for each slice, lines of label area, and a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPixmap, QPolygonF, QResizeEvent

from voxtrace.plugin.layers.routing import amounts
from voxtrace.plugin.models.place_cells import AreaLine, PlaceCells
from voxtrace.plugin.models.stations import StationAxis
from voxtrace.plugin.views.strip import GROUND, MARK, RAISED, RulerStrip, pen, position, qcolour

CELLS_PX, STEP_PX, AREA_PX, LEGEND_PX, TOP_PX = 22, 6, 32, 20, 3


class PlaceStrip(RulerStrip):
    """Setters and signals; slices are counted from 0 at the superior end."""

    slice_picked = Signal(int)
    hovered = Signal(int)  # −1 when the mouse leaves

    def __init__(self) -> None:
        super().__init__("Place ruler", "Superior is left. Click or drag to show a slice.")
        self._cells: PlaceCells | None = None
        self._areas: tuple[AreaLine, ...] = ()
        self._depth, self._slice = 0, 0
        self._text, self._hover = "", ""
        self._image = QImage()
        self._ground: QPixmap | None = None
        self.setMouseTracking(True)
        self._fix_height()

    def set_cells(self, cells: PlaceCells | None, areas: Sequence[AreaLine], depth: int) -> None:
        """Show cells and lines for ``depth`` slices, the superior one first."""
        self._cells, self._areas, self._depth, self._ground = cells, tuple(areas), depth, None
        if cells is not None:
            pixels = np.ascontiguousarray(cells.colours)
            rows, columns = pixels.shape[:2]
            self._image = QImage(pixels.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888).copy()
        self._fix_height()
        self.update()

    def set_slice(self, number: int, text: str) -> None:
        """Mark a slice, counted from 0 at the superior end, and say what is known of it."""
        self._slice, self._text = number, text
        self.setAccessibleDescription(text)
        self.update()

    def set_hover(self, text: str) -> None:
        """Say what is known of the slice under the mouse; "" for none."""
        self._hover = text
        self.setToolTip(text)
        self.update()

    @property
    def readout_text(self) -> str:
        """What is said of the slice under the mouse, or of the slice shown."""
        return self._hover or self._text

    def draw(self, painter: QPainter) -> None:
        """Paint cells, areas, the mark of the slice and the legend."""
        if not self._depth:
            return
        if self._ground is None:
            self._ground = self._draw_ground()
        painter.drawPixmap(0, 0, self._ground)
        end, x = float(self.height() - LEGEND_PX), self._axis().centre(self._slice)
        painter.setPen(pen(MARK, 2.0))
        painter.drawLine(QPointF(x, 0), QPointF(x, end))
        self.write(painter, self.readout(TOP_PX, end - TOP_PX), self.readout_text, wrap=True)

    def _draw_ground(self) -> QPixmap:
        """Return all that stays while slices are gone through: cells, lines and legend."""
        ratio = self.devicePixelRatioF()
        ground = QPixmap(self.size() * ratio)
        ground.setDevicePixelRatio(ratio)
        ground.fill(QColor(GROUND))
        painter = QPainter(ground)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self.small())
        top, cells = float(TOP_PX), self._cells
        self._draw_ends(painter, top, self._cells_height(cells) if cells is not None else AREA_PX)
        if cells is not None:
            top = self._draw_cells(painter, cells, top)
        if self._areas:
            self._draw_areas(painter, top)
            top += AREA_PX
        if cells is not None:
            self._draw_legend(painter, cells, top)
        painter.end()
        return ground

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Draw everything anew in another size."""
        self._ground = None
        super().resizeEvent(event)

    def _draw_cells(self, painter: QPainter, cells: PlaceCells, top: float) -> float:
        height = self._cells_height(cells)
        box = QRectF(self.left, top, self.right - self.left, height)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(box, self._image)
        axis = self._axis()
        if axis.pitch >= 6:  # gaps between cells
            painter.setPen(pen(QColor(21, 23, 28)))
            for k in range(1, self._depth):
                x = self.left + k * axis.pitch
                painter.drawLine(QPointF(x, top), QPointF(x, top + height))
        self.write(painter, self.gutter(top, max(height, 22.0)).adjusted(0, 0, -12, 0), cells.title, wrap=True)
        return top + height + 2

    def _draw_areas(self, painter: QPainter, top: float) -> None:
        box = QRectF(self.left, top, self.right - self.left, AREA_PX - 2)
        painter.fillRect(box, QColor(RAISED))
        axis = self._axis()
        most = max(float(np.nanmax(line.values)) for line in self._areas)
        # Smooth lines of hundreds of points take longer than all else, and look the same at two pixels a slice.
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, self._depth <= 150)
        across = [axis.centre(k) for k in range(self._depth)]
        for line in self._areas:
            painter.setPen(pen(qcolour(line.colour), 1.8))
            down = box.bottom() - 1 - np.nan_to_num(line.values) / most * (box.height() - 4)
            painter.drawPolyline(QPolygonF(list(map(QPointF, across, down.tolist()))))
        name = self.gutter(top, AREA_PX)
        self.write(painter, QRectF(name.x(), top, name.width(), 15), "Area per label")
        self.write(painter, QRectF(name.x(), top + 14, name.width(), 14), f"0 to {most:.3g} cm²", dim=True)

    def _draw_ends(self, painter: QPainter, top: float, height: float) -> None:
        self.write(painter, QRectF(self.left - 14, top, 12, height), "S", right=True)
        self.write(painter, QRectF(self.right + 4, top, 12, height), "I")

    def _draw_legend(self, painter: QPainter, cells: PlaceCells, top: float) -> None:
        x, y = self.left + 2, top + 3
        metrics = painter.fontMetrics()
        for entry in cells.entries:
            painter.fillRect(QRectF(x, y + 2, 11, 11), qcolour(entry.colour))
            width = metrics.horizontalAdvance(entry.text) + 4
            self.write(painter, QRectF(x + 15, y, width, 15), entry.text)
            x += 15 + width + 10
        if cells.limits[0]:
            x = self._draw_scale(painter, cells, x, y)
        self.write(painter, QRectF(x + 4, y, max(0.0, self.width() - x - 10), 15), cells.sentence, dim=True)

    def _draw_scale(self, painter: QPainter, cells: PlaceCells, x: float, y: float) -> float:
        low, high = cells.limits
        metrics = painter.fontMetrics()
        before = metrics.horizontalAdvance(low) + 4
        self.write(painter, QRectF(x, y, before, 15), low)
        colours = amounts(np.linspace(0, 1, 60), 0, 1)
        for k, colour in enumerate(colours):
            painter.fillRect(QRectF(x + before + 2 * k, y + 3, 2.5, 9), QColor(*map(int, colour)))
        text = f"{high} {cells.unit}".strip()
        after = metrics.horizontalAdvance(text) + 4
        self.write(painter, QRectF(x + before + 126, y, after, 15), text)
        return x + before + 126 + after + 8

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(900, self.height())

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Pick the slice under the mouse."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._pick(position(event).x())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Tell which slice is under the mouse; pick it while it is dragged."""
        if event is None or not self._depth:
            return
        x = position(event).x()
        self.hovered.emit(self._axis().at(x) if self.left <= x <= self.right else -1)
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._pick(x)

    def leaveEvent(self, event: QEvent | None) -> None:
        """Tell that the mouse is gone."""
        self.hovered.emit(-1)

    def _pick(self, x: float) -> None:
        if self._depth and self.left <= x <= self.right and (number := self._axis().at(x)) != self._slice:
            self.slice_picked.emit(number)

    def _axis(self) -> StationAxis:
        return StationAxis(max(1, self._depth), self.left, self.right)

    def _cells_height(self, cells: PlaceCells) -> int:
        return max(CELLS_PX, min(40, STEP_PX * len(cells.colours)))

    def _fix_height(self) -> None:
        cells = self._cells_height(self._cells) + 2 if self._cells is not None else 0
        areas = AREA_PX if self._areas else 0
        self.setFixedHeight(TOP_PX + cells + areas + LEGEND_PX)
        self.updateGeometry()
