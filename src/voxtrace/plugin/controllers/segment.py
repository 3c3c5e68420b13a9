"""Choose a scan and a model, run the prediction and show the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from napari.layers import Image, Labels

from voxtrace.errors import VoxTraceError
from voxtrace.inference.options import PredictOptions
from voxtrace.plugin.controllers import regions
from voxtrace.plugin.controllers.layers import known_source, source_of, timepoint_count
from voxtrace.plugin.controllers.model_choice import Background, ModelChoice, at_once
from voxtrace.plugin.controllers.scan_choice import ScanChoice
from voxtrace.plugin.controllers.segment_run import SegmentRun
from voxtrace.plugin.controllers.timepoints import check_lengths, timepoints_request
from voxtrace.plugin.layers.display import ImageSource
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import BundleRegistry, KnownBundle
from voxtrace.plugin.models.messages import SegmentRequest, SegmentResult
from voxtrace.plugin.models.methods import Capabilities, MethodRegistry
from voxtrace.plugin.models.model_cards import ModelCard
from voxtrace.plugin.models.region import Box, box_words
from voxtrace.plugin.models.scan_rows import ChannelChoice, ScanRow, channels_sentence
from voxtrace.plugin.work import jobs
from voxtrace.plugin.work.events import Job, Runner
from voxtrace.plugin.work.verdicts import FitQuestion


class SegmentView(Protocol):
    """The setters of the panel's upper part."""

    def set_scans(self, scans: Sequence[ScanRow], chosen: int | None) -> None:
        """Fill the scan picker."""

    def set_bundles(self, cards: Sequence[ModelCard], chosen: int) -> None:
        """Fill the model picker."""

    def set_channels(self, channels: Sequence[ChannelChoice], scans: Sequence[str], sentence: str) -> None:
        """Show a picker of images for each channel of a model with several, and what was taken unasked."""

    def set_defaults(self, bundle: KnownBundle) -> None:
        """Set the options to the defaults of the bundle."""

    def set_capabilities(self, capabilities: Capabilities | None) -> None:
        """Offer what can be chosen with the bundle's method; None where it is unknown or not loaded yet."""

    def set_region_size(self, shape: Sequence[int]) -> None:
        """Set the largest slice, row and column of a region."""

    def set_timepoints(self, count: int) -> None:
        """Offer to segment every time point of a scan, where it has several."""

    def show_models(self) -> None:
        """Unfold the model picker."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show the state."""


class SegmentController:
    """Connects a viewer, the bundles, the methods, a runner and the panel's upper part.

    Parameters
    ----------
    on_result
        Called with the layer of a result and the result.
    background
        Runs what reads voxels to find out which models fit.
    open_scan
        Asks for a scan and opens it.
    """

    def __init__(
        self,
        viewer: Any,
        bundles: BundleRegistry,
        view: SegmentView,
        runner: Runner,
        on_result: Callable[[Labels, SegmentResult], None],
        methods: MethodRegistry | None = None,
        background: Background = at_once,
        open_scan: Callable[[], None] = lambda: None,
    ) -> None:
        self._viewer, self._view, self._open_scan = viewer, view, open_scan
        self._bundles, self._methods = bundles, methods or MethodRegistry()
        self.scan_choice, self.models = ScanChoice(viewer), ModelChoice(bundles, background)
        self.run = SegmentRun(viewer, runner, self._show, on_result)
        self._capabilities: Capabilities | None = None
        self._bundle: KnownBundle | None = None
        self._shown: Any = None  # scan, images and model that the state was made for
        self._region: tuple[regions.RegionKind, tuple[int, ...]] = ("whole", ())
        self._confirmed: set[tuple[Path, str]] = set()  # models that are used on a scan although they do not fit
        self._asked: tuple[PredictOptions, bool] = (PredictOptions(), False)
        self._state = panel_state.PanelState()
        for changed in self._signals:
            changed.connect(self.refresh)
        self._methods.changed.connect(self._update_capabilities)
        self.refresh()

    @property
    def _signals(self) -> tuple[Any, ...]:
        return self.scan_choice.changed, self.models.changed

    def close(self) -> None:
        """Disconnect from the viewer and the registries, and stop a run."""
        for changed in self._signals:
            changed.disconnect(self.refresh)
        self._methods.changed.disconnect(self._update_capabilities)
        for part in (self.scan_choice, self.models, self.run):
            part.close()

    @property
    def scans(self) -> list[Image]:
        """The image layers that can be segmented, from top to bottom."""
        return self.scan_choice.scans

    def refresh(self, event: Any = None) -> None:
        """Update from the current layers, bundles and verdicts."""
        self.models.ask(self._images_by_model(), self._question)
        bundle = self.models.chosen
        if bundle != self._bundle:
            self._take(bundle)
        rows, chosen = self.scan_choice.rows, self.scan_choice.chosen
        choices = self._choices
        order = self.models.order
        self._view.set_scans(rows, chosen)
        self._view.set_bundles(self.models.cards(self._method_words), order.index(bundle) if bundle in order else -1)
        self._view.set_channels(choices, [row.name for row in rows], channels_sentence(choices, rows))
        self._view.set_timepoints(self._timepoint_count)
        if chosen is not None:
            self._view.set_region_size(self.scans[chosen].data.shape[-3:])
        self._refresh_state([row.key for row in rows], chosen)

    def _refresh_state(self, keys: Sequence[str], chosen: int | None) -> None:
        """Show what to do next, unless a run goes on or its outcome still holds."""
        bundle = self._bundle
        now = (
            keys[chosen] if chosen is not None else "",
            [choice.index is not None and keys[choice.index] for choice in self._choices],
            bundle.path if bundle else None,
            self.models.verdict.fit.verdict if self.models.verdict else "",
        )
        open_layers = {layer.unique_id for layer in self._viewer.layers}
        outdated = self._state.level == "done" and self.run.result not in open_layers
        if not self.run.busy and (now != self._shown or self._state.level == "hint" or outdated):
            self._show(self._idle())
        self._shown = now

    def _method_words(self, known: KnownBundle) -> str:
        able = self._methods.capabilities(known.method, known.options)
        return able.sentence if able else ""

    @property
    def _choices(self) -> tuple[ChannelChoice, ...]:
        return self.scan_choice.channels(self._bundle.channels) if self._bundle is not None else ()

    def _images_by_model(self) -> dict[Path, tuple[str, ...]]:
        """Return folder of a model -> unique ids of the images that it would get; models without any are left out.

        The last entry tells whether they were picked by hand.
        """
        by_hand = "picked" if self.scan_choice.picked_a_channel else ""
        found = {}
        for known in self._bundles.bundles:
            if images := self._images(self.scan_choice.channels(known.channels)):
                found[known.path] = (*(image.unique_id for image in images), by_hand)
        return found

    def _question(self, known: KnownBundle) -> FitQuestion | None:
        """Return what to ask about a model; None where an image is a layer of another plugin that is no scan."""
        images = self._images(self.scan_choice.channels(known.channels))
        try:
            sources = tuple(known_source(image) or source_of(image) for image in images)
        except VoxTraceError:
            return None
        several = len(sources[0].volume.data)
        if len(known.channels) == 1 and several > 1 and not self.scan_choice.picked_a_channel:
            # a scan of more channels than the model takes: all of them are compared
            sources = tuple(ImageSource(sources[0].volume, channel) for channel in range(several))
        return FitQuestion(known.path, known.record, sources)

    def _images(self, choices: Sequence[ChannelChoice]) -> list[Image]:
        scans = self.scans
        return [scans[choice.index] for choice in choices if choice.index is not None]

    def _idle(self) -> panel_state.PanelState:
        names = [choice.name if choice.index is not None else None for choice in self._choices]
        counts = len(self.scans), len(self._bundles.bundles)
        state = panel_state.idle(self._bundle, names, self._timepoint_count, *counts)
        verdict = self.models.verdict
        doubtful = state.can_start and verdict is not None and verdict.fit.verdict != "fits"
        caution = panel_state.caution(verdict.fit) if verdict is not None and doubtful else ""
        return replace(state, message=" ".join(filter(None, (self.run.note, state.message, caution))))

    @property
    def _timepoint_count(self) -> int:
        """The number of time points of the chosen scans; 1 for single volumes."""
        chosen = self.scan_choice.chosen
        images = self._images(self._choices) or ([self.scans[chosen]] if chosen is not None else [])
        return max((timepoint_count(image) for image in images), default=1)

    @property
    def _timepoint(self) -> int:
        """The time point under the slider, counted from 0."""
        return min(self.scan_choice.timepoint, self._timepoint_count - 1) if self._timepoint_count > 1 else 0

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

    def pick_scan(self, index: int) -> None:
        """Segment another scan."""
        self.run.note = ""
        self.scan_choice.pick(index)

    def pick_bundle(self, index: int) -> None:
        """Use another model of the picker; the scan stays."""
        self.run.note = ""
        self.scan_choice.forget_channels()
        self.models.pick(index)

    def browse(self, folder: str | Path) -> None:
        """Add a bundle folder and use it, or show why it cannot be used."""
        try:
            known = self._bundles.add(folder)
        except VoxTraceError as error:
            self._show(panel_state.failed(str(error)))
            return
        self.models.pick_bundle(known)

    def pick_channel(self, channel: int, index: int) -> None:
        """Use another image layer for a channel."""
        self.scan_choice.pick_channel(channel, index)

    def pick_region(self, kind: regions.RegionKind, numbers: Sequence[int] = ()) -> None:
        """Segment a part of the scan from now on; see :func:`voxtrace.plugin.controllers.regions.region_box`."""
        self._region = (kind, tuple(numbers))

    def draw_region(self) -> None:
        """Let a rectangle be drawn over the scan."""
        if (chosen := self.scan_choice.chosen) is not None:
            regions.start_drawing(self._viewer, self.scans[chosen])

    def start(self, options: PredictOptions, every_timepoint: bool = False) -> None:
        """Segment the chosen scans; of scans over time the time point under the slider, or every one."""
        bundle, scans = self._bundle, self._images(self._choices)
        self._asked = (options, every_timepoint)
        if self.run.busy:
            return
        if bundle is None or len(scans) != len(bundle.channels):
            self._show(self._idle())
            return
        if not self._may_run(bundle, scans[0]):
            return
        try:
            job = self._job(options, bundle, scans, every_timepoint)
        except VoxTraceError as error:
            self._show(panel_state.failed(str(error)))
            return
        verdict = self.models.verdict
        self.run.start(job, scans[0].unique_id, verdict.seconds if verdict else None)

    def _may_run(self, bundle: KnownBundle, scan: Image) -> bool:
        """Tell whether the model fits or was confirmed; otherwise ask."""
        verdict = self.models.verdict
        key = (bundle.path, scan.unique_id)
        if verdict is None or verdict.fit.verdict != "does not fit" or key in self._confirmed:
            return True
        self._show(panel_state.asks_anyway(bundle.name, verdict.fit))
        return False

    def help(self, key: str) -> None:
        """Do what the button beside a message says, see :data:`voxtrace.plugin.models.panel_state.REMEDIES`."""
        options, every_timepoint = self._asked
        if key == "open":
            self._open_scan()
        elif key == "model":
            self._view.show_models()
        elif key == panel_state.ANYWAY.key:
            self._confirm()
            self.start(options, every_timepoint)
        else:
            self.start(replace(options, **panel_state.REMEDY_OPTIONS[key]), every_timepoint)

    def _confirm(self) -> None:
        if self._bundle is not None and (scans := self._images(self._choices)):
            self._confirmed.add((self._bundle.path, scans[0].unique_id))

    def _job(self, options: PredictOptions, bundle: KnownBundle, scans: Sequence[Image], every_timepoint: bool) -> Job:
        """Return the job for the chosen scans; for scans over time, a run on each requested time point."""
        check_lengths(scans)
        timepoint, count = self._timepoint, self._timepoint_count
        kind, numbers = self._region
        request = self._request(
            options,
            bundle,
            tuple(source_of(scan, timepoint) for scan in scans),
            scans[0].unique_id,
            regions.region_box(self._viewer, scans[0], kind, numbers),
        )
        if count == 1:
            return partial(jobs.segment, request)
        timepoints = range(count) if every_timepoint else (timepoint,)
        return partial(jobs.segment_timepoints, timepoints_request(request, scans, timepoints, count))

    def _request(
        self,
        options: PredictOptions,
        bundle: KnownBundle,
        sources: tuple[ImageSource, ...],
        scan: str,
        box: Box | None,
    ) -> SegmentRequest:
        own = self._capabilities.values if self._capabilities else {}
        changed = {name: value for name, value in options.method_options.items() if own.get(name) != value}
        options = replace(options, method_options=changed)
        where = box_words(box, sources[0].volume.geometry.shape) if box is not None else ""
        name = panel_state.run_name(sources[0].volume.name, bundle.name, options, where)
        return SegmentRequest(bundle.path, sources, scan, name, options, box)

    def cancel(self) -> None:
        """Stop the run."""
        self.run.cancel()

    def _show(self, state: panel_state.PanelState) -> None:
        self._state = state
        self._view.show_state(state)
