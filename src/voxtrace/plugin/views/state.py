"""The buttons, the progress bar and the message of a job."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.views.theme import Tone, set_tone
from voxtrace.plugin.views.widgets import WrappedLabel

LEVEL_TONES: dict[str, Tone] = {
    "hint": "box",
    "busy": "box",
    "done": "good box",
    "warning": "warning box",
    "error": "error box",
}


class StateView(QWidget):
    """A start and a stop button, a progress bar, a message, and a button for what would help.

    ``remedy_asked`` is emitted with the key of the remedy.
    """

    remedy_asked = Signal(str)

    def __init__(self, start: str, stop: str) -> None:
        super().__init__()
        self.start, self.stop = QPushButton(start), QPushButton(stop)
        set_tone(self.start, "primary")
        self.start.setToolTip(f"{start}; the line below says what is missing.")
        self.stop.setToolTip(f"{stop} what runs; nothing that is complete is lost.")
        self.bar, self.message = QProgressBar(), WrappedLabel()
        self.bar.setTextVisible(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.remedy, self._remedy = QPushButton(), ""
        self.remedy.clicked.connect(lambda: self.remedy_asked.emit(self._remedy))
        self.remedy.hide()
        self.bar.hide()
        buttons = QHBoxLayout()
        buttons.addWidget(self.start, 2)
        buttons.addWidget(self.stop, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.message)
        layout.addWidget(self.remedy)

    def show_state(self, state: PanelState) -> None:
        """Show the state and enable the buttons that can be pressed."""
        self.start.setEnabled(state.can_start and not state.busy)
        self.stop.setEnabled(state.busy)
        self.bar.setVisible(state.busy)
        self.bar.setRange(0, state.total)
        self.bar.setValue(state.done)
        self.message.setText(state.message)
        self.message.setVisible(bool(state.message))
        self._remedy = state.remedy.key if state.remedy else ""
        self.remedy.setText(state.remedy.text if state.remedy else "")
        self.remedy.setToolTip(state.message)
        self.remedy.setVisible(state.remedy is not None)
        set_tone(self.message, LEVEL_TONES[state.level])
