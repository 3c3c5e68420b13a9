"""The upper part of the Segment panel: scan, model, the Segment button and what follows a result."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.methods import Capabilities
from voxtrace.plugin.models.model_cards import ModelCard
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.models.scan_rows import ChannelChoice, ScanRow
from voxtrace.plugin.views.model_picker import ModelPicker
from voxtrace.plugin.views.passport import QtPassportView
from voxtrace.plugin.views.predict_options import PredictOptionsForm
from voxtrace.plugin.views.region import RegionForm
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.widgets import fill, note, picker

# Dock -> text of its button, and what it does.
NEXT = {
    "places": ("Look here next", "Walk through the places where the result is undecided, the largest first."),
    "correct": ("Correct", "Correct the labels: paint, smooth, fill between slices, and save."),
    "compare": ("Compare", "Compare several models or results on this scan."),
    "think": ("Think longer…", "Compute one part of the scan again with more steps or seeds."),
    "what_if": ("What if…", "What other settings would have cost and changed."),
}


class QtSegmentView(QWidget):
    """Setters and signals; implements the controller's ``SegmentView``."""

    open_asked = Signal()
    scan_picked = Signal(int)
    bundle_picked = Signal(int)
    folder_picked = Signal(str)
    channel_picked = Signal(int, int)
    start_asked = Signal(object, bool)  # PredictOptions, every time point
    stop_asked = Signal()
    remedy_asked = Signal(str)
    dock_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.open = QPushButton("Open scan…")
        self.scan, self.bundle = picker("The scan that is segmented."), ModelPicker()
        self.browse, self.about, self.taken = QPushButton("…"), note(), note()
        self.channels: list[tuple[QLabel, QComboBox]] = []
        self.every_timepoint = QCheckBox("Every frame of the scan")
        self.passport, self.region, self.form = QtPassportView(), RegionForm(), PredictOptionsForm()
        self.state = StateView("Segment", "Cancel")
        self.docks = {name: QPushButton(text) for name, (text, _) in NEXT.items()}
        self._channel_form = QFormLayout()
        self._next = QWidget()
        self._lay_out()
        self._name_widgets()
        self._connect()

    def _lay_out(self) -> None:
        scan, model = QHBoxLayout(), QHBoxLayout()
        scan.addWidget(self.open)
        scan.addWidget(self.scan, 1)
        model.addWidget(self.bundle, 1)
        model.addWidget(self.browse)
        buttons = QGridLayout(self._next)
        buttons.setContentsMargins(0, 0, 0, 0)
        for number, button in enumerate(self.docks.values()):
            buttons.addWidget(button, number // 3, number % 3)
        self._next.hide()
        self.form.add_on_top(self.region)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(scan)
        layout.addWidget(self.about)
        layout.addWidget(self.passport)
        layout.addLayout(model)
        layout.addLayout(self._channel_form)
        for widget in (self.taken, self.every_timepoint, self.state, self.form, self._next):
            layout.addWidget(widget)

    def _name_widgets(self) -> None:
        self.open.setToolTip("Open a file or a DICOM folder.")
        self.scan.setAccessibleName("Scan")
        self.browse.setToolTip("Browse: use a bundle folder from disk.")
        self.browse.setAccessibleName("Browse for a model")
        self.browse.setMaximumWidth(2 * self.browse.fontMetrics().height())
        self.every_timepoint.setToolTip("Segment each frame over time in turn, not only the one under the slider.")
        self.every_timepoint.hide()
        for name, (_, tooltip) in NEXT.items():
            self.docks[name].setToolTip(tooltip)

    def _connect(self) -> None:
        self.open.clicked.connect(self.open_asked)
        self.scan.activated.connect(self.scan_picked)
        self.bundle.activated.connect(self.bundle_picked)
        self.browse.clicked.connect(self._browse)
        self.state.start.clicked.connect(lambda: self.start_asked.emit(self.form.options, self.wants_every_timepoint))
        self.state.stop.clicked.connect(self.stop_asked)
        self.state.remedy_asked.connect(self.remedy_asked)
        for name, button in self.docks.items():
            button.clicked.connect(lambda _=False, dock=name: self.dock_asked.emit(dock))

    @property
    def wants_every_timepoint(self) -> bool:
        """Whether every time point of the scan is to be segmented."""
        return self.every_timepoint.isChecked() and not self.every_timepoint.isHidden()

    def set_scans(self, scans: Sequence[ScanRow], chosen: int | None) -> None:
        """Fill the scan picker."""
        fill(self.scan, [scan.name for scan in scans], -1 if chosen is None else chosen)
        self.about.setText(scans[chosen].about if chosen is not None else "")
        self.about.setVisible(chosen is not None)
        self.scan.setEnabled(bool(scans))

    def set_bundles(self, cards: Sequence[ModelCard], chosen: int) -> None:
        """Fill the model picker."""
        self.bundle.set_cards(cards, chosen)

    def set_channels(self, channels: Sequence[ChannelChoice], scans: Sequence[str], sentence: str) -> None:
        """Show a picker of images for each channel of a model with several, and what was taken unasked."""
        several = channels if len(channels) > 1 else ()
        if [label.text() for label, _ in self.channels] != [channel.name for channel in several]:
            self._remake_channels([channel.name for channel in several])
        for (_, box), channel in zip(self.channels, several, strict=True):
            fill(box, scans, -1 if channel.index is None else channel.index)
        self.taken.setText(sentence)
        self.taken.setVisible(bool(sentence))

    def _remake_channels(self, names: Sequence[str]) -> None:
        while self.channels:
            self.channels.pop()
            self._channel_form.removeRow(0)
        for channel, name in enumerate(names):
            label, box = QLabel(name), picker(f"The image that the model gets as {name}.")
            box.setAccessibleName(name)
            box.activated.connect(lambda index, c=channel: self.channel_picked.emit(c, index))
            self._channel_form.addRow(label, box)
            self.channels.append((label, box))

    def set_defaults(self, bundle: KnownBundle) -> None:
        """Set the options to the defaults of a bundle."""
        self.form.set_defaults(bundle)

    def set_capabilities(self, capabilities: Capabilities | None) -> None:
        """Offer what can be chosen with the bundle's method; None where it is unknown or not loaded yet."""
        self.form.set_capabilities(capabilities)

    def set_region_size(self, shape: Sequence[int]) -> None:
        """Set the largest slice, row and column of a region."""
        self.region.set_shape(shape)

    def set_timepoints(self, count: int) -> None:
        """Offer to segment every time point of a scan, where it has several."""
        self.every_timepoint.setText(f"Every frame of the scan, {count} in turn")
        self.every_timepoint.setVisible(count > 1)

    def show_models(self) -> None:
        """Unfold the model picker."""
        self.bundle.showPopup()

    def show_next(self, shown: bool) -> None:
        """Offer what can be done with a result."""
        self._next.setVisible(shown)

    def show_state(self, state: PanelState) -> None:
        """Show the state; every choice is disabled while a job runs."""
        self.state.show_state(state)
        boxes = (box for _, box in self.channels)
        for widget in (self.scan, self.bundle, self.browse, self.every_timepoint, self.region, *boxes):
            widget.setEnabled(not state.busy)
        self.form.set_busy(state.busy)

    def _browse(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Choose a bundle folder"):
            self.folder_picked.emit(folder)
