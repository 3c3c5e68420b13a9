"""The upper half of the Segment panel: scan, model, options and the Segment button."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.layers.contrast import CT_PRESETS
from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.methods import Capabilities
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.views.passport import QtPassportView
from voxtrace.plugin.views.predict_options import PredictOptionsForm
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.widgets import fill, heading, note, picker


class QtSegmentView(QWidget):
    """Setters and signals; implements the controller's ``SegmentView``."""

    bundle_picked = Signal(int)
    folder_picked = Signal(str)
    channel_picked = Signal(int, int)
    preset_picked = Signal(str)
    start_asked = Signal(object, bool)  # PredictOptions, every time point
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.bundle, self.sentence = picker("The trained model that segments the scan."), note()
        self.browse = QPushButton("Browse…")
        self.browse.setToolTip("Use a bundle folder from disk.")
        self.contrast = picker(
            "Brightness of the scan on screen (window centre / width); the segmentation does not depend on it."
        )
        self.contrast.addItems([f"{w.name}  ({w.centre_hu:g} / {w.width_hu:g} HU)" for w in CT_PRESETS])
        self.channels: list[tuple[QLabel, QComboBox]] = []
        self.every_timepoint = QCheckBox("Every frame of the scan")
        self.passport = QtPassportView()
        self.form = PredictOptionsForm()
        self.state = StateView("Segment", "Cancel")
        self._scan_form = QFormLayout()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.every_timepoint.setToolTip("Segment each frame over time in turn, not only the one under the slider.")
        self._scan_form.addRow("Contrast", self.contrast)
        self._scan_form.addRow(self.every_timepoint)
        self._scan_form.setRowVisible(self.every_timepoint, False)
        model = QHBoxLayout()
        model.addWidget(self.bundle, 1)
        model.addWidget(self.browse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("1 · Scan"))
        layout.addLayout(self._scan_form)
        layout.addWidget(self.passport)
        layout.addWidget(heading("2 · Model"))
        layout.addLayout(model)
        layout.addWidget(self.sentence)
        layout.addWidget(self.form)
        layout.addWidget(heading("3 · Segment"))
        layout.addWidget(self.state)

    def _connect(self) -> None:
        self.bundle.activated.connect(self.bundle_picked)
        self.browse.clicked.connect(self._browse)
        self.contrast.activated.connect(lambda index: self.preset_picked.emit(CT_PRESETS[index].name))
        self.state.start.clicked.connect(lambda: self.start_asked.emit(self.form.options, self.wants_every_timepoint))
        self.state.stop.clicked.connect(self.stop_asked)

    @property
    def wants_every_timepoint(self) -> bool:
        """Whether every time point of the scan is to be segmented."""
        return self.every_timepoint.isChecked() and not self.every_timepoint.isHidden()

    def set_bundles(self, names: Sequence[str], chosen: int, sentence: str) -> None:
        """Fill the model picker."""
        fill(self.bundle, names, chosen)
        self.sentence.setText(sentence)

    def set_channels(self, wanted: Sequence[str], offered: Sequence[str], chosen: Sequence[int | None]) -> None:
        """Show one picker of image layers for each channel that the bundle needs."""
        if [label.text() for label, _ in self.channels] != _channel_words(wanted):
            self._remake_channels(wanted)
        for (_, box), index in zip(self.channels, chosen, strict=True):
            fill(box, offered, -1 if index is None else index)

    def _remake_channels(self, wanted: Sequence[str]) -> None:
        while self.channels:
            self.channels.pop()
            self._scan_form.removeRow(0)
        for channel, word in enumerate(_channel_words(wanted)):
            label, box = QLabel(word), picker("An image layer of the scan to segment.")
            box.activated.connect(lambda index, c=channel: self.channel_picked.emit(c, index))
            self._scan_form.insertRow(channel, label, box)
            self.channels.append((label, box))

    def set_defaults(self, bundle: KnownBundle) -> None:
        """Set the options to the defaults of a bundle."""
        self.form.set_defaults(bundle)

    def set_capabilities(self, capabilities: Capabilities | None) -> None:
        """Offer what can be chosen with the bundle's method; None where it is unknown or not loaded yet."""
        self.form.set_capabilities(capabilities)

    def set_presets(self, is_ct: bool) -> None:
        """Show or hide the CT contrast presets."""
        self._scan_form.setRowVisible(self.contrast, is_ct)

    def set_timepoints(self, count: int) -> None:
        """Offer to segment every time point of a scan, where it has several."""
        self.every_timepoint.setText(f"Every frame of the scan, {count} in turn")
        self._scan_form.setRowVisible(self.every_timepoint, count > 1)

    def show_state(self, state: PanelState) -> None:
        """Show the state; every choice is disabled while a job runs."""
        self.state.show_state(state)
        for widget in (self.bundle, self.browse, self.every_timepoint, *(box for _, box in self.channels)):
            widget.setEnabled(not state.busy)
        self.form.set_busy(state.busy)

    def _browse(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Choose a bundle folder"):
            self.folder_picked.emit(folder)


def _channel_words(wanted: Sequence[str]) -> list[str]:
    return ["Image"] if len(wanted) == 1 else list(wanted)
