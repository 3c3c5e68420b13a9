"""What every panel is made of: pickers that do not answer while they are filled, headings, a frame that scrolls."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox, QFrame, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget


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
    """A dock's content: parts from top to bottom, scrolled when the window is low."""

    def __init__(self, *parts: QWidget) -> None:
        super().__init__()
        content = QWidget()
        layout = QVBoxLayout(content)
        for part in parts:
            layout.addWidget(part)
        layout.addStretch(1)
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(340)


def heading(text: str) -> QLabel:
    """Return a heading."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; font-size: 11pt; margin-top: 4px;")
    return label


def note() -> QLabel:
    """Return a quiet line that wraps."""
    label = QLabel()
    label.setWordWrap(True)
    label.setStyleSheet("color: #a6adb8;")
    return label
