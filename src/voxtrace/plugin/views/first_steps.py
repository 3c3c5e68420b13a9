"""The hint of the first three steps, at the top of the Segment panel until it is dismissed."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from voxtrace.plugin.views.theme import set_tone
from voxtrace.plugin.views.widgets import heading

STEPS = (
    "Open a scan: the button below, or a sample from File ▸ Open Sample ▸ VoxTrace.",
    "Press Segment. The model that fits the scan is chosen already.",
    "Step through the decision below the canvas, then press Look here next for the places to check.",
)


class QtFirstSteps(QFrame):
    """Three numbered steps and a button that hides them for good; emits ``dismissed``."""

    dismissed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("First steps")
        self.lines = [QLabel(f"{number}  {text}") for number, text in enumerate(STEPS, start=1)]
        self.close_button = QPushButton("Got it")
        self.close_button.setToolTip("Hide this hint. The preferences of the plugin show it again.")
        self.close_button.clicked.connect(self.dismissed)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("First steps"))
        for line in self.lines:
            line.setWordWrap(True)
            set_tone(line, "text")
            layout.addWidget(line)
        layout.addLayout(row)
