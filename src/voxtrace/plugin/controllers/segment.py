"""Choose a scan and a bundle, run the prediction and show the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from napari.layers import Image, Labels

from voxtrace.errors import VoxTraceError
from voxtrace.inference.options import PredictOptions
from voxtrace.plugin.controllers.layers import (
    add_layers,
    hide_previous_results,
    known_source,
    shows_ct,
    source_of,
    timepoint_count,
)
from voxtrace.plugin.controllers.timepoints import check_lengths, timepoints_request
from voxtrace.plugin.layers import contrast
from voxtrace.plugin.layers.display import ImageSource
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import BundleRegistry, KnownBundle, match_channels, suggested
from voxtrace.plugin.models.messages import SegmentRequest, SegmentResult, TimepointsResult
from voxtrace.plugin.models.methods import Capabilities, MethodRegistry
from voxtrace.plugin.work import jobs
from voxtrace.plugin.work.events import Done, Event, Failed, Job, Progressed, Runner


class SegmentView(Protocol):
    """The setters of the panel's upper half."""

    def set_bundles(self, names: Sequence[str], chosen: int, sentence: str) -> None:
        """Fill the model picker."""

    def set_channels(self, wanted: Sequence[str], offered: Sequence[str], chosen: Sequence[int | None]) -> None:
        """Show one picker of image layers for each channel that the bundle needs."""

    def set_defaults(self, bundle: KnownBundle) -> None:
        """Set the options to the defaults of the bundle."""

    def set_capabilities(self, capabilities: Capabilities | None) -> None:
        """Offer what can be chosen with the bundle's method; None where it is unknown or not loaded yet."""

    def set_presets(self, is_ct: bool) -> None:
        """Show or hide the CT contrast presets."""

    def set_timepoints(self, count: int) -> None:
        """Offer to segment every time point of a scan, where it has several."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show the state."""


class SegmentController:
    """Connects a viewer, the bundles, the methods, a runner and the panel's upper half."""

    def __init__(
        self,
        viewer: Any,
        bundles: BundleRegistry,
        view: SegmentView,
        runner: Runner,
        on_result: Callable[[Labels, SegmentResult], None],
        methods: MethodRegistry | None = None,
    ) -> None:
        self._viewer, self._view, self._runner, self._on_result = viewer, view, runner, on_result
        self._bundles, self._methods = bundles, methods or MethodRegistry()
        self._capabilities: Capabilities | None = None
        self._bundle: KnownBundle | None = None
        self._shown_bundle: KnownBundle | None = None
        self._picked_bundle = False  # by the user: then a new scan does not change it
        self._picked: dict[int, str] = {}  # channel -> unique id of the layer the user chose for it
        self._chosen: tuple[Image | None, ...] = ()
        self._state = panel_state.PanelState()
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self.refresh)
        bundles.changed.connect(self.refresh)
        self._methods.changed.connect(self._update_capabilities)
        self.refresh()

    def close(self) -> None:
        """Disconnect from the viewer and the registries."""
        for event in (self._viewer.layers.events.inserted, self._viewer.layers.events.removed):
            event.disconnect(self.refresh)
        self._bundles.changed.disconnect(self.refresh)
        self._methods.changed.disconnect(self._update_capabilities)

    @property
    def scans(self) -> list[Image]:
        """The image layers that can be segmented, from top to bottom."""
        images = [x for x in reversed(self._viewer.layers) if isinstance(x, Image) and not x.rgb]
        return [x for x in images if x.ndim == 3 or timepoint_count(x) > 1]

    def refresh(self, event: Any = None) -> None:
        """Update from the current layers and bundles."""
        scans = self.scans
        self._choose_bundle(scans)
        bundle, names = self._bundle, [scan.name for scan in scans]
        indices = match_channels(bundle.channels, names) if bundle else ()
        by_id = {scan.unique_id: i for i, scan in enumerate(scans)}
        indices = tuple(by_id.get(self._picked.get(c, ""), index) for c, index in enumerate(indices))
        before = (self._chosen, self._shown_bundle)
        self._chosen = tuple(scans[i] if i is not None else None for i in indices)
        self._shown_bundle = bundle
        known = self._bundles.bundles
        self._view.set_bundles([k.name for k in known], known.index(bundle) if bundle else -1, self._sentence)
        self._view.set_channels(bundle.channels if bundle else (), names, indices)
        self._view.set_presets(any(scan is not None and shows_ct(scan) for scan in self._chosen))
        self._view.set_timepoints(self._timepoint_count)
        is_new = before != (self._chosen, bundle)
        if (is_new or self._state.level == "hint") and not self._runner.busy:  # an error or a result stays visible
            self._show(self._idle())

    def _idle(self) -> panel_state.PanelState:
        names = [scan.name if scan is not None else None for scan in self._chosen]
        return panel_state.idle(self._bundle, names, self._timepoint_count)

    @property
    def _timepoint_count(self) -> int:
        """The number of time points of the chosen scans; 1 for single volumes."""
        return max((timepoint_count(scan) for scan in self._chosen if scan is not None), default=1)

    @property
    def _timepoint(self) -> int:
        """The time point under the slider, counted from 0."""
        dims = self._viewer.dims
        return min(int(dims.current_step[dims.ndim - 4]), self._timepoint_count - 1) if self._timepoint_count > 1 else 0

    def _choose_bundle(self, scans: Sequence[Image]) -> None:
        known = self._bundles.bundles
        kept = next((k for k in known if self._bundle and k.path == self._bundle.path), None)
        source = known_source(scans[0]) if scans else None
        bundle = kept if self._picked_bundle else None
        if bundle is None:
            bundle = suggested(known, source.volume if source else None, bool(scans) and shows_ct(scans[0]))
        if bundle != self._bundle:
            self._take(bundle)

    def _take(self, bundle: KnownBundle | None) -> None:
        self._bundle = bundle
        if bundle is not None:
            self._view.set_defaults(bundle)
        self._update_capabilities(refresh=False)

    def _update_capabilities(self, refresh: bool = True) -> None:
        """Update what can be chosen with the bundle's method."""
        bundle = self._bundle
        self._capabilities = self._methods.capabilities(bundle.method, bundle.options) if bundle else None
        self._view.set_capabilities(self._capabilities)
        if refresh:
            self.refresh()

    @property
    def _sentence(self) -> str:
        words = self._capabilities.sentence if self._capabilities else ""
        return self._bundle.sentence(words) if self._bundle else ""

    def pick_bundle(self, index: int) -> None:
        """Use another bundle of the picker."""
        self._picked_bundle, self._picked = True, {}
        self._take(self._bundles.bundles[index])
        self.refresh()

    def browse(self, folder: str | Path) -> None:
        """Add a bundle folder and use it, or show why it cannot be used."""
        try:
            known = self._bundles.add(folder)
        except VoxTraceError as error:
            self._show(panel_state.failed(str(error)))
            return
        self.pick_bundle(self._bundles.bundles.index(known))

    def pick_channel(self, channel: int, index: int) -> None:
        """Use another image layer for a channel."""
        self._picked[channel] = self.scans[index].unique_id
        self.refresh()

    def set_preset(self, name: str) -> None:
        """Apply a contrast preset to the chosen CT scans."""
        preset = next(preset for preset in contrast.CT_PRESETS if preset.name == name)
        for scan in self._chosen:
            if scan is not None and shows_ct(scan):
                scan.contrast_limits = preset.limits_hu

    def start(self, options: PredictOptions, every_timepoint: bool = False) -> None:
        """Segment the chosen scans; of scans over time the time point under the slider, or every one."""
        bundle, scans = self._bundle, [scan for scan in self._chosen if scan is not None]
        if bundle is None or len(scans) != len(bundle.channels):
            self._show(self._idle())
            return
        try:
            job = self._job(options, bundle, scans, every_timepoint)
        except VoxTraceError as error:
            self._show(panel_state.failed(str(error)))
            return
        self._show(panel_state.PanelState("Starting …", "busy", busy=True))
        self._runner.start(job, partial(self._on_event, scans[0].unique_id))

    def _job(self, options: PredictOptions, bundle: KnownBundle, scans: Sequence[Image], every_timepoint: bool) -> Job:
        """Return the job for the chosen scans; for scans over time, a run on each requested time point."""
        check_lengths(scans)
        timepoint, count = self._timepoint, self._timepoint_count
        request = self._request(
            options, bundle, tuple(source_of(scan, timepoint) for scan in scans), scans[0].unique_id
        )
        if count == 1:
            return partial(jobs.segment, request)
        timepoints = range(count) if every_timepoint else (timepoint,)
        return partial(jobs.segment_timepoints, timepoints_request(request, scans, timepoints, count))

    def _request(
        self, options: PredictOptions, bundle: KnownBundle, sources: tuple[ImageSource, ...], scan: str
    ) -> SegmentRequest:
        own = self._capabilities.values if self._capabilities else {}
        changed = {name: value for name, value in options.method_options.items() if own.get(name) != value}
        options = replace(options, method_options=changed)
        name = panel_state.run_name(sources[0].volume.name, bundle.name, options)
        return SegmentRequest(bundle.path, sources, scan, name, options)

    def cancel(self) -> None:
        """Ask the run to stop."""
        self._runner.cancel()
        self._show(panel_state.stopping(self._state))

    def _on_event(self, scan: str, event: Event) -> None:
        if isinstance(event, Progressed):
            self._show(panel_state.working(event.progress))
        elif isinstance(event, Failed):
            self._show(panel_state.failed(event.sentence))
        elif isinstance(event, Done):
            self._finish(scan, event.result)
        else:
            self._show(panel_state.PanelState("Stopped. Nothing was changed.", can_start=True))

    def _finish(self, scan: str, result: SegmentResult | TimepointsResult) -> None:
        if scan not in {layer.unique_id for layer in self._viewer.layers}:
            self._show(panel_state.PanelState("The scan was closed while it was segmented; the result was dropped."))
            return
        hide_previous_results(self._viewer.layers, scan)
        if isinstance(result, TimepointsResult):
            self._finish_timepoints(result)
            return
        add_layers(self._viewer, result.beside)
        data, about, _ = result.steps
        steps = self._viewer.add_labels(data, **about)
        self._viewer.layers.selection.active = steps
        self._viewer.dims.set_current_step(self._viewer.dims.ndim - data.ndim, data.shape[0] - 1)
        self._on_result(steps, result)
        self._show(panel_state.finished(data.shape[0], about["axis_labels"][0], result.seconds))

    def _finish_timepoints(self, result: TimepointsResult) -> None:
        [layer] = add_layers(self._viewer, [result.layer])
        self._viewer.layers.selection.active = layer
        if len(result.timepoints) == 1:
            self._viewer.dims.set_current_step(self._viewer.dims.ndim - 4, result.timepoints[0])
        self._show(panel_state.finished_timepoints(result.timepoints, result.count, result.seconds))

    def _show(self, state: panel_state.PanelState) -> None:
        self._state = state
        self._view.show_state(state)
