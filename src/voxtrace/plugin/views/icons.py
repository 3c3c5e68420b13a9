"""Small pictures for buttons, drawn because fonts do not have these characters everywhere."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap

_EDGE, _SCALE = 18, 2  # drawn at twice the size, for dense screens


def eye(colour: str, dimmed: str) -> QIcon:
    """Return an open eye for a button that is pressed, and one that is struck through for one that is not."""
    icon = QIcon()
    icon.addPixmap(_eye(colour, opened=True), QIcon.Mode.Normal, QIcon.State.On)
    icon.addPixmap(_eye(dimmed, opened=False), QIcon.Mode.Normal, QIcon.State.Off)
    return icon


def _eye(colour: str, *, opened: bool) -> QPixmap:
    def draw(painter: QPainter) -> None:
        path = QPainterPath(QPointF(2, 9))
        path.quadTo(QPointF(9, 1.5), QPointF(16, 9))
        path.quadTo(QPointF(9, 16.5), QPointF(2, 9))
        painter.drawPath(path)
        painter.setBrush(QColor(colour))
        painter.drawEllipse(QPointF(9, 9), 2.2, 2.2)
        if not opened:
            painter.drawLine(QPointF(3, 15), QPointF(15, 3))

    return _drawn(colour, draw)


def solo(colour: str) -> QIcon:
    """Return a filled disc in a ring: one alone."""

    def draw(painter: QPainter) -> None:
        painter.drawEllipse(QPointF(9, 9), 6.5, 6.5)
        painter.setBrush(QColor(colour))
        painter.drawEllipse(QPointF(9, 9), 3, 3)

    return QIcon(_drawn(colour, draw))


def target(colour: str) -> QIcon:
    """Return a circle with a cross: go there."""

    def draw(painter: QPainter) -> None:
        painter.drawEllipse(QRectF(4.5, 4.5, 9, 9))
        for start, end in (((9, 1), (9, 7)), ((9, 11), (9, 17)), ((1, 9), (7, 9)), ((11, 9), (17, 9))):
            painter.drawLine(QPointF(*start), QPointF(*end))

    return QIcon(_drawn(colour, draw))


def _drawn(colour: str, draw: Callable[[QPainter], None]) -> QPixmap:
    pixmap = QPixmap(_EDGE * _SCALE, _EDGE * _SCALE)
    pixmap.setDevicePixelRatio(_SCALE)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(colour), 1.4))
    draw(painter)
    painter.end()
    return pixmap
