"""Think longer here: run one part of a result again, compare, and keep or drop the second answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from napari.layers import Image, Labels

from voxtrace.errors import UsageError, VoxTraceError
from voxtrace.plugin.controllers import regions
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.layers import remove_layer
from voxtrace.plugin.controllers.model_choice import Background, at_once
from voxtrace.plugin.controllers.segment_run import SegmentRun
from voxtrace.plugin.models import panel_state, think_longer
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.correction import Correction
from voxtrace.plugin.models.messages import REQUEST, SegmentRequest, SegmentResult
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.region import Box, with_margin
from voxtrace.plugin.models.think_longer import ThinkChoice, ThinkOffer
from voxtrace.plugin.work import jobs
from voxtrace.plugin.work.events import Runner

Place = Literal["window", "visible", "drawn"]
NOT_HERE = "Segment a scan first: what was run is known only for results of this session."
NOTHING_MORE = "This method takes one step, draws no random numbers and has one network: it would answer the same."


class ThinkView(Protocol):
    """The setters of the dock."""

    def set_offer(self, offer: ThinkOffer, of: str) -> None:
        """Offer what can be asked for, of the result with this name; ``""`` where there is none."""

    def set_outcome(self, sentence: str, can_keep: bool) -> None:
        """Show how the second answer differs, and whether there is one to keep or drop."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show the state."""


class ThinkController:
    """Connects the current result, a runner and the dock."""

    def __init__(
        self,
        viewer: Any,
        current: CurrentResult,
        edits: EditController,
        bundles: BundleRegistry,
        methods: MethodRegistry,
        view: ThinkView,
        runner: Runner,
        background: Background = at_once,
    ) -> None:
        self._viewer, self._current, self._edits, self._view = viewer, current, edits, view
        self._bundles, self._methods, self._background = bundles, methods, background
        self.run = SegmentRun(viewer, runner, view.show_state, self._on_result, hides=False)
        self._offer = ThinkOffer()
        self._base: Labels | None = None  # the result that is offered
        self._thought: Labels | None = None  # the result that the second answer, or the run, is about
        self._second: Labels | None = None  # the second answer
        self._outcome = ""  # how the second answer differs
        for changed in self._signals:
            changed.connect(self.refresh)
        edits.changed.connect(self._on_edited)
        self.refresh()

    @property
    def _signals(self) -> tuple[Any, ...]:
        return self._current.result_changed, self._methods.changed, self._viewer.layers.events.removed

    def close(self) -> None:
        """Disconnect, and stop a run."""
        for changed in self._signals:
            changed.disconnect(self.refresh)
        self._edits.changed.disconnect(self._on_edited)
        self.run.close()

    def refresh(self, event: Any = None) -> None:
        """Update from the current result; a second answer belongs to the result that it was made for."""
        self._forget_removed()
        layer = self._current.layer
        if layer is not None and layer is self._second:
            self._base = self._thought
        elif layer is not None and not _is_second(layer):
            self._base = layer
        request = _request_of(self._base)
        self._offer = self._offer_for(request) if request else ThinkOffer()
        self._view.set_offer(self._offer, self._base.name if self._base is not None and request else "")
        self._show_outcome()
        if not self.run.busy and not self._is_answered:
            self._view.show_state(self._idle(request))

    def _forget_removed(self) -> None:
        layers = self._viewer.layers
        self._base = self._base if self._base in layers else None
        self._thought = self._thought if self._thought in layers else None
        if self._thought is None or self._second not in layers:
            self._second, self._outcome = None, ""

    @property
    def _is_answered(self) -> bool:
        """Whether the second answer is about the result that is offered."""
        return self._second is not None and self._base is self._thought

    def _show_outcome(self) -> None:
        sentence = self._outcome if self._is_answered else ""
        self._view.set_outcome(sentence, bool(sentence))

    def _idle(self, request: SegmentRequest | None) -> panel_state.PanelState:
        if request is None:
            return panel_state.PanelState(NOT_HERE)
        if not self._offer.possible:
            return panel_state.PanelState(NOTHING_MORE)
        return panel_state.PanelState("Point at a place, choose, and press Think longer.", can_start=True)

    def _offer_for(self, request: SegmentRequest) -> ThinkOffer:
        known = next((k for k in self._bundles.bundles if k.path == request.bundle), None)
        able = self._methods.capabilities(known.method, known.options) if known else None
        return think_longer.offer(able, request.options.steps or (able.steps if able else 1))

    def draw(self) -> None:
        """Let a rectangle be drawn over the scan."""
        if (scan := self._scan(_request_of(self._base))) is not None:
            regions.start_drawing(self._viewer, scan)

    def think(self, place: Place, choice: ThinkChoice) -> None:
        """Run the part again with what was chosen."""
        base, request = self._base, _request_of(self._base)
        scan = self._scan(request)
        if base is None or request is None or scan is None or self.run.busy:
            return
        try:
            box = self._box(place, base, scan)
        except VoxTraceError as error:
            self._view.show_state(panel_state.failed(str(error)))
            return
        geometry = request.channels[0].volume.geometry
        again = replace(
            request,
            name=f"{base.name} · think longer",
            options=think_longer.longer(request.options, self._offer, choice),
            box=with_margin(box, think_longer.MARGIN_MM, geometry.spacing_mm, geometry.shape),
            shown=box,
        )
        self._drop_second()
        self._thought = base
        self.run.start(partial(jobs.segment, again), scan.unique_id)

    def _box(self, place: Place, base: Labels, scan: Image) -> Box:
        if place != "window":
            shape = scan.data.shape[-3:]
            return regions.region_box(self._viewer, scan, place) or Box((0, 0, 0), (shape[0], shape[1], shape[2]))
        trace = self._current.trace if self._current.layer is base else _trace_of(base)
        found = think_longer.window_at(trace, regions.voxel_under_cursor(self._viewer, scan)) if trace else None
        if found is None:
            raise UsageError("no window of this result lies there. Point at another place, or draw a box.")
        return found

    def cancel(self) -> None:
        """Stop the run."""
        self.run.cancel()

    def _on_result(self, layer: Labels, result: SegmentResult) -> None:
        if self._thought is None:
            return  # its result was removed meanwhile
        self._second = layer
        self.refresh()
        self._count_difference()

    def _on_edited(self, layer: Labels) -> None:
        if layer in (self._thought, self._second):
            self._count_difference()

    def _count_difference(self) -> None:
        """Say how the second answer differs from what its result holds now."""
        base, second, request = self._thought, self._second, _request_of(self._second)
        if base is not None and second is not None and request is not None and request.shown is not None:
            self._compare(partial(_changes, base, second, request.shown), partial(self._show_difference, second))

    def _compare(self, function: Callable[[], Any], on_result: Callable[[Any], None]) -> None:
        self._background(function, on_result)

    def _show_difference(self, second: Labels, changes: tuple[Any, Any, int, float]) -> None:
        where, _, voxels, voxel_ml = changes
        if second is self._second:
            self._outcome = think_longer.difference_words(len(where), voxels, voxel_ml)
            self._show_outcome()

    def keep(self) -> None:
        """Take the second answer over into the edited labels of its result, as one edit that can be undone."""
        second, base = self._second, self._thought
        request = _request_of(second)
        if second is None or base is None or request is None or request.shown is None:
            return
        self._compare(partial(_changes, base, second, request.shown), partial(self._apply, second))

    def _apply(self, second: Labels, changes: tuple[Any, Any, int, float]) -> None:
        where, values, *_ = changes
        base = self._thought
        if base is None or second is not self._second:
            return
        self._drop_second()
        self._viewer.layers.selection.active = base
        self._edits.apply(base, Correction(where, values), "think longer", 0, base.data.n_steps - 1)
        self._view.show_state(panel_state.PanelState(f"Kept: {len(where):,} voxels edited.", "done", can_start=True))

    def drop(self) -> None:
        """Remove the second answer."""
        self._drop_second()
        if self._thought is not None:
            self._viewer.layers.selection.active = self._thought
        self.refresh()

    def _drop_second(self) -> None:
        """Remove the second answer; where it is selected, its result is selected in its place."""
        second, self._second, self._outcome = self._second, None, ""
        if second is not None and second in self._viewer.layers:
            if self._viewer.layers.selection.active is second:
                self._viewer.layers.selection.active = self._thought
            remove_layer(self._viewer, second)
        self._view.set_outcome("", False)

    def _scan(self, request: SegmentRequest | None) -> Image | None:
        """Return the scan's layer, if it is still open."""
        wanted = request.scan if request else ""
        return next((x for x in self._viewer.layers if isinstance(x, Image) and x.unique_id == wanted), None)


def _request_of(layer: Labels | None) -> SegmentRequest | None:
    found = layer.metadata.get(REQUEST) if layer is not None else None
    return found if isinstance(found, SegmentRequest) else None


def _is_second(layer: Labels) -> bool:
    """Tell whether a layer is a second answer about a part of another result."""
    request = _request_of(layer)
    return request is not None and request.shown is not None


def _trace_of(layer: Labels) -> Any:
    from voxtrace.plugin.controllers.current import result_source

    source = result_source(layer)
    return source.trace if source is not None else None


def _changes(base: Labels, second: Labels, box: Box) -> tuple[Any, Any, int, float]:
    """Return indices and values of the changes, the voxels that were compared, and mL of one voxel.

    The second answer is its last; the first is the edited labels where there are some, else the last step.
    """
    shape = tuple(int(n) for n in base.data.shape[1:])
    part = think_longer.display_slices(box, shape)  # type: ignore[arg-type]
    before = np.asarray(base.data[(base.data.stations - 1, *part)])
    after = np.asarray(second.data.station(second.data.n_steps - 1))
    where, values = think_longer.changes_inside(before, after, box, shape)  # type: ignore[arg-type]
    voxel_ml = float(np.prod(base.scale[-3:])) / 1000
    return where, values, int(np.prod(box.shape)), voxel_ml
