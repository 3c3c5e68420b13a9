"""Walk through the places on which the answers of a result differ, and decide about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from napari.layers import Labels

from voxtrace import palette
from voxtrace.plugin.controllers.contours import Contours
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.layers import label_source
from voxtrace.plugin.controllers.place_edits import PlaceEdits
from voxtrace.plugin.controllers.place_frame import PlaceFrame
from voxtrace.plugin.controllers.place_keys import PlaceKeys
from voxtrace.plugin.models import places
from voxtrace.plugin.models.panel_state import Level
from voxtrace.plugin.work.events import Done, Event, Failed, Progressed, Runner
from voxtrace.plugin.work.places import find_places
from voxtrace.trace.disagreement import Answers, PlaceLimits, offered
from voxtrace.volume import Triple


class PlacesView(Protocol):
    """The setters of the list of places."""

    def set_sources(self, titles: Sequence[str], chosen: int) -> None:
        """Offer what can be compared."""

    def show_message(self, text: str, level: Level) -> None:
        """Show a sentence in place of the list; ``""`` shows the list."""

    def set_rows(self, rows: Sequence[places.ListedPlace], current: int | None) -> None:
        """Show the places, with the one on screen selected."""

    def set_progress(self, text: str, is_done: bool) -> None:
        """Show how far the review is."""

    def set_undecided(self, text: str) -> None:
        """Show how much of each label is undecided, and what is left alone."""

    def set_contours(self, labels: Sequence[str], chosen: int, shown: bool) -> None:
        """Offer the labels whose contours can be shown."""


class PlacesController:
    """Connects the current result, a runner and the list of places.

    Parameters
    ----------
    done_ml
        Gives the volume below which the rest may stay as it is.
    open_dock
        Opens another dock of the window by its name.
    """

    def __init__(
        self,
        viewer: Any,
        view: PlacesView,
        current: CurrentResult,
        edits: EditController,
        runner: Runner,
        done_ml: Callable[[], float],
        open_dock: Callable[[str], Any],
    ) -> None:
        self._viewer, self._view, self._current, self._runner = viewer, view, current, runner
        self._done_ml, self._open_dock = done_ml, open_dock
        self._reviews: dict[tuple[str, str], places.Review] = {}  # by the layer's unique id and what was compared
        self._sources: tuple[Answers, ...] = ()
        self._chosen = 0
        self._layer: Labels | None = None
        self._frame, self._contours = PlaceFrame(viewer), Contours(viewer)
        self._edits = PlaceEdits(edits, self._on_painted)
        keys = {
            "N": self.next,
            "Enter": self.accept,
            "R": self.repaint,
            "O": self.replace,
            "Z": self.undo,
            "Backspace": self.back,
        }
        self._keys = PlaceKeys(viewer, keys)
        current.result_changed.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Disconnect from the viewer and take frame and contours away."""
        self._current.result_changed.disconnect(self.refresh)
        self._edits.follow(None)
        self._keys.follow(None)
        self._runner.abandon()
        self._frame.close()
        self._contours.close()

    @property
    def review(self) -> places.Review | None:
        """The review that is shown."""
        return self._reviews.get(self._key) if self._sources else None

    @property
    def _key(self) -> tuple[str, str]:
        answers = self._sources[self._chosen]
        return (self._layer.unique_id if self._layer is not None else "", f"{answers.kind} {answers.title}")

    @property
    def _colours(self) -> dict[int, Triple]:
        known = label_source(self._layer) if self._layer is not None else None
        names = self._sources[self._chosen].names if self._sources else {}
        return palette.colours(names, known.colours if known is not None else {})

    def refresh(self) -> None:
        """Show the places of the current result."""
        layer, trace = self._current.layer, self._current.trace
        if layer is self._layer and layer is not None:
            return
        self.compare(layer, offered(trace) if trace is not None else ())

    def compare(self, layer: Labels | None, sources: Sequence[Answers]) -> None:
        """Show the places on which answers differ; of several sources the first."""
        open_layers = {one.unique_id for one in self._viewer.layers}
        self._reviews = {key: review for key, review in self._reviews.items() if key[0] in open_layers}
        self._layer, self._sources, self._chosen = layer, tuple(sources), 0
        self._edits.follow(layer)
        self._keys.follow(layer)
        self._view.set_sources([answers.title for answers in self._sources], 0)
        self.choose(0)

    def choose(self, index: int) -> None:
        """Compare another source."""
        self._frame.remove()
        self._contours.remove()
        if not self._sources:
            self._runner.cancel()
            self._contours.set_answers(None, {})
            self._view.set_contours((), 0, False)
            text = places.NOTHING_OPEN if self._layer is None else places.NOT_COMPARABLE
            self._view.show_message(text, "hint")
            return
        self._chosen = index
        answers = self._sources[index]
        self._contours.set_answers(answers, self._colours)
        self._view.set_contours(self._contours.titles, self._contours.chosen, False)
        if self.review is not None:
            self._show()
            return
        self._view.show_message(f"Comparing {answers.title} …", "busy")
        self._runner.start(partial(find_places, answers, PlaceLimits()), partial(self._on_event, self._key))

    def _on_event(self, key: tuple[str, str], event: Event) -> None:
        if isinstance(event, Done):
            self._reviews[key] = places.start(event.result, self._done_ml())
            if self._sources and key == self._key:
                self._show()
        elif isinstance(event, Failed):
            self._view.show_message(event.sentence, "error")
        elif isinstance(event, Progressed):
            self._view.show_message(event.progress.text, "busy")

    def next(self) -> None:
        """Show the next place without a decision."""
        review = self.review
        if review is not None and (place := places.following(review)) is not None:
            self.jump(place)

    def back(self) -> None:
        """Show the place before this one."""
        review = self.review
        if review is not None and (place := places.preceding(review)) is not None:
            self.jump(place)

    def jump(self, index: int) -> None:
        """Show a place: the sliders move there, the camera frames it, its corners are marked."""
        review = self.review
        if review is None or not 0 <= index < len(review.decisions):
            return
        self._keep(places.at(review, index))
        place = review.found.places[index]
        self._current.go(self._current.steps - 1)
        self._frame.show(place, review.found.answers.geometry)
        self._contours.set_label(place.concerned)

    def accept(self) -> None:
        """Leave the place as it is shown, and go on."""
        self._decide("accepted")
        self.next()

    def repaint(self) -> None:
        """Take up the brush with the place's label; the first stroke marks the place as repainted."""
        review, layer = self.review, self._layer
        if review is None or review.place is None or layer is None:
            return
        self._open_dock("correct")
        self._viewer.layers.selection.active = layer
        layer.selected_label = review.place.concerned
        layer.mode = "paint"

    def replace(self) -> None:
        """Give every voxel of the place the label of the other side, as one edit, and go on."""
        review, layer = self.review, self._layer
        if review is None or review.place is None or layer is None:
            return
        assert review.current is not None
        self._edits.replace(layer, review.current, review.place, review.found.answers.geometry.shape)
        self._decide("replaced")
        self.next()

    def undo(self) -> None:
        """Take back the last decision, and what was painted for it."""
        review = self.review
        if review is None or not review.history:
            return
        last = review.history[-1]
        if self._layer is not None and review.decisions[last] in ("repainted", "replaced"):
            self._edits.undo(self._layer, last)
        self._keep(places.undone(review))
        self.jump(last)

    def show_contours(self, shown: bool) -> None:
        """Show or hide the inner and the outer contour."""
        self._contours.set_shown(shown)

    def pick_contours(self, index: int) -> None:
        """Draw the contours of another label."""
        self._contours.pick(index)

    def _decide(self, decision: places.Decision) -> None:
        review = self.review
        if review is not None and review.current is not None:
            self._keep(places.decide(review, decision))

    def _on_painted(self) -> int | None:
        """Mark the place on screen as repainted, and return it."""
        review = self.review
        if review is None or review.current is None:
            return None
        self._decide("repainted")
        return review.current

    def _keep(self, review: places.Review) -> None:
        self._reviews[self._key] = review
        if self._layer is not None:
            self._layer.metadata[places.REVIEW_KEY] = places.record(review)
        self._show()

    def _show(self) -> None:
        review = self.review
        assert review is not None
        self._view.show_message("" if review.decisions else places.progress(review), "done")
        self._view.set_rows(places.rows(review, self._colours), review.current)
        self._view.set_progress(places.progress(review), review.is_done)
        undecided, calm = places.undecided(review.found), places.calm(review.found)
        self._view.set_undecided("\n".join(filter(None, (undecided, calm[:1].upper() + calm[1:]))))
