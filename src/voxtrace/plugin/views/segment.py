"""The upper half of the Segment panel: scan, model, options, Run."""

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
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.layers.contrast import CT_PRESETS
from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.messages import Keep, Options
from voxtrace.plugin.models.methods import Capabilities
from voxtrace.plugin.models.panel_state import PanelState, words
from voxtrace.plugin.views.options import MAX_INT, OptionsForm
from voxtrace.plugin.views.passport import QtPassportView
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.widgets import Collapsible, fill, heading, note, picker

SETTLED = 0.001  # share of a window's labels: a step that changes no more is the last one there


class QtSegmentView(QWidget):
    """Setters and signals; implements the controller's ``SegmentView``."""

    bundle_picked = Signal(int)
    folder_picked = Signal(str)
    channel_picked = Signal(int, int)
    preset_picked = Signal(str)
    start_asked = Signal(object)
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.bundle, self.sentence = picker("The trained model that segments the scan."), note()
        self.browse = QPushButton("Browse…")
        self.browse.setToolTip("Use a bundle folder from disk.")
        self.contrast = picker(
            "How bright the scan is shown (window centre / width); it changes nothing in the segmentation."
        )
        self.contrast.addItems([f"{w.name}  ({w.centre_hu:g} / {w.width_hu:g} HU)" for w in CT_PRESETS])
        self.channels: list[tuple[QLabel, QComboBox]] = []
        self.steps, self.keep_all, self.mirror = QSpinBox(), QCheckBox(), QCheckBox("Mirror (slower, a little better)")
        self.steps_word, self.seed, self.extras = QLabel("Steps"), QSpinBox(), QCheckBox()
        self.settle = QCheckBox("Stop early where nothing changes any more")
        self.every_timepoint = QCheckBox("Every frame of the scan")
        self.passport = QtPassportView()
        self.method = OptionsForm()
        self.method_section = Collapsible(self.method)
        self._capabilities: Capabilities | None = None
        self.state = StateView("Segment", "Cancel")
        self._form, self._scan_form = QFormLayout(), QFormLayout()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.keep_all.setChecked(True)
        self.extras.setToolTip("What each step shows beside its answer: one more layer each, hidden at first.")
        self.seed.setRange(0, MAX_INT)
        self.seed.setToolTip("Chance, where a method needs it, follows from this number.")
        self.mirror.setToolTip("Segment each window mirrored along every axis as well, and average the answers.")
        self.settle.setToolTip(
            f"A window whose step changes {SETTLED:.1%} of its labels or less computes no further ones."
        )
        self.every_timepoint.setToolTip("Segment each frame over time in turn, not only the one the slider stands on.")
        self._scan_form.addRow("Contrast", self.contrast)
        self._scan_form.addRow(self.every_timepoint)
        self._scan_form.setRowVisible(self.every_timepoint, False)
        model = QHBoxLayout()
        model.addWidget(self.bundle, 1)
        model.addWidget(self.browse)
        self._form.addRow(self.steps_word, self.steps)
        self._form.addRow(self.keep_all)
        self._form.addRow(self.extras)
        self._form.addRow(self.settle)
        self._form.addRow(self.mirror)
        self._form.addRow("Seed", self.seed)
        self._form.addRow(_quiet("The same seed gives the same answer."))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("1 · Scan"))
        layout.addLayout(self._scan_form)
        layout.addWidget(self.passport)
        layout.addWidget(heading("2 · Model"))
        layout.addLayout(model)
        layout.addWidget(self.sentence)
        layout.addLayout(self._form)
        layout.addWidget(self.method_section)
        layout.addWidget(heading("3 · Segment"))
        layout.addWidget(self.state)

    def _connect(self) -> None:
        self.bundle.activated.connect(self.bundle_picked)
        self.browse.clicked.connect(self._browse)
        self.contrast.activated.connect(lambda index: self.preset_picked.emit(CT_PRESETS[index].name))
        self.keep_all.toggled.connect(self.extras.setEnabled)
        self.method_section.reset.clicked.connect(self.method.reset)
        self.state.start.clicked.connect(lambda: self.start_asked.emit(self.options))
        self.state.stop.clicked.connect(self.stop_asked)

    @property
    def options(self) -> Options:
        """What is chosen."""
        capabilities = self._capabilities
        steps = self.steps.value() if capabilities and capabilities.max_steps else None
        extras = capabilities is not None and bool(capabilities.extras) and self.extras.isChecked()
        keep: Keep = "last" if not self.keep_all.isChecked() else "all" if extras else "labels"
        settle = SETTLED if self.settle.isChecked() and not self.settle.isHidden() else None
        every = self.every_timepoint.isChecked() and not self.every_timepoint.isHidden()
        return Options(steps, keep, self.mirror.isChecked(), settle, self.seed.value(), self.method.values, every)

    def set_bundles(self, names: Sequence[str], chosen: int, sentence: str) -> None:
        """Fill the model picker."""
        fill(self.bundle, names, chosen)
        self.sentence.setText(sentence)

    def set_channels(self, wanted: Sequence[str], offered: Sequence[str], chosen: Sequence[int | None]) -> None:
        """Show one picker of image layers for each channel the bundle wants."""
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
        """Set the options to what the bundle was made for."""
        self.mirror.setChecked(bundle.mirror)

    def set_capabilities(self, capabilities: Capabilities | None) -> None:
        """Offer what the bundle's method lets a user choose; None where that is not known (yet)."""
        self._capabilities = capabilities
        capabilities = capabilities or Capabilities("", steps=2)
        self.steps.setRange(1, max(1, capabilities.max_steps))
        self.steps.setValue(capabilities.steps)
        self.steps_word.setText(f"{capabilities.step_word.capitalize()}s")
        self._form.setRowVisible(self.steps, capabilities.max_steps > 0)
        self.keep_all.setText(f"Keep every {capabilities.step_word}, to step through them")
        several = max(capabilities.steps, capabilities.max_steps) > 1
        self._form.setRowVisible(self.keep_all, several)
        self._form.setRowVisible(self.settle, several)
        self.extras.setText(f"Also keep: {', '.join(words(name).lower() for name in capabilities.extras)}")
        self._form.setRowVisible(self.extras, bool(capabilities.extras))
        self.method.set_options(capabilities.options, capabilities.values)
        self.method_section.title.setText(f"Options of the method ({len(capabilities.options)})")
        self.method_section.setVisible(bool(capabilities.options))

    def set_presets(self, is_ct: bool) -> None:
        """Offer CT windows, or not."""
        self._scan_form.setRowVisible(self.contrast, is_ct)

    def set_timepoints(self, count: int) -> None:
        """Offer to segment every frame of a scan over time, or not."""
        self.every_timepoint.setText(f"Every frame of the scan, {count} in turn")
        self._scan_form.setRowVisible(self.every_timepoint, count > 1)

    def show_state(self, state: PanelState) -> None:
        """Show what goes on; the options are locked while something does."""
        self.state.show_state(state)
        choices = (self.bundle, self.browse, self.steps, self.keep_all, self.settle, self.mirror, self.seed)
        for widget in (*choices, self.every_timepoint, self.method_section, *(box for _, box in self.channels)):
            widget.setEnabled(not state.busy)
        self.extras.setEnabled(not state.busy and self.keep_all.isChecked())

    def _browse(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Choose a bundle folder"):
            self.folder_picked.emit(folder)


def _quiet(text: str) -> QLabel:
    label = note()
    label.setText(text)
    return label


def _channel_words(wanted: Sequence[str]) -> list[str]:
    return ["Image"] if len(wanted) == 1 else list(wanted)
