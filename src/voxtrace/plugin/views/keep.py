"""The part of the Correct section that keeps what was corrected: all of it in a folder, or a case for training."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLabel, QLineEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget

from voxtrace.plugin.models.correct_form import AddRequest
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.views.state import LEVEL_TONES
from voxtrace.plugin.views.theme import set_tone
from voxtrace.plugin.views.widgets import heading

_EVERYTHING = (
    "Writes a folder with the label map, the trace, a table, DICOM-SEG where the scan is DICOM, and a report as HTML "
    "and PDF with pictures in three planes."
)
_CASE = "Adds the scan and the labels on screen to a dataset in nnU-Net's layout, to train or fine-tune on."


class QtKeepView(QWidget):
    """Setters and signals; implements the controller's ``KeepView``."""

    everything_asked = Signal(object, bool)
    case_asked = Signal(object)
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.everything, self.patient = QPushButton("Save everything…"), QCheckBox("Include patient's name and id")
        self.case, self.name, self.replace = QPushButton("Add to a training set…"), QLineEdit(), QCheckBox("Replace")
        self.bar, self.stop, self.message = QProgressBar(), QPushButton("Stop"), QLabel()
        self.message.setWordWrap(True)
        self._folder = Path.home()
        self._explain()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (heading("Keep"), self.everything, self.patient, self.name, self.replace, self.case):
            layout.addWidget(part)
        state: tuple[QWidget, ...] = (self.bar, self.stop, self.message)
        for widget in state:
            layout.addWidget(widget)
            widget.hide()
        self.everything.clicked.connect(self._ask_everything)
        self.case.clicked.connect(self._ask_case)
        self.stop.setToolTip("Stop writing; what was begun is removed.")
        self.stop.clicked.connect(self.stop_asked)

    def set_target(self, name: str, folder: Path | None) -> None:
        """Show the suggested name of a case (``""`` where there is nothing to keep), and where the scan lies."""
        self.name.setText(name)
        self._folder = folder or self._folder
        for widget in (self.everything, self.case):
            widget.setEnabled(bool(name))

    def show_state(self, state: PanelState) -> None:
        """Show the state of a job."""
        self.message.setText(state.message)
        set_tone(self.message, LEVEL_TONES[state.level])
        self.message.setVisible(bool(state.message))
        for widget in (self.bar, self.stop):
            widget.setVisible(state.busy)
        self.bar.setRange(0, state.total)
        self.bar.setValue(state.done)
        for widget in (self.everything, self.case):
            widget.setEnabled(not state.busy and bool(self.name.text()))

    def _explain(self) -> None:
        self.everything.setToolTip(_EVERYTHING)
        self.patient.setToolTip("Off, the report names no patient. A DICOM segmentation always does.")
        self.case.setToolTip(_CASE)
        self.name.setToolTip("What the case is called in the training set.")
        self.name.setPlaceholderText("Name of the case")
        self.name.setAccessibleName("Name of the case in the training set")
        self.stop.setToolTip("Stop; nothing is left behind.")
        self.replace.setText("Replace a case of this name")
        self.replace.setToolTip("A case that is in the training set already is replaced by this one.")

    def _ask_everything(self) -> None:
        start = str(self._folder / (self.name.text() or "result"))
        text, _ = QFileDialog.getSaveFileName(self, "Save everything in a new folder", start)
        if text:
            self.everything_asked.emit(Path(text), self.patient.isChecked())

    def _ask_case(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, "Which training set? An empty folder begins one", str(self._folder)
        )
        if folder:
            self.case_asked.emit(AddRequest(Path(folder), self.name.text().strip(), self.replace.isChecked()))
