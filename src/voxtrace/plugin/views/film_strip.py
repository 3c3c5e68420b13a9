"""The film strip: a thumbnail of the slice at hand for each station, in a row for the answer and each further one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QResizeEvent

from voxtrace.plugin.models.stations import FilmSlot, StationAxis, film_slots
from voxtrace.plugin.views.strip import LINE, MARK, PAD_PX, RulerStrip, pen, position, qcolour
from voxtrace.volume import Triple

NAMES_PX, ROW_PX, MORE_PX = 17, 64, 46  # station names; a row alone; each of several rows


class FilmStrip(RulerStrip):
    """Setters and signals."""

    station_picked = Signal(int)
    wanted = Signal(object, object)  # (row, station) of each thumbnail; height and width that it must not exceed

    def __init__(self) -> None:
        super().__init__("Film strip", "The slice at hand at each step. Click or drag to show a step.")
        self._names: tuple[str, ...] = ()
        self._rows: tuple[str, ...] = ("answer",)
        self._ramp: tuple[Triple, ...] = ()
        self._pictures: dict[tuple[int, int], QImage] = {}
        self._current, self._all_rows, self._word, self._plane = 0, False, "step", ""
        self._title = ""
        self._fix_height()

    @property
    def shown_rows(self) -> int:
        """The number of rows that are drawn."""
        return len(self._rows) if self._all_rows else 1

    @property
    def _row_px(self) -> int:
        return MORE_PX if self.shown_rows > 1 else ROW_PX

    @property
    def pictures(self) -> Mapping[tuple[int, int], QImage]:
        """The thumbnails by row and station."""
        return self._pictures

    def set_stations(self, names: Sequence[str], word: str, current: int) -> None:
        """Show a station for each name; thumbnails of before are dropped."""
        self._names, self._word, self._current = tuple(names), word, current
        self._pictures = {key: image for key, image in self._pictures.items() if key[1] < len(names)}
        self._ask()

    def set_rows(self, names: Sequence[str]) -> None:
        """Show a row for each name; only the first until :meth:`show_rows`."""
        self._rows, self._pictures = tuple(names), {}
        self._fix_height()
        self._ask()

    def show_rows(self, every: bool) -> None:
        """Show every row, or the first alone."""
        self._all_rows = every
        self._fix_height()
        self._ask()

    def set_current(self, station: int, title: str) -> None:
        """Mark a station, and say what it is."""
        before = self._wanted()
        self._current, self._title = station, title
        self.setAccessibleDescription(title)
        if self._wanted() != before:
            self._ask()
        self.update()

    def set_thumbnails(self, pictures: Mapping[tuple[int, int], Any], plane: str) -> None:
        """Show pictures (H, W, 3) by row and station; ``plane`` says of what."""
        ratio = self.devicePixelRatioF()
        for key, pixels in pictures.items():
            self._pictures[key] = _image(pixels, ratio)
        self._plane = plane
        self.update()

    def set_ramp(self, colours: Sequence[Triple]) -> None:
        """Show the colour of each step under its thumbnail; none hides them."""
        self._ramp = tuple(colours)
        self.update()

    def draw(self, painter: QPainter) -> None:
        """Paint names, thumbnails and the mark of the current station."""
        axis, top = self._axis(), 3.0
        height = self._row_px
        for row in range(self.shown_rows):
            name = self._rows[row]
            box = self.gutter(top, height)
            if row == 0:
                middle = top + height / 2
                self.write(painter, QRectF(box.x(), middle - 18, box.width(), 18), name)
                self.write(painter, QRectF(box.x(), middle, box.width(), 18), self._plane, dim=True)
            else:
                self.write(painter, box, name)
            for slot in self._slots():
                self._draw_thumbnail(painter, row, slot, top, height)
            top += height
        for slot in self._slots():
            self._draw_name(painter, slot, top, axis)
        self.write(painter, self.readout(3.0, ROW_PX), self._title, wrap=True)

    def _draw_thumbnail(self, painter: QPainter, row: int, slot: FilmSlot, top: float, height: float) -> None:
        image = self._pictures.get((row, slot.station))
        if image is None and row > 0:
            return
        size = image.deviceIndependentSize() if image is not None else None
        width, tall = (size.width(), size.height()) if size is not None else (height - 6, height - 6)
        box = QRectF(slot.centre - width / 2, top + (height - tall) / 2, width, tall)
        if image is not None:
            painter.drawImage(box.topLeft(), image)
        current = slot.station == self._current
        painter.setPen(pen(MARK if current else LINE, 2.5 if current else 1.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(box.adjusted(-1, -1, 1, 1))

    def _draw_name(self, painter: QPainter, slot: FilmSlot, top: float, axis: StationAxis) -> None:
        name = self._names[slot.station]
        box = QRectF(slot.centre - 45, top, 90, NAMES_PX - 2)
        if slot.station < len(self._ramp):
            width = painter.fontMetrics().horizontalAdvance(name)
            swatch = QRectF(slot.centre - width / 2 - 16, top + 3, 11, 11)
            painter.fillRect(swatch, qcolour(self._ramp[slot.station]))
        painter.setPen(QColor(MARK if slot.station == self._current else "#e8eaee"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, name)

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(900, self.height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Ask for thumbnails of another size."""
        self._ask()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Pick the station under the mouse."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._pick(position(event).x())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Pick the station under the mouse while it is dragged."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._pick(position(event).x())

    def _pick(self, x: float) -> None:
        if self._names and self.left <= x <= self.right:
            slots = self._slots()
            # Where not every station has a thumbnail the axis counts, so that a drag passes through all of them.
            near = self._axis().at(x) if len(slots) < len(self._names) else min(slots, key=lambda s: abs(s.centre - x))
            station = near if isinstance(near, int) else near.station
            if station != self._current:
                self.station_picked.emit(station)

    def _axis(self) -> StationAxis:
        return StationAxis(max(1, len(self._names)), self.left, self.right)

    def _slots(self) -> tuple[FilmSlot, ...]:
        return film_slots(self._axis(), self._row_px - 6, self._current) if self._names else ()

    def _wanted(self) -> tuple[tuple[int, int], ...]:
        return tuple((row, slot.station) for row in range(self.shown_rows) for slot in self._slots())

    def _ask(self) -> None:
        if not self._names:
            return
        slots = self._slots()
        room = (self.right - self.left) / max(1, len(slots)) - PAD_PX
        ratio = self.devicePixelRatioF()
        height = self._row_px - 6
        self.wanted.emit(self._wanted(), (round(height * ratio), max(8, round(min(room, 2 * height) * ratio))))
        self.update()

    def _fix_height(self) -> None:
        self.setFixedHeight(3 + self._row_px * self.shown_rows + NAMES_PX)
        self.updateGeometry()


def _image(pixels: Any, ratio: float) -> QImage:
    """Return a picture (H, W, 3) uint8 as an image that owns its bytes."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
    image.setDevicePixelRatio(ratio)
    return image
