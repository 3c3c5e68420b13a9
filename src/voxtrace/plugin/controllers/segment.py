"""Choose a scan and a bundle, run, show the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from napari.layers import Image, Labels

from voxtrace.errors import VoxTraceError
from voxtrace.plugin.controllers.layers import (
    add_layers,
    frames_of,
    hide_earlier,
    known_source,
    shows_ct,
    source_of,
)
from voxtrace.plugin.controllers.timepoints import check_lengths, frames_request
from voxtrace.plugin.layers import contrast
from voxtrace.plugin.layers.display import ImageSource
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import KnownBundle, Shelf, match_channels, suggested
from voxtrace.plugin.models.messages import Options, Segmented, SegmentedFrames, SegmentRequest
from voxtrace.plugin.models.methods import Abilities, Catalogue
from voxtrace.plugin.work import jobs
from voxtrace.plugin.work.events import Advanced, Done, Event, Failed, Job, Runner


class SegmentView(Protocol):
    """The setters of the panel's upper half."""

    def set_bundles(self, names: Sequence[str], chosen: int, sentence: str) -> None:
        """Fill the model picker."""

    def set_channels(self, wanted: Sequence[str], offered: Sequence[str], chosen: Sequence[int | None]) -> None:
        """Show one picker of image layers for each channel the bundle wants."""

    def set_defaults(self, bundle: KnownBundle) -> None:
        """Set the options to what the bundle was made for."""

    def set_abilities(self, abilities: Abilities | None) -> None:
        """Offer what the bundle's method lets a user choose; None where that is not known (yet)."""

    def set_windows(self, is_ct: bool) -> None:
        """Offer CT windows, or not."""

    def set_frames(self, count: int) -> None:
        """Offer to segment every frame of a scan over time, or not."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show what goes on."""


class SegmentController:
    """Joins a viewer, the shelf of bundles, a runner and the panel's upper half."""

    def __init__(
        self,
        viewer: Any,
        shelf: Shelf,
        view: SegmentView,
        runner: Runner,
        on_result: Callable[[Labels, Segmented], None],
        catalogue: Catalogue | None = None,
    ) -> None:
        self._viewer, self._shelf, self._view, self._runner, self._on_result = viewer, shelf, view, runner, on_result
        self._catalogue = catalogue or Catalogue()
        self._abilities: Abilities | None = None
        self._bundle: KnownBundle | None = None
        self._told_bundle: KnownBundle | None = None
        self._picked_bundle = False  # by the user: then a new scan does not change it
        self._picked: dict[int, str] = {}  # channel -> unique id of the layer the user chose for it
        self._chosen: tuple[Image | None, ...] = ()
        self._state = panel_state.PanelState()
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self.refresh)
        shelf.changed.connect(self.refresh)
        self._catalogue.changed.connect(self._learn)
        self.refresh()

    def close(self) -> None:
        """Let go of the viewer."""
        for event in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            event.disconnect(self.refresh)
        self._shelf.changed.disconnect(self.refresh)
        self._catalogue.changed.disconnect(self._learn)

    @property
    def scans(self) -> list[Image]:
        """The image layers that can be segmented, the one on top first."""
        images = [x for x in reversed(self._viewer.layers) if isinstance(x, Image) and not x.rgb]
        return [x for x in images if x.ndim == 3 or frames_of(x) > 1]

    def refresh(self, event: Any = None) -> None:
        """Look at the layers and the shelf again."""
        scans = self.scans
        self._choose_bundle(scans)
        bundle, names = self._bundle, [scan.name for scan in scans]
        indices = match_channels(bundle.channels, names) if bundle else ()
        by_id = {scan.unique_id: i for i, scan in enumerate(scans)}
        indices = tuple(by_id.get(self._picked.get(c, ""), index) for c, index in enumerate(indices))
        before = (self._chosen, self._told_bundle)
        self._chosen = tuple(scans[i] if i is not None else None for i in indices)
        self._told_bundle = bundle
        known = self._shelf.bundles
        self._view.set_bundles([k.name for k in known], known.index(bundle) if bundle else -1, self._sentence)
        self._view.set_channels(bundle.channels if bundle else (), names, indices)
        self._view.set_windows(any(scan is not None and shows_ct(scan) for scan in self._chosen))
        self._view.set_frames(self._frames)
        news = (
            before != (self._chosen, bundle) or self._state.mood == "hint"
        )  # else an error or result stays to be read
        if news and not self._runner.busy:
            self._show(self._idle())

    def _idle(self) -> panel_state.PanelState:
        names = [scan.name if scan is not None else None for scan in self._chosen]
        return panel_state.idle(self._bundle, names, self._frames)

    @property
    def _frames(self) -> int:
        """How many frames over time the chosen scans have; 1 for single volumes."""
        return max((frames_of(scan) for scan in self._chosen if scan is not None), default=1)

    @property
    def _frame(self) -> int:
        """The frame that the slider stands on, counted from 0."""
        dims = self._viewer.dims
        return min(int(dims.current_step[dims.ndim - 4]), self._frames - 1) if self._frames > 1 else 0

    def _choose_bundle(self, scans: Sequence[Image]) -> None:
        known = self._shelf.bundles
        kept = next((k for k in known if self._bundle and k.path == self._bundle.path), None)
        source = known_source(scans[0]) if scans else None
        bundle = (
            kept
            if self._picked_bundle and kept
            else suggested(known, source.volume if source else None, bool(scans) and shows_ct(scans[0]))
        )
        if bundle != self._bundle:
            self._take(bundle)

    def _take(self, bundle: KnownBundle | None) -> None:
        self._bundle = bundle
        if bundle is not None:
            self._view.set_defaults(bundle)
        self._learn(refresh=False)

    def _learn(self, refresh: bool = True) -> None:
        """Ask the catalogue what the bundle's method can do."""
        bundle = self._bundle
        self._abilities = self._catalogue.abilities(bundle.method, bundle.options) if bundle else None
        self._view.set_abilities(self._abilities)
        if refresh:
            self.refresh()

    @property
    def _sentence(self) -> str:
        words = self._abilities.sentence if self._abilities else ""
        return self._bundle.sentence(words) if self._bundle else ""

    def pick_bundle(self, index: int) -> None:
        """Use another bundle of the picker."""
        self._picked_bundle, self._picked = True, {}
        self._take(self._shelf.bundles[index])
        self.refresh()

    def browse(self, folder: str | Path) -> None:
        """Put a bundle folder on the shelf and use it, or say why not."""
        try:
            known = self._shelf.add(folder)
        except VoxTraceError as error:
            self._show(panel_state.failed(str(error)))
            return
        self.pick_bundle(self._shelf.bundles.index(known))

    def pick_channel(self, channel: int, index: int) -> None:
        """Use another image layer for a channel."""
        self._picked[channel] = self.scans[index].unique_id
        self.refresh()

    def set_window(self, name: str) -> None:
        """Set a CT window on the chosen scans."""
        window = next(window for window in contrast.CT_WINDOWS if window.name == name)
        for scan in self._chosen:
            if scan is not None and shows_ct(scan):
                scan.contrast_limits = window.limits_hu

    def start(self, options: Options) -> None:
        """Segment the chosen scans."""
        bundle, scans = self._bundle, [scan for scan in self._chosen if scan is not None]
        if bundle is None or len(scans) != len(bundle.channels):
            self._show(self._idle())
            return
        try:
            job = self._job(options, bundle, scans)
        except VoxTraceError as error:
            self._show(panel_state.failed(str(error)))
            return
        self._show(panel_state.PanelState("Starting …", "busy", busy=True))
        self._runner.start(job, partial(self._hear, scans[0].unique_id))

    def _job(self, options: Options, bundle: KnownBundle, scans: Sequence[Image]) -> Job:
        """Return the work that is asked for; of scans over time a run on each wanted frame."""
        check_lengths(scans)
        frame, count = self._frame, self._frames
        request = self._request(options, bundle, tuple(source_of(scan, frame) for scan in scans), scans[0].unique_id)
        if count == 1:
            return partial(jobs.segment, request)
        frames = range(count) if options.every_frame else (frame,)
        return partial(jobs.segment_frames, frames_request(request, scans, frames, count))

    def _request(
        self, options: Options, bundle: KnownBundle, sources: tuple[ImageSource, ...], scan: str
    ) -> SegmentRequest:
        own = self._abilities.values if self._abilities else {}
        chosen = {name: value for name, value in options.method.items() if own.get(name) != value}
        told = chosen if options.settle is None else {**chosen, "stop_below": options.settle}
        return SegmentRequest(
            bundle=bundle.path,
            channels=sources,
            scan=scan,
            name=panel_state.run_name(sources[0].volume.name, bundle.name, told, options.seed),
            steps=options.steps,
            keep=options.keep,
            mirror=options.mirror,
            settle=options.settle,
            seed=options.seed,
            options=chosen,
        )

    def cancel(self) -> None:
        """Ask the run to stop."""
        self._runner.cancel()
        self._show(panel_state.stopping(self._state))

    def _hear(self, scan: str, event: Event) -> None:
        if isinstance(event, Advanced):
            self._show(panel_state.working(event.progress))
        elif isinstance(event, Failed):
            self._show(panel_state.failed(event.sentence))
        elif isinstance(event, Done):
            self._finish(scan, event.result)
        else:
            self._show(panel_state.PanelState("Stopped. Nothing was changed.", can_start=True))

    def _finish(self, scan: str, result: Segmented | SegmentedFrames) -> None:
        if scan not in {layer.unique_id for layer in self._viewer.layers}:
            self._show(panel_state.PanelState("The scan was closed while it was segmented; the result was dropped."))
            return
        hide_earlier(self._viewer.layers, scan)
        if isinstance(result, SegmentedFrames):
            self._finish_frames(result)
            return
        for data, about, _ in result.extras:
            self._viewer.add_labels(data, **about)
        data, about, _ = result.steps
        steps = self._viewer.add_labels(data, **about)
        self._viewer.layers.selection.active = steps
        self._viewer.dims.set_current_step(self._viewer.dims.ndim - data.ndim, data.shape[0] - 1)
        self._on_result(steps, result)
        self._show(panel_state.finished(data.shape[0], about["axis_labels"][0], result.seconds))

    def _finish_frames(self, result: SegmentedFrames) -> None:
        [layer] = add_layers(self._viewer, [result.layer])
        self._viewer.layers.selection.active = layer
        if len(result.frames) == 1:
            self._viewer.dims.set_current_step(self._viewer.dims.ndim - 4, result.frames[0])
        self._show(panel_state.finished_frames(result.frames, result.count, result.seconds))

    def _show(self, state: panel_state.PanelState) -> None:
        self._state = state
        self._view.show_state(state)
