"""The dialog that lists the series of a DICOM folder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QImage, QMouseEvent, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.models.series_rows import SeriesChoice, SeriesRow
from voxtrace.plugin.views.passport import TONES
from voxtrace.plugin.views.state import LEVEL_TONES
from voxtrace.plugin.views.theme import Tone, follow_theme, set_tone
from voxtrace.plugin.views.widgets import heading, note

EDGE = 96
SIZE = QSize(760, 640)


class SeriesView(QFrame):
    """One series: check box, thumbnail, description and problems."""

    ticked = Signal()

    def __init__(self, row: SeriesRow) -> None:
        super().__init__()
        self.box, self.thumbnail = QCheckBox(), QLabel("…")
        self.title, self.details = QLabel(row.title), note()
        self.remarks = [_remark(line.mark, line.text, line.remedy, TONES[line.verdict]) for line in row.remarks]
        self.setObjectName("series")
        self.box.setChecked(row.ticked)
        self.box.setAccessibleName(row.title)
        self.box.toggled.connect(self.ticked)
        self.thumbnail.setFixedSize(EDGE, EDGE)
        self.thumbnail.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.thumbnail.setStyleSheet("background: black; color: white;")
        set_tone(self.title, "heading")
        self.details.setText(row.details)
        self.setEnabled(row.usable)
        self.setToolTip("" if row.usable else "\n".join(line.remedy for line in row.remarks if line.remedy))
        self._lay_out()

    def _lay_out(self) -> None:
        words = QVBoxLayout()
        words.setSpacing(2)
        for label in (self.title, self.details, *self.remarks):
            words.addWidget(label)
        words.addStretch(1)
        layout = QHBoxLayout(self)
        layout.addWidget(self.box)
        layout.addWidget(self.thumbnail)
        layout.addLayout(words, 1)

    def show_thumbnail(self, grey: npt.NDArray[np.uint8] | None) -> None:
        """Show a thumbnail (rows, columns); it is dimmed for a series that cannot be selected."""
        if grey is None:
            self.thumbnail.setText("no preview")
            return
        shade = grey if self.isEnabled() else grey // 2
        pixels = np.ascontiguousarray(shade)
        height, width = pixels.shape
        image = QImage(pixels.tobytes(), width, height, width, QImage.Format.Format_Grayscale8)
        self.thumbnail.setPixmap(QPixmap.fromImage(image))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Toggle the check box, wherever in the row the mouse is pressed."""
        self.box.toggle()


class QtChooserView(QDialog):
    """Setters and signals; implements the controller's ``ChooserView``."""

    ticked = Signal(object)
    each_asked = Signal()
    stacked_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.heading, self.hint, self.rows = heading(""), note(), list[SeriesView]()
        self.each, self.stacked = QPushButton("Open each"), QPushButton("Open as channels of one case")
        self.leave, self.bar, self.message = QPushButton("Cancel"), QProgressBar(), QLabel()
        self._list, self._area, self._choice = QVBoxLayout(), QScrollArea(), SeriesChoice("")
        self._lay_out()
        self.each.clicked.connect(self.each_asked)
        self.stacked.clicked.connect(self.stacked_asked)
        self.leave.clicked.connect(self.reject)

    def _lay_out(self) -> None:
        self.setWindowTitle("VoxTrace: choose series")
        self.resize(SIZE)
        content = QWidget()
        content.setLayout(self._list)
        self._area.setWidget(content)
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.each.setDefault(True)
        self.message.setWordWrap(True)
        self.message.hide()
        self.bar.hide()
        set_tone(self.each, "primary")
        buttons = QHBoxLayout()
        buttons.addWidget(self.each)
        buttons.addWidget(self.stacked)
        buttons.addStretch(1)
        buttons.addWidget(self.leave)
        layout = QVBoxLayout(self)
        for widget in (self.heading, self._area, self.bar, self.message, self.hint):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        follow_theme(self, lambda c: f"#series {{ border: 1px solid {c.line}; border-radius: 4px; }}")

    def show_rows(self, name: str, rows: Sequence[SeriesRow]) -> None:
        """List the series of a folder."""
        self.heading.setText(f"{name} holds {len(rows)} DICOM series" if len(rows) > 1 else name)
        self.rows = [SeriesView(row) for row in rows]
        for view in self.rows:
            view.ticked.connect(self._tick)
            self._list.addWidget(view)
        self._list.addStretch(1)

    def show_thumbnail(self, index: int, grey: npt.NDArray[np.uint8] | None) -> None:
        """Show the thumbnail of a row; None where it cannot be made."""
        self.rows[index].show_thumbnail(grey)

    def show_choice(self, choice: SeriesChoice) -> None:
        """Show what can be done with the ticked rows."""
        self._choice = choice
        self.hint.setText(choice.sentence)
        self.each.setText("Open each" if choice.can_stack else "Open")
        self.each.setEnabled(choice.can_open)
        self.stacked.setEnabled(choice.can_stack)

    def show_state(self, state: PanelState) -> None:
        """Show the state; while a job runs, nothing can be ticked."""
        self.bar.setVisible(state.busy)
        self.bar.setRange(0, state.total)
        self.bar.setValue(state.done)
        self.message.setText(state.message)
        set_tone(self.message, LEVEL_TONES[state.level])
        self.message.show()
        self._area.setEnabled(not state.busy)
        self.each.setEnabled(self._choice.can_open and not state.busy)
        self.stacked.setEnabled(self._choice.can_stack and not state.busy)

    def finish(self) -> None:
        """Close."""
        self.accept()

    def _tick(self) -> None:
        self.ticked.emit([index for index, view in enumerate(self.rows) if view.box.isChecked()])


def _remark(mark: str, text: str, remedy: str, tone: Tone) -> QLabel:
    label = QLabel(f"{mark} {text}" + (f"; {remedy}" if remedy else "") + ".")
    label.setWordWrap(True)
    set_tone(label, tone)
    return label
