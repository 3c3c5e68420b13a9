"""Parts of every panel: pickers, headings, notes, collapsible sections and the scroll area."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, QObject, QSignalBlocker, QSize, Qt, QTimer
from qtpy.QtGui import QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.views.docks import join_tabs
from voxtrace.plugin.views.theme import follow_theme, set_tone

MOST_PANEL_CHARACTERS = 60  # a panel's minimum width; what needs more is cut
_LEAST_LINES = 4  # of the parts, above a footer
_MOST_NESTED = 4  # sizes in a row: a table whose rows wrap can ask for one height and another without end
PANEL_CHARACTERS = 52  # width of a panel: beside it a scan still has two thirds of 1280 pixels


def picker(tooltip: str) -> QComboBox:
    """Return a picker that may be narrower than its longest entry."""
    box = QComboBox()
    box.setToolTip(tooltip)
    box.setMinimumContentsLength(12)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def fill(box: QComboBox, entries: Sequence[str], chosen: int) -> None:
    """Put entries into a picker and choose one, without a signal."""
    with QSignalBlocker(box):
        if [box.itemText(i) for i in range(box.count())] != list(entries):
            box.clear()
            box.addItems(list(entries))
        box.setCurrentIndex(chosen)


class Panel(QScrollArea):
    """The content of a dock widget: parts from top to bottom in a vertical scroll area.

    Height that is left goes to the parts that :func:`fill_height`, else it stays below them. A ``footer`` stays in view
    below the scroll area, e.g. the button that comes next and what it waits for.
    """

    _nested = 0

    def __init__(self, *parts: QWidget, footer: QWidget | None = None) -> None:
        super().__init__()
        self._footer = footer
        content = QWidget()
        layout = QVBoxLayout(content)
        tall = [part.sizePolicy().verticalPolicy() == QSizePolicy.Policy.Expanding for part in parts]
        for part, stretch in zip(parts, tall, strict=True):
            layout.addWidget(part, int(stretch))
        layout.addStretch(int(not any(tall)))
        self._margins = layout.contentsMargins()
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        if footer is not None:
            footer.setParent(self)
            footer.installEventFilter(self)
            footer.show()
        follow_theme(self)
        self._joined = False

    def minimumSizeHint(self) -> QSize:
        """Return a size at which no part is cut at the right, as long as its parts fit into a panel."""
        content, bar = self.widget(), self.verticalScrollBar()
        assert content is not None
        assert bar is not None
        character, needed = content.fontMetrics().averageCharWidth(), content.minimumSizeHint().width()
        least, most = PANEL_CHARACTERS * character, MOST_PANEL_CHARACTERS * character
        return QSize(max(least, min(most, needed + bar.sizeHint().width())), super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Ask the window for another width where the parts need one."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
            self._place_footer()
        if self._nested == _MOST_NESTED:
            return False
        self._nested += 1
        try:
            return super().eventFilter(watched, event)  # fits the parts anew after they were given another size
        finally:
            self._nested -= 1

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the footer at the bottom."""
        super().resizeEvent(event)
        self._place_footer()

    def _place_footer(self) -> None:
        """Give the footer the height that it needs, and the parts the height above it."""
        footer, view = self._footer, self.viewport()
        if footer is None or view is None:
            return
        margin = self._margins.left()
        width = view.width() - 2 * margin
        needed = footer.heightForWidth(width) if footer.hasHeightForWidth() else footer.sizeHint().height()
        height = max(0, min(needed + margin, self.height() - self.fontMetrics().lineSpacing() * _LEAST_LINES))
        if self.viewportMargins().bottom() != height:
            self.setViewportMargins(0, 0, 0, height)
        footer.setGeometry(margin, self.height() - height, width, height - margin)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Become a tab of a panel that is open already, the first time that it is shown."""
        super().showEvent(event)
        if not self._joined:
            self._joined = True
            # napari places the dock only after it has added it
            QTimer.singleShot(0, self._join_tabs)

    def _join_tabs(self) -> None:
        join_tabs(self, Panel)


def fill_height(part: QWidget) -> None:
    """Let a part of a panel take the height that is left, e.g. for its table."""
    part.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)


class Collapsible(QWidget):
    """A title that shows or hides the content below it, with a reset button; collapsed at first."""

    def __init__(self, content: QWidget, *, resettable: bool = True) -> None:
        super().__init__()
        self._resettable = resettable
        self.title, self.reset, self.content = QToolButton(), QPushButton("Reset"), content
        self.title.setCheckable(True)
        self.title.setToolTip("Show or hide what is below.")
        self.title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        set_tone(self.title, "text button")
        self.reset.setToolTip("Restore the initial values.")
        top = QHBoxLayout()
        top.addWidget(self.title, 1, Qt.AlignmentFlag.AlignLeft)
        top.addWidget(self.reset)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(content)
        self.title.toggled.connect(self._expand)
        self._expand(False)

    def _expand(self, expanded: bool) -> None:
        self.title.setArrowType(Qt.ArrowType.DownArrow if expanded else Qt.ArrowType.RightArrow)
        self.content.setVisible(expanded)
        self.reset.setVisible(expanded and self._resettable)


class WrappedLabel(QLabel):
    """A label that wraps, and that no layout makes too low for its lines.

    A form gives a row that holds a wrapped label in a layout of its own the height that it has unwrapped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)

    def setText(self, text: str | None) -> None:
        """Show a text."""
        super().setText(text)
        self._make_room()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Ask for the height that the lines need at this width."""
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        self.setMinimumHeight(0)  # Qt counts it in
        self.setMinimumHeight(max(0, self.heightForWidth(self.width())))


def heading(text: str) -> QLabel:
    """Return a heading."""
    label = QLabel(text)
    set_tone(label, "heading")
    return label


def note() -> QLabel:
    """Return a dimmed label that wraps."""
    label = QLabel()
    label.setWordWrap(True)
    set_tone(label, "dimmed")
    return label
