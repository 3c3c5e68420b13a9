"""Which part of the scan to segment: all of it, what is visible, a drawn rectangle, or a box in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from voxtrace.plugin.views.widgets import picker

KINDS = {"whole": "Whole scan", "visible": "Visible part", "drawn": "Drawn rectangle", "numbers": "Box in numbers"}
_AXES = ("Slices", "Rows", "Columns")


class RegionForm(QWidget):
    """Emits ``picked`` with the kind of region and its numbers, and ``draw_asked``."""

    picked = Signal(str, object)
    draw_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.kind: QComboBox = picker("The part of the scan to segment; outside it the result is background.")
        self.draw = QPushButton("Draw")
        self.bounds: list[tuple[QSpinBox, QSpinBox]] = []
        self._numbers = QWidget()
        self._shape: tuple[int, ...] = ()
        self._lay_out()
        self.kind.currentIndexChanged.connect(self._changed)
        self.draw.clicked.connect(self.draw_asked)
        self._changed()

    def _lay_out(self) -> None:
        for key, text in KINDS.items():
            self.kind.addItem(text, key)
        self.kind.setAccessibleName("Part of the scan")
        self.draw.setToolTip("Drag a rectangle over the scan; it reaches through every slice.")
        grid = QGridLayout(self._numbers)
        grid.setContentsMargins(0, 0, 0, 0)
        for row, axis in enumerate(_AXES):
            pair = self._bound(f"First of the {axis.lower()}"), self._bound(f"Last of the {axis.lower()}")
            self.bounds.append(pair)
            for column, widget in enumerate((QLabel(axis), pair[0], QLabel("to"), pair[1])):
                grid.addWidget(widget, row, column)
        top = QHBoxLayout()
        top.addWidget(QLabel("Part of the scan"))
        top.addWidget(self.kind, 1)
        top.addWidget(self.draw)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self._numbers)

    def _bound(self, name: str) -> QSpinBox:
        box = QSpinBox()
        box.setAccessibleName(name)
        box.setToolTip(f"{name}, counted from 1.")
        box.setRange(1, 1)
        box.valueChanged.connect(self._changed)
        return box

    @property
    def numbers(self) -> tuple[int, ...]:
        """First and last slice, row and column, counted from 1."""
        return tuple(box.value() for pair in self.bounds for box in pair)

    def set_shape(self, shape: Sequence[int]) -> None:
        """Set the size of the scan, (Z, Y, X); a scan of another size begins with the whole of it."""
        if tuple(shape) == self._shape:
            return
        self._shape = tuple(shape)
        for (first, last), n in zip(self.bounds, shape, strict=True):
            for box, value in ((first, 1), (last, n)):
                with QSignalBlocker(box):
                    box.setRange(1, int(n))
                    box.setValue(int(value))
        with QSignalBlocker(self.kind):
            self.kind.setCurrentIndex(0)
        self._changed()

    def _changed(self, *_: object) -> None:
        kind = str(self.kind.currentData())
        self._numbers.setVisible(kind == "numbers")
        self.draw.setVisible(kind == "drawn")
        self.picked.emit(kind, self.numbers)
