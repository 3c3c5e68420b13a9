"""The lower half of the Segment panel: step through a prediction."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from voxtrace.plugin.models.panel_state import LegendRow
from voxtrace.plugin.views.charts import StepsChart
from voxtrace.plugin.views.legend import FactsView, LegendView, RampView
from voxtrace.plugin.views.widgets import heading, note

SPEEDS = (0.5, 1.0, 2.0, 4.0)  # steps a second
_EMPTY = "Nothing to step through yet. Segment a scan, or select a prediction in the layer list."


class QtStepsView(QWidget):
    """Setters and signals; implements the controller's ``StepsView``."""

    step_asked = Signal(int)
    next_asked = Signal()
    settled_asked = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.title, self.sentence, self.empty = QLabel(), note(), note()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.play, self.speed = QPushButton("▶ Play"), QComboBox()
        self.chart, self.legend, self.facts = StepsChart(), LegendView(), FactsView()
        self.settled, self.ramp = QCheckBox(), RampView()
        self.timer = QTimer(self)
        self._body = QWidget()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.empty.setText(_EMPTY)
        self.title.setStyleSheet("font-weight: bold; font-size: 12pt;")
        self.slider.setPageStep(1)
        self.slider.setTickPosition(QSlider.TickPosition.TicksBelow)
        self.play.setCheckable(True)
        self.speed.addItems([f"{speed:g} / s" for speed in SPEEDS])
        self.speed.setCurrentIndex(1)
        self.speed.setToolTip("Steps a second.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.title, 1)
        buttons.addWidget(self.play)
        buttons.addWidget(self.speed)
        body = QVBoxLayout(self._body)
        body.setContentsMargins(0, 0, 0, 0)
        body.addLayout(buttons)
        for widget in (self.slider, self.sentence, self.facts, self.chart, self.legend, self.settled, self.ramp):
            body.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("4 · Step through"))
        layout.addWidget(self.empty)
        layout.addWidget(self._body)

    def _connect(self) -> None:
        self.slider.valueChanged.connect(self.step_asked)
        self.play.toggled.connect(self._play)
        self.speed.currentIndexChanged.connect(lambda index: self.timer.setInterval(round(1000 / SPEEDS[index])))
        self.timer.setInterval(1000)
        self.timer.timeout.connect(self.next_asked)
        self.settled.toggled.connect(self.settled_asked)
        self.settled.toggled.connect(self.ramp.setVisible)

    def set_trace(self, name: str, word: str, changes: Sequence[float]) -> None:
        """Show a prediction with one step for each entry of ``changes``."""
        several = len(changes) > 1
        self.empty.hide()
        self._body.show()
        self.chart.setVisible(several)
        self.slider.setEnabled(several)
        self.play.setEnabled(several)
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, len(changes) - 1)
        self.chart.set_changes(changes, word)
        self.settled.setText(f"Show at which {word} it settled")
        self.settled.setToolTip(f"Colours each voxel by the last {word} that changed its label.")
        self.ramp.set_steps(len(changes), word)
        self.settled.setVisible(several)
        self.ramp.setVisible(several and self.settled.isChecked())

    def show_step(
        self,
        step: int,
        title: str,
        sentence: str,
        legend: Sequence[LegendRow],
        facts: Sequence[tuple[str, str]],
    ) -> None:
        """Show a step, counted from 0; facts are pairs of name and value."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(step)
        self.title.setText(title)
        self.sentence.setText(sentence)
        self.chart.mark(step)
        self.legend.show_rows(legend)
        self.facts.show_facts(facts)

    def set_settled(self, shown: bool) -> None:
        """Set whether the map of settled voxels is shown."""
        with QSignalBlocker(self.settled):
            self.settled.setChecked(shown)
        self.ramp.setVisible(shown)

    def clear(self) -> None:
        """Show that no prediction is selected."""
        self.play.setChecked(False)
        self._body.hide()
        self.empty.show()

    def _play(self, playing: bool) -> None:
        self.play.setText("❚❚ Pause" if playing else "▶ Play")
        if playing:
            self.timer.start()
        else:
            self.timer.stop()
