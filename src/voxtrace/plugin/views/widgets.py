"""Two habits of every form: pickers that do not answer while they are filled, and headings."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QLabel, QSizePolicy


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
