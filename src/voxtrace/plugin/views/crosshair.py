"""The crosshair of the planes over napari's canvas: a widget that lets every mouse event through."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

_COLOUR, _GAP_PX = QColor(255, 213, 74, 150), 14.0


class CrosshairOverlay(QWidget):
    """Covers a canvas and draws two lines, with a gap where they would cross."""

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.cross: tuple[float, float] | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.resize(canvas.size())
        canvas.installEventFilter(self)
        self.hide()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Cover the canvas again after its size changed."""
        canvas = self.parentWidget()
        if event is not None and event.type() == QEvent.Type.Resize and canvas is not None:
            self.resize(canvas.size())
        return False

    def show_cross(self, cross: tuple[float, float] | None) -> None:
        """Draw the crosshair at an offset (right, down) in pixels from the middle of the canvas; None hides it."""
        if cross != self.cross:
            self.cross = cross
            self.update()
        if self.isHidden() == (cross is not None):
            self.setVisible(cross is not None)

    @property
    def centre(self) -> QPointF:
        """Where the lines would cross, in pixels of the widget."""
        assert self.cross is not None
        return QPointF(self.width() / 2 + self.cross[0], self.height() / 2 + self.cross[1])

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the lines."""
        if self.cross is None:
            return
        painter, at = QPainter(self), self.centre
        painter.setPen(QPen(_COLOUR, 1))
        for start, end in (
            (QPointF(0, at.y()), QPointF(at.x() - _GAP_PX, at.y())),
            (QPointF(at.x() + _GAP_PX, at.y()), QPointF(self.width(), at.y())),
            (QPointF(at.x(), 0), QPointF(at.x(), at.y() - _GAP_PX)),
            (QPointF(at.x(), at.y() + _GAP_PX), QPointF(at.x(), self.height())),
        ):
            painter.drawLine(start, end)
