"""The inner and the outer contour of labels on which answers differ."""

from __future__ import annotations

from typing import Any

from voxtrace.plugin.controllers.slice_lines import SliceLines
from voxtrace.plugin.layers.outlines import Lines, SlicePosition, contour, inner_labels, outer_labels
from voxtrace.trace.disagreement import Answers
from voxtrace.volume import Triple

_FOLLOWS, _ALL = "this label", "all labels"


class Contours:
    """Two layers of lines, made when they are first shown: solid where all agree, dashed where any says so."""

    def __init__(self, viewer: Any) -> None:
        self._inner = SliceLines(viewer, "All agree", width_px=2.5)
        self._outer = SliceLines(viewer, "Any says so", width_px=2.0)
        self._answers: Answers | None = None
        self._colours: dict[int, Triple] = {}
        self._shown = False
        self.chosen = 0
        self._label: int | None = None  # of the place on screen

    @property
    def titles(self) -> tuple[str, ...]:
        """What can be drawn: the label of the place, all labels, or one of them."""
        return (_FOLLOWS, _ALL, *(self._answers.name_of(value) for value in self._values)) if self._answers else ()

    def set_answers(self, answers: Answers | None, colours: dict[int, Triple]) -> None:
        """Draw the contours of other answers, hidden at first."""
        self.remove()
        self._answers, self._shown, self.chosen, self._label = answers, False, 0, None
        self._colours = colours

    def set_shown(self, shown: bool) -> None:
        """Show or hide both contours."""
        self._shown = shown
        self._update()

    def set_label(self, label: int) -> None:
        """Tell which label the place on screen is about."""
        if label != self._label:
            self._label = label
            self._update()

    def pick(self, index: int) -> None:
        """Draw another entry of the titles."""
        self.chosen = index
        self._update()

    def remove(self) -> None:
        """Take the contours away."""
        self._inner.remove()
        self._outer.remove()

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._inner.close()
        self._outer.close()

    @property
    def _values(self) -> list[int]:
        return sorted(value for value in self._answers.names if value) if self._answers else []

    @property
    def _drawn(self) -> int | None:
        """The label that is drawn; None for all."""
        if self.chosen == 0:
            return self._label
        return None if self.chosen == 1 else self._values[self.chosen - 2]

    def _update(self) -> None:
        answers = self._answers
        if not self._shown or answers is None:
            self.remove()
            return
        for lines, is_outer in ((self._inner, False), (self._outer, True)):
            lines.show(_drawing(answers, self._drawn, is_outer), answers.geometry, self._colours)


def _drawing(answers: Answers, label: int | None, is_outer: bool) -> Any:
    labels_of = outer_labels if is_outer else inner_labels

    def draw(where: SlicePosition) -> Lines:
        return contour(labels_of(answers, where.key, label), where, answers.geometry, dashed=is_outer)

    return draw
