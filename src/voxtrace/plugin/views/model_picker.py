"""The model picker: each model as a card with a picture, what it finds, how good it is, and whether it fits."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRect, QRectF, QSignalBlocker, QSize, Qt
from qtpy.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import (
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStyleOptionViewItem,
    QStylePainter,
    QWidget,
)

from voxtrace.plugin.models.model_cards import ModelCard
from voxtrace.plugin.views.theme import colours

_CARD = Qt.ItemDataRole.UserRole
_NONE = "Choose a model …"
_PAD, _LINES, _ARROW_PX = 6, 4, 18
_POPUP_CHARACTERS = 66  # width of the list, so that a line is rarely cut


class ModelPicker(QComboBox):
    """A picker whose entries are cards; the text of an entry is the model's name."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip("The trained model that segments the scan.")
        self.setAccessibleName("Model")
        self.setMinimumContentsLength(12)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setItemDelegate(_CardDelegate(self))
        self.setMaxVisibleItems(5)

    def set_cards(self, cards: Sequence[ModelCard], chosen: int) -> None:
        """Show these models and choose one, without a signal; −1 chooses none."""
        with QSignalBlocker(self):
            if [self.card(i) for i in range(self.count())] != list(cards):
                self.clear()
                for index, card in enumerate(cards):
                    self.addItem(card.name)
                    self.setItemData(index, card, _CARD)
                    self.setItemData(index, card.tooltip, Qt.ItemDataRole.ToolTipRole)
                    self.setItemData(index, card.tooltip, Qt.ItemDataRole.AccessibleTextRole)
            self.setCurrentIndex(chosen)
        self.setToolTip(cards[chosen].tooltip if 0 <= chosen < len(cards) else "The trained model for the scan.")
        self.update()

    def card(self, index: int) -> ModelCard | None:
        """Return the card of an entry."""
        found = self.itemData(index, _CARD)
        return found if isinstance(found, ModelCard) else None

    def showPopup(self) -> None:
        """Unfold the cards, wider than the picker where that shows more of them."""
        if (view := self.view()) is not None:
            view.setMinimumWidth(max(self.width(), _POPUP_CHARACTERS * self.fontMetrics().averageCharWidth()))
        super().showPopup()

    def sizeHint(self) -> QSize:
        """Return a size that a card fits into."""
        return QSize(super().sizeHint().width(), _card_height(self))

    def minimumSizeHint(self) -> QSize:
        """Return the smallest size that a card fits into."""
        return QSize(super().minimumSizeHint().width(), _card_height(self))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the chosen card in the frame of a picker."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = ""
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        face = self.rect().adjusted(1, 1, -1 - _ARROW_PX, -1)
        painter.fillRect(face, QColor(colours(self).background))
        if (card := self.card(self.currentIndex())) is not None:
            draw_card(painter, face.adjusted(_PAD, _PAD, -_PAD, -_PAD), card, self)
        else:
            painter.setPen(QColor(colours(self).text))
            painter.drawText(face.adjusted(_PAD, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, _NONE)


class _CardDelegate(QStyledItemDelegate):
    """Draws an entry as a card."""

    def __init__(self, picker: ModelPicker) -> None:
        super().__init__(picker)
        self._picker = picker

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: object) -> None:
        """Draw the entry."""
        card = index.data(_CARD)  # type: ignore[attr-defined]
        assert painter is not None
        c = colours(self._picker)
        painter.save()
        painter.fillRect(option.rect, QColor(c.background))
        draw_card(painter, option.rect.adjusted(_PAD, _PAD, -_PAD, -_PAD), card, self._picker)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(QPen(QColor(c.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(option.rect.adjusted(1, 1, -1, -1))
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: object) -> QSize:
        """Return the size of a card."""
        return QSize(option.rect.width(), _card_height(self._picker))


def _card_height(widget: QWidget) -> int:
    return _LINES * widget.fontMetrics().height() + 2 * _PAD + 2


def draw_card(painter: QPainter, box: QRect, card: ModelCard, widget: QWidget) -> None:
    """Draw a card: picture, name with verdict, what it finds, how good it is, and what it takes."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    line = widget.fontMetrics().height()
    picture = QRectF(box.left(), box.top() + 2, 2 * line, 2 * line)
    _draw_picture(painter, picture, card)
    left = int(picture.right()) + 8
    rows = [QRect(left, box.top() + i * line, box.right() - left, line) for i in range(_LINES)]
    verdict = _verdict_colour(card, widget)
    bold, plain = QFont(widget.font()), QFont(widget.font())
    bold.setBold(True)
    painter.setFont(plain)
    taken = widget.fontMetrics().horizontalAdvance(card.mark) + 8
    painter.setPen(verdict)
    painter.drawText(rows[0], Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, card.mark)
    painter.setPen(QColor(colours(widget).text))
    painter.setFont(bold)
    _draw_line(painter, rows[0].adjusted(0, 0, -taken, 0), card.name)
    painter.setFont(plain)
    _draw_line(painter, rows[1], card.finds)
    painter.setPen(QColor(colours(widget).dimmed))
    _draw_line(painter, rows[2], card.how_good)
    _draw_line(painter, rows[3], card.takes)


def _draw_line(painter: QPainter, row: QRect, text: str) -> None:
    fitting = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, row.width())
    painter.drawText(row, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, fitting)


def _verdict_colour(card: ModelCard, widget: QWidget) -> QColor:
    c = colours(widget)
    return QColor({"fits": c.good, "check": c.warning, "does not fit": c.error}.get(card.verdict, c.dimmed))


def _draw_picture(painter: QPainter, box: QRectF, card: ModelCard) -> None:
    """Draw what a model finds: a disc for each of its first labels, in their colours; dashed for a demonstration."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(0, 0, 0, 150))
    painter.drawRoundedRect(box, 4, 4)
    places = {1: [(0.5, 0.5)], 2: [(0.36, 0.5), (0.66, 0.5)]}.get(
        len(card.colours), [(0.34, 0.34), (0.66, 0.36), (0.36, 0.67), (0.67, 0.67)]
    )
    radius = box.width() * {1: 0.3, 2: 0.2}.get(len(card.colours), 0.17)
    for (x, y), colour in zip(places, card.colours, strict=False):
        painter.setBrush(QColor.fromRgbF(*colour))
        centre = QPointF(box.left() + x * box.width(), box.top() + y * box.height())
        painter.drawEllipse(centre, radius, radius)
