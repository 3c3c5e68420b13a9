"""The last section of the Segment panel: save a result."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QMessageBox, QPushButton, QVBoxLayout, QWidget

from voxtrace.plugin.models.formats import FORMATS, named, of_filter
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.views.state import LEVEL_TONES
from voxtrace.plugin.views.theme import set_tone
from voxtrace.plugin.views.widgets import heading, note

_EMPTY = "Nothing to save yet. Segment a scan, or select a labels layer."
_FORMATS = (
    "Label maps on the scan's own grid, DICOM-SEG, RTSTRUCT, surfaces and tables. "
    "Of a prediction with steps, the step on screen is saved."
)


class QtSaveView(QWidget):
    """Setters and signals; implements the controller's ``SaveView``."""

    path_picked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.target, self.button, self.message = note(), QPushButton("Save as…"), QLabel()
        self._suggestion, self._folder = "", Path.home()
        self.button.setToolTip(_FORMATS)
        self.button.clicked.connect(self._ask)
        self.message.setWordWrap(True)
        self.message.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("5 · Save"))
        for widget in (self.target, self.button, self.message):
            layout.addWidget(widget)

    def set_target(self, target: str, suggestion: str, folder: Path | None) -> None:
        """Show which labels would be saved (``""`` for none), their suggested file name, and the scan's folder."""
        self.target.setText(f"Saves {target}." if target else _EMPTY)
        self._suggestion, self._folder = suggestion, folder or self._folder
        self.button.setEnabled(bool(target))

    def ask_images(self) -> Path | None:
        """Ask for the folder with the DICOM images that were segmented; None when the user cancels."""
        title = "Which folder holds the DICOM images that were segmented?"
        folder = QFileDialog.getExistingDirectory(self, title, str(self._folder))
        return Path(folder) if folder else None

    def show_state(self, state: PanelState) -> None:
        """Show the state."""
        self.message.setText(state.message)
        set_tone(self.message, LEVEL_TONES[state.level])
        self.message.setVisible(bool(state.message))
        self.button.setEnabled(not state.busy)

    def _ask(self) -> None:
        text, chosen = QFileDialog.getSaveFileName(
            self,
            "Save labels as",
            str(self._folder / self._suggestion),
            ";;".join(one.filter for one in FORMATS),
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if not text:
            return
        path = named(Path(text), of_filter(chosen))
        self._folder = path.parent
        if not path.exists() or self._may_replace(path):
            self.path_picked.emit(path)

    def _may_replace(self, path: Path) -> bool:
        asked = QMessageBox.question(self, "Replace the file?", f"{path.name} is already there. Replace it?")
        return asked == QMessageBox.StandardButton.Yes
