"""Compare results of one scan: side by side, where they differ, a vote, and a table against a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from napari.layers import Image, Labels

from voxtrace.errors import InputError
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.label_watch import LabelWatch
from voxtrace.plugin.controllers.layers import COPY, add_layers, follow_names, label_source, open_scans, source_of
from voxtrace.plugin.controllers.side_by_side import SideBySide
from voxtrace.plugin.layers.display import LayerData
from voxtrace.plugin.models import compare
from voxtrace.plugin.models.bundles import BundleRegistry, KnownBundle, match_channels
from voxtrace.plugin.models.messages import SegmentRequest, SegmentResult
from voxtrace.plugin.models.panel_state import PanelState, working
from voxtrace.plugin.work import compare as work
from voxtrace.plugin.work.events import Done, Event, Failed, Job, Progressed, Runner
from voxtrace.trace.disagreement import Answers

OnDone = Callable[[Any], str]  # takes what a job returned, and returns a sentence about it


class CompareView(Protocol):
    """The setters of the compare dock."""

    def set_results(self, results: Sequence[compare.ResultChoice]) -> None:
        """List the results that can be compared."""

    def set_references(self, names: Sequence[str], chosen: int) -> None:
        """Offer reference layers; the first entry is none."""

    def set_models(self, models: Sequence[compare.RunnableModel]) -> None:
        """List the models that can be run on the scan."""

    def set_table(self, rows: Sequence[compare.ScoreRow]) -> None:
        """Show the table."""

    def set_side_by_side(self, shown: bool) -> None:
        """Show whether results are side by side."""

    def show_state(self, state: PanelState) -> None:
        """Show a message, and progress while a job runs."""


class CompareController:
    """Connects a viewer, the current result, a runner and the compare dock.

    Parameters
    ----------
    runner, engine
        Run comparisons, and models; one model runs at a time, whichever panel started it.
    show_places
        Lists the places where answers differ, with the layer that is shown.
    """

    def __init__(
        self,
        viewer: Any,
        view: CompareView,
        current: CurrentResult,
        runner: Runner,
        engine: Runner,
        bundles: BundleRegistry,
        show_places: Callable[[Labels, Answers], None],
    ) -> None:
        self._viewer, self._view, self._current = viewer, view, current
        self._runner, self._engine = runner, engine
        self._bundles, self._show_places = bundles, show_places
        self._ticked: dict[str, bool] = {}  # by unique id; ticked at first
        self._reference: str = ""
        self._offered: list[Labels] = []  # as references, in the order that was shown
        self._scored: list[LabelWatch] = []  # one for each layer of the table, or of the one that is being made
        self._state = PanelState()
        self._grid = SideBySide(viewer)
        for event in self._events:
            event.connect(self.refresh)
        bundles.changed.connect(self.refresh)
        current.result_changed.connect(self.refresh)
        self.refresh()

    @property
    def _events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.reordered

    def close(self) -> None:
        """Disconnect from the viewer, and show one view again."""
        for event in self._events:
            event.disconnect(self.refresh)
        follow_names(self._offered, [], self.refresh)
        self._offered = []
        self._follow_scored(())
        self._bundles.changed.disconnect(self.refresh)
        self._current.result_changed.disconnect(self.refresh)
        for runner in (self._runner, self._engine):
            runner.abandon()
        self._grid.leave()

    @property
    def results(self) -> list[Labels]:
        """The label layers that can be compared, from top to bottom: results, label maps, labels drawn by hand."""
        return [x for x in reversed(self._viewer.layers) if isinstance(x, Labels) and _is_answer(x)]

    @property
    def ticked(self) -> list[Labels]:
        """The ticked results."""
        return [x for x in self.results if self._is_ticked(x)]

    def refresh(self, event: Any = None) -> None:
        """Update from the current layers and bundles."""
        results = self.results
        self._view.set_results([compare.ResultChoice(x.unique_id, x.name, self._is_ticked(x)) for x in results])
        self._offer_references(results)
        self._view.set_models([self._model_choice(known) for known in self._bundles.bundles])
        if self._state.level == "hint" and not self._busy:  # what was done or refused stays visible
            text = compare.TWO_NEEDED if results else compare.NOTHING_TO_COMPARE
            self._show(PanelState(text))

    def _offer_references(self, results: list[Labels]) -> None:
        """Offer results as references; the list changes where one of them is renamed."""
        follow_names(self._offered, results, self.refresh)
        self._offered, ids = results, [x.unique_id for x in results]
        chosen = ids.index(self._reference) + 1 if self._reference in ids else 0
        self._view.set_references(["no reference", *(x.name for x in results)], chosen)

    def tick(self, layer: str, ticked: bool) -> None:
        """Take a result into the comparison, or leave it out."""
        self._ticked[layer] = ticked

    def pick_reference(self, index: int) -> None:
        """Score against another layer of the list that was offered; 0 is none."""
        self._reference = self._offered[index - 1].unique_id if index else ""

    def toggle_side_by_side(self, shown: bool) -> None:
        """Show the ticked results side by side, or one view again."""
        results, scan = self.ticked, self._scan
        if not shown or len(results) < 2 or scan is None:
            self._grid.leave()
            if shown:
                self._refuse(compare.TWO_NEEDED if len(results) < 2 else "Open the scan of these results first.")
        else:
            self._grid.show(results, scan)
        self._view.set_side_by_side(self._grid.is_shown)

    def find_differences(self) -> None:
        """List the places where the ticked results differ."""
        self._start(self.ticked, 2, work.answers_of, self._on_answers)

    def score(self) -> None:
        """Fill the table with the ticked results against the reference."""
        results = [x for x in self.ticked if x.unique_id != self._reference]
        reference = next((x for x in self.results if x.unique_id == self._reference), None)
        opened = _opened(reference) if reference is not None else None
        if results and not self._busy:
            self._follow_scored([*results, *([reference] if reference is not None else [])])
        self._start(results, 1, partial(work.scores_of, opened), self._on_scores)

    def _follow_scored(self, layers: Sequence[Labels]) -> None:
        for watch in self._scored:
            watch.follow(None)
        self._scored = [LabelWatch(self._viewer, self._forget_scores) for _ in layers]
        for watch, layer in zip(self._scored, layers, strict=True):
            watch.follow(layer)

    def _forget_scores(self) -> None:
        """Empty the table: it is of other labels than the layers hold now."""
        self._follow_scored(())
        self._view.set_table(())
        if not self._busy:
            self._show(PanelState(compare.EDITED))

    def vote(self) -> None:
        """Add the majority vote of the ticked results as a new result."""
        scan = self._scan.unique_id if self._scan is not None else ""
        self._start(self.ticked, 2, partial(work.vote_of, scan), self._on_vote)

    def run_models(self, indices: Sequence[int]) -> None:
        """Segment the scan with several models, one after the other."""
        try:
            requests = [self._request(self._bundles.bundles[index]) for index in indices]
        except InputError as error:
            self._refuse(str(error))
            return
        if requests:
            self._run(partial(work.segment_each, requests), self._on_segmented, self._engine)
        else:
            self._refuse("Tick a model first.")

    def cancel(self) -> None:
        """Ask the job to stop."""
        for runner in (self._runner, self._engine):
            runner.cancel()

    def _start(self, layers: Sequence[Labels], least: int, job: Callable[..., Any], on_done: OnDone) -> None:
        if len(layers) < least:
            self._refuse(compare.TWO_NEEDED)
            return
        scans = [scan.geometry for scan in open_scans(self._viewer.layers)]
        self._run(partial(job, [_opened(x) for x in layers], scans), on_done, self._runner)

    @property
    def _busy(self) -> bool:
        return self._runner.busy or self._engine.busy

    def _run(self, job: Job, on_done: OnDone, runner: Runner) -> None:
        if self._busy:
            return
        self._show(PanelState("Starting …", "busy", busy=True))
        runner.start(job, partial(self._on_event, on_done))

    def _on_event(self, on_done: OnDone, event: Event) -> None:
        if isinstance(event, Progressed):
            self._show(working(event.progress))
        elif isinstance(event, Failed):
            self._show(PanelState(event.sentence, "error"))
        elif isinstance(event, Done):
            self._show(PanelState(on_done(event.result), "done"))
        else:
            self._show(PanelState("Stopped. Nothing was changed."))

    def _on_answers(self, answers: Answers) -> str:
        shown = next((x for x in self.ticked if x.name == answers.row_names[0]), None)
        if shown is None:
            return "A result was closed while it was compared."
        self._show_places(shown, answers)
        return f"The places where {answers.title} differ are listed under Look here next."

    def _on_scores(self, rows: tuple[compare.ScoreRow, ...]) -> str:
        if not self._scored:  # edited while they were scored
            return compare.EDITED
        self._view.set_table(compare.ordered(rows, 2))
        return compare.scored(rows)

    def _on_vote(self, made: LayerData) -> str:
        [layer] = add_layers(self._viewer, [made])
        self._viewer.layers.selection.active = layer
        return f"Added: {layer.name}."

    def _on_segmented(self, results: tuple[SegmentResult, ...]) -> str:
        for result in results:
            add_layers(self._viewer, [*result.beside, result.steps])
        return f"Added {len(results)} result{'s' * (len(results) > 1)}."

    def _refuse(self, sentence: str) -> None:
        self._show(PanelState(sentence, "error"))

    def _show(self, state: PanelState) -> None:
        self._state = state
        self._view.show_state(state)

    def _is_ticked(self, layer: Labels) -> bool:
        return self._ticked.get(layer.unique_id, True)

    @property
    def _scan(self) -> Image | None:
        """The scan that was segmented; else the topmost scan."""
        images = [x for x in reversed(self._viewer.layers) if _is_scan(x)]
        known = {source.scan for x in self.ticked if (source := label_source(x)) is not None}
        return next((x for x in images if x.unique_id in known), self._current.scan or next(iter(images), None))

    def _channels(self, known: KnownBundle) -> list[Image | None]:
        images = [x for x in reversed(self._viewer.layers) if _is_scan(x) and x.ndim == 3]
        indices = match_channels(known.channels, [x.name for x in images])
        return [images[i] if i is not None else None for i in indices]

    def _model_choice(self, known: KnownBundle) -> compare.RunnableModel:
        channels = self._channels(known)
        missing = sum(channel is None for channel in channels)
        refusal = f"needs {len(channels)} images, {len(channels) - missing} are open" if missing else ""
        return compare.RunnableModel(known.name, ", ".join(known.labels.values()), refusal)

    def _request(self, known: KnownBundle) -> SegmentRequest:
        channels = [channel for channel in self._channels(known) if channel is not None]
        if len(channels) < len(known.channels):
            raise InputError(f"{known.name} {self._model_choice(known).refusal}. Open them first.")
        sources = tuple(source_of(channel) for channel in channels)
        return SegmentRequest(known.path, sources, channels[0].unique_id, f"{channels[0].name} · {known.name}")


def _is_answer(layer: Labels) -> bool:
    source = label_source(layer)
    return layer.ndim in (3, 4) and (source is None or source.kind == "labels")


def _is_scan(layer: Any) -> bool:
    return isinstance(layer, Image) and not layer.rgb and COPY not in layer.metadata


def _opened(layer: Labels) -> work.OpenResult:
    data, attributes, _ = layer.as_layer_data_tuple()
    return work.OpenResult(layer.name, data, attributes)
