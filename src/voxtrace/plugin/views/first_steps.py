"""The hint of the first three steps, at the top of the Segment panel until it is dismissed."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from voxtrace.plugin.views.theme import set_tone
from voxtrace.plugin.views.widgets import heading

STEPS = (
    "Open a scan, or File ▸ Open Sample ▸ VoxTrace",
    "Press Segment",
    "Step through below, then Look here next",
)


class QtFirstSteps(QFrame):
    """Three numbered lines, a tick at those that are done, and a button that hides them; emits ``dismissed``."""

    dismissed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("First steps")
        self.lines = [QLabel() for _ in STEPS]
        self.close_button = QPushButton("Got it")
        self.close_button.setToolTip("Hide this hint. The preferences of the plugin show it again.")
        self.close_button.clicked.connect(self.dismissed)
        top = QHBoxLayout()
        top.addWidget(heading("First steps"), 1)
        top.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(top)
        for line in self.lines:
            line.setWordWrap(True)
            layout.addWidget(line)
        self.show_done(0)

    def show_done(self, done: int) -> None:
        """Tick the first steps, and dim all but the one to do next."""
        for number, (line, text) in enumerate(zip(self.lines, STEPS, strict=True), start=1):
            line.setText(f"{'✓' if number <= done else number}  {text}")
            set_tone(line, "accent" if number == done + 1 else "dimmed")
