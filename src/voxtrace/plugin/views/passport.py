"""A scan's geometry passport: the verdict in the title and, unfolded, a line for each finding."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from voxtrace.passport import Verdict
from voxtrace.plugin.models.passports import MARKS, PassportCard, PassportLine
from voxtrace.plugin.views.theme import Tone, set_tone
from voxtrace.plugin.views.widgets import Collapsible, note

UNKNOWN_TONE: Tone = "dimmed"
TONES: dict[Verdict, Tone] = {"fine": "good", "corrected": "warning", "refused": "error"}


class QtPassportView(Collapsible):
    """Setters; implements the controller's ``PassportView``."""

    def __init__(self) -> None:
        self.grid, self.lines = note(), list[QLabel]()
        self._content = QWidget()
        layout = QVBoxLayout(self._content)
        layout.setContentsMargins(8, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.grid)
        super().__init__(self._content, resettable=False)
        self.setVisible(False)

    def show_passport(self, card: PassportCard | None) -> None:
        """Show the findings of reading a scan; None hides the section."""
        self.setVisible(card is not None)
        if card is None:
            return
        mark, tone = (MARKS[card.verdict], TONES[card.verdict]) if card.lines else ("–", UNKNOWN_TONE)
        self.title.setText(f"{mark} {card.headline}")
        set_tone(self.title, tone)
        self.grid.setText(card.grid)
        while len(self.lines) < len(card.lines):
            self.lines.append(self._line())
        for label, line in zip(self.lines, card.lines, strict=False):
            label.setText(_words(line))
            set_tone(label, "text" if line.verdict == "fine" else TONES[line.verdict])
        for index, label in enumerate(self.lines):
            label.setVisible(index < len(card.lines))

    @property
    def texts(self) -> list[str]:
        """The lines as shown."""
        return [label.text() for label in self.lines if not label.isHidden()]

    def _line(self) -> QLabel:
        label = QLabel()
        label.setWordWrap(True)
        layout = self._content.layout()
        assert layout is not None
        layout.addWidget(label)
        return label


def _words(line: PassportLine) -> str:
    return f"{line.mark} {line.text}" + (f"; {line.remedy}" if line.remedy else "") + "."
