"""The receipt of a training, with buttons to keep the new model, to roll back, and to look at old cases."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from voxtrace.plugin.models.train_receipt import TrainReceipt
from voxtrace.plugin.views.widgets import WrappedLabel, heading


class ReceiptView(QFrame):
    """What a training made, what fine-tuning changed, and what to do with it."""

    keep_asked = Signal()
    roll_back_asked = Signal()
    old_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.title, self.lines = heading(""), WrappedLabel()
        self.use, self.roll_back = QPushButton("Keep and use it"), QPushButton("Roll back")
        self.old = QPushButton("Compare on old cases…")
        self.use.setToolTip("Choose the new bundle in the Segment panel.")
        self.roll_back.setToolTip(
            "Take the new bundle off the list of models and choose the one before; no file is removed."
        )
        self.old.setToolTip("Choose the dataset that the bundle before was trained on, to see which cases got worse.")
        self.lines.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QHBoxLayout()
        for button in (self.use, self.roll_back, self.old):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title)
        layout.addWidget(self.lines)
        layout.addLayout(buttons)
        self.use.clicked.connect(self.keep_asked)
        self.roll_back.clicked.connect(self.roll_back_asked)
        self.old.clicked.connect(self._browse)
        self.hide()

    def show_receipt(self, made: TrainReceipt | None) -> None:
        """Show a receipt; None hides it."""
        self.setVisible(made is not None)
        if made is not None:
            self.title.setText(made.title)
            self.lines.setText("\n".join(made.lines))
            self.roll_back.setVisible(made.before is not None)
            self.old.setVisible(made.asks_for_old)

    def _browse(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Choose the dataset that the model before was trained on"):
            self.old_asked.emit(folder)
