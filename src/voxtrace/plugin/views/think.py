"""The dock "Think longer here": which part, what is asked for, and keep or drop."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.models.think_longer import MORE_SEEDS, MORE_STEPS, ThinkChoice, ThinkOffer
from voxtrace.plugin.views.state import StateView
from voxtrace.plugin.views.widgets import note, picker

PLACES = {"window": "Window under the cursor", "drawn": "Drawn rectangle", "visible": "Visible part"}
_MOST_SEEDS = 32


class QtThinkView(QWidget):
    """Setters and signals; implements the controller's ``ThinkView``."""

    think_asked = Signal(str, object)  # place, ThinkChoice
    stop_asked = Signal()
    draw_asked = Signal()
    keep_asked = Signal()
    drop_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.of, self.outcome = note(), QLabel()
        self.place = picker("Which part of the scan is computed again.")
        self.draw = QPushButton("Draw")
        self.steps_word, self.steps, self.seeds = QLabel("Steps"), QSpinBox(), QSpinBox()
        self.largest = QCheckBox()
        self.state = StateView("Think longer", "Cancel")
        self.keep, self.drop = QPushButton("Keep"), QPushButton("Drop")
        self._form, self._answer = QFormLayout(), QWidget()
        self._lay_out()
        self._name_widgets()
        self._connect()

    def _lay_out(self) -> None:
        for key, text in PLACES.items():
            self.place.addItem(text, key)
        place = QHBoxLayout()
        place.addWidget(self.place, 1)
        place.addWidget(self.draw)
        self.seeds.setRange(1, _MOST_SEEDS)
        self.seeds.setValue(MORE_SEEDS)
        self._form.addRow("Part", place)
        self._form.addRow(self.steps_word, self.steps)
        self._form.addRow("Seeds", self.seeds)
        self._form.addRow(self.largest)
        answer = QVBoxLayout(self._answer)
        answer.setContentsMargins(0, 0, 0, 0)
        buttons = QHBoxLayout()
        for button in (self.keep, self.drop):
            buttons.addWidget(button)
        answer.addWidget(self.outcome)
        answer.addLayout(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.of)
        layout.addLayout(self._form)
        layout.addWidget(self.state)
        layout.addWidget(self._answer)
        self.outcome.setWordWrap(True)
        self._answer.hide()
        self._show_draw()

    def _name_widgets(self) -> None:
        self.place.setAccessibleName("Part of the scan")
        self.draw.setToolTip("Drag a rectangle over the scan; it reaches through every slice.")
        self.steps.setAccessibleName("Steps")
        self.steps.setToolTip("How many steps are taken.")
        self.seeds.setAccessibleName("Seeds")
        self.seeds.setToolTip("How many times it is drawn anew; the answer is what most say.")
        self.largest.setAccessibleName("Use the largest network")
        self.largest.setToolTip("Without it, the method chooses a network for each window.")
        self.keep.setToolTip("Take this answer over into the edited labels of the result; it can be undone.")
        self.drop.setToolTip("Remove this answer; the result stays as it is.")

    def _connect(self) -> None:
        self.place.currentIndexChanged.connect(self._show_draw)
        self.draw.clicked.connect(self.draw_asked)
        self.state.start.clicked.connect(lambda: self.think_asked.emit(self.place.currentData(), self.choice))
        self.state.stop.clicked.connect(self.stop_asked)
        self.keep.clicked.connect(self.keep_asked)
        self.drop.clicked.connect(self.drop_asked)

    @property
    def choice(self) -> ThinkChoice:
        """What is chosen."""
        return ThinkChoice(self.steps.value(), self.seeds.value(), self.largest.isChecked())

    def set_offer(self, offer: ThinkOffer, of: str) -> None:
        """Offer what can be asked for, of the result with this name; ``""`` where there is none."""
        unskipped = " Every window of the part runs; none is skipped." if offer.every_window else ""
        self.of.setText(f"Of {of}.{unskipped}" if of else "")
        self.of.setVisible(bool(of))
        if (self.steps.maximum(), self.steps.property("taken")) != (max(1, offer.most_steps), offer.steps):
            self.steps.setRange(1, max(1, offer.most_steps))
            self.steps.setProperty("taken", offer.steps)
            self.steps.setValue(MORE_STEPS * offer.steps)
        self.steps_word.setText(f"{offer.step_word.capitalize()}s")
        self._form.setRowVisible(self.steps, offer.most_steps > offer.steps)
        self._form.setRowVisible(self.seeds, offer.random)
        self._form.setRowVisible(self.largest, offer.largest is not None)
        if offer.largest is not None:
            self.largest.setText(f"Use the largest network, {offer.largest.title}, everywhere")
            self.largest.setToolTip("Without it, the method chooses a network for each window.")
            self.largest.setChecked(True)

    def set_outcome(self, sentence: str, can_keep: bool) -> None:
        """Show how the second answer differs, and whether there is one to keep or drop."""
        self.outcome.setText(sentence)
        self._answer.setVisible(can_keep)

    def show_state(self, state: PanelState) -> None:
        """Show the state; every choice is disabled while a job runs."""
        self.state.show_state(state)
        for widget in (self.place, self.draw, self.steps, self.seeds, self.largest, self.keep, self.drop):
            widget.setEnabled(not state.busy)

    def _show_draw(self, *_: object) -> None:
        self.draw.setVisible(self.place.currentData() == "drawn")
