"""The Segment panel's section about the result: legend, volumes and facts of the step on screen."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from voxtrace.plugin.models.panel_state import LegendRow
from voxtrace.plugin.views.legend import FactsView, LegendView
from voxtrace.plugin.views.theme import set_tone
from voxtrace.plugin.views.widgets import heading, note

_EMPTY = "No result yet. Segment a scan, or select a result in the layer list."


class QtStepsView(QWidget):
    """Setters; implements the controller's ``StepsView``."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.sentence, self.empty = QLabel(), note(), note()
        self.legend, self.facts = LegendView(), FactsView()
        self._body = QWidget()
        self.empty.setText(_EMPTY)
        set_tone(self.title, "heading")
        body = QVBoxLayout(self._body)
        body.setContentsMargins(0, 0, 0, 0)
        for widget in (self.title, self.legend, self.sentence, self.facts):
            body.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (heading("4 · Result"), self.empty, self._body):
            layout.addWidget(part)
        self.clear()

    def show_step(
        self,
        title: str,
        sentence: str,
        legend: Sequence[LegendRow],
        facts: Sequence[tuple[str, str]],
    ) -> None:
        """Show a station; facts are pairs of name and value."""
        self.empty.hide()
        self._body.show()
        self.title.setText(title)
        self.sentence.setText(sentence)
        self.sentence.setVisible(bool(sentence))
        self.legend.show_rows(legend)
        self.facts.show_facts(facts)

    def clear(self) -> None:
        """Show that there is no result."""
        self._body.hide()
        self.empty.show()
