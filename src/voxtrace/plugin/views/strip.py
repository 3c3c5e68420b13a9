"""What the painted strips of the rulers share: columns, colours and fonts.

Strips have a dark ground in every theme, as the film and the scan itself, so that label colours look the same there.
"""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QFont, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from voxtrace.volume import Triple

GROUND, RAISED, TEXT, DIM, LINE, MARK = "#15171c", "#1f232b", "#e8eaee", "#a9b1bd", "#39404c", "#ffd54a"
COMMANDS = {
    Qt.Key.Key_Left: "previous",
    Qt.Key.Key_Right: "next",
    Qt.Key.Key_Home: "first",
    Qt.Key.Key_End: "last",
    Qt.Key.Key_Space: "play",
    Qt.Key.Key_M: "most changed",
    Qt.Key.Key_Up: "slice above",
    Qt.Key.Key_Down: "slice below",
}
GUTTER_PX, READOUT_PX, PAD_PX = 128, 232, 6


class RulerStrip(QWidget):
    """A painted widget with names at the left, data in the middle and a read-out at the right."""

    commanded = Signal(str)  # a value of COMMANDS

    def __init__(self, name: str, tooltip: str = "") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setToolTip(tooltip)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(GUTTER_PX + READOUT_PX + 160)

    @property
    def left(self) -> float:
        """Where the data begin, in pixels."""
        return float(GUTTER_PX)

    @property
    def right(self) -> float:
        """Where the data end, in pixels."""
        return float(max(GUTTER_PX + 40, self.width() - READOUT_PX))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the ground, then the strip."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(GROUND))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self.small())
        self.draw(painter)
        painter.end()

    def draw(self, painter: QPainter) -> None:
        """Paint the strip over its ground."""
        raise NotImplementedError

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Turn a key into a command; other keys go to the widget around."""
        command = COMMANDS.get(Qt.Key(event.key())) if event is not None and not event.modifiers() else None
        if command is not None:
            self.commanded.emit(command)
        else:
            super().keyPressEvent(event)

    def small(self) -> QFont:
        """Return a font slightly smaller than the window's."""
        font = QFont(self.font())
        font.setPointSizeF(max(7.5, self.font().pointSizeF() - 0.5))
        return font

    def write(
        self, painter: QPainter, box: QRectF, text: str, *, dim: bool = False, wrap: bool = False, right: bool = False
    ) -> None:
        """Write text at the left (or right) of a box; on one line, shortened with … where it does not fit."""
        painter.setPen(QColor(DIM if dim else TEXT))
        side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        flags = int(side.value | Qt.AlignmentFlag.AlignVCenter.value)
        if wrap:
            painter.drawText(box, flags | int(Qt.TextFlag.TextWordWrap.value), text)
            return
        metrics = painter.fontMetrics()
        painter.drawText(box, flags, metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(box.width())))

    def gutter(self, top: float, height: float) -> QRectF:
        """Return the box of a name at the left."""
        return QRectF(PAD_PX, top, GUTTER_PX - 2 * PAD_PX, height)

    def readout(self, top: float, height: float) -> QRectF:
        """Return the box of a read-out at the right."""
        return QRectF(self.right + 3 * PAD_PX, top, READOUT_PX - 4 * PAD_PX, height)


def qcolour(colour: Triple) -> QColor:
    """Return a colour of three numbers 0 … 1."""
    return QColor.fromRgbF(*colour)


def pen(colour: str | QColor, width: float = 1.0) -> QPen:
    """Return a pen of constant width."""
    made = QPen(QColor(colour), width)
    made.setCosmetic(True)
    return made


def position(event: QMouseEvent) -> QPointF:
    """Return where the mouse is in the widget."""
    return event.position()
