"""SlidingWindow: one volume through one method, row after row of windows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from voxtrace.inference.accumulator import PlaneAccumulator
from voxtrace.inference.blas_threads import single_threaded_blas
from voxtrace.inference.cancel_check import CancelCheck
from voxtrace.inference.common_answer import CommonAnswer
from voxtrace.inference.label_writer import LabelWriter, PlaneOutput
from voxtrace.inference.ops import ops_for
from voxtrace.inference.options import PredictOptions
from voxtrace.inference.plane_prefetch import PlanePrefetch
from voxtrace.inference.probabilities import ProbabilityPlanes, Probe
from voxtrace.inference.resample_back import LabelResampler
from voxtrace.inference.resample_maps import MapResampler
from voxtrace.inference.score_plane import Average, label_type
from voxtrace.inference.second_choice import MARGIN, SecondChoice
from voxtrace.inference.slice_facts import SliceFacts
from voxtrace.inference.step_runner import (
    CALIBRATED_UNITS,
    EARLY_STOP_UNITS,
    UNITS,
    Flip,
    StepResult,
    StepRunner,
    flips,
)
from voxtrace.inference.timing import StageTimer
from voxtrace.inference.window_facts import Table, WindowFacts, clipped_boxes, unpadded
from voxtrace.method import Method
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.preprocess import LabelPaster, NetworkGrid, PlaneStream
from voxtrace.runtime import LoadedNetwork
from voxtrace.trace import Recorder
from voxtrace.volume import Array
from voxtrace.windows import Decision, Row, Schedule, Window, Windowing, count_windows, everything


class Member(NamedTuple):
    """One of the networks whose results are averaged (``opened``), and the index of its input among the plane streams.

    Networks with the same normalisation read the same stream. ``temperature`` is what its logits are divided by before
    their entropy is worked out.
    """

    opened: LoadedNetwork
    stream: int
    temperature: float = 1.0


@dataclass
class SlidingWindow:
    """Everything that is fixed while a volume is segmented, and the facts that are gathered meanwhile.

    Attributes
    ----------
    method, plan, grid, members
        The algorithm, what its networks were built for, the network grid of the volume, and the networks.
    options
        How to predict.
    mirror, overlap, batch
        Those of ``options``, or what stands for them where they are None.
    probe
        Is shown the probabilities of the last step, see :class:`ProbabilityPlanes`; None for nobody.
    check
        Looks between small pieces of work whether to stop.
    skipped, discarded
        Windows that the schedule left out, and those that ran without a use for their results.
    """

    method: Method
    plan: Plan
    grid: NetworkGrid
    members: Sequence[Member]
    options: PredictOptions
    mirror: bool
    overlap: float
    batch: int
    probe: Probe | None = None
    timer: StageTimer = field(default_factory=StageTimer)
    check: CancelCheck = field(default_factory=CancelCheck)
    skipped: list[Window] = field(default_factory=list)
    discarded: list[Window] = field(default_factory=list)

    @cached_property
    def windowing(self) -> Windowing:
        """How windows cover the grid."""
        return self.method.windowing(self.plan)

    @property
    def opened(self) -> LoadedNetwork:
        """The first network; all run on the same device."""
        return self.members[0].opened

    @property
    def every_step(self) -> bool:
        """Whether labels, maps and slice facts of all steps are kept, or those of the last one."""
        return self.options.keep != "last"

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the extras that are kept."""
        return self.method.extras if self.options.keep == "all" else ()

    @property
    def label_maps(self) -> tuple[str, ...]:
        """Names of the maps with a number per label that are kept."""
        return tuple(self.method.label_maps) if self.options.keep == "all" else ()

    @cached_property
    def map_units(self) -> dict[str, str]:
        """Units of all scalar maps by name: the method's own, then one for each label, e.g. "noisy · liver"."""
        labels = [name for value, name in sorted(self.plan.labels.items()) if value]
        by_label = {f"{name} · {label}": self.method.label_maps[name] for name in self.label_maps for label in labels}
        return {**self.method.maps, **by_label}

    @property
    def keeps_second(self) -> bool:
        """Whether the second choice of each voxel is kept; regions that overlap have none."""
        return self.every_step and not self._paints

    @property
    def kept(self) -> int:
        """Number of steps whose labels, maps and slice facts are kept: all or one."""
        return self.method.steps if self.every_step else 1

    @cached_property
    def window_facts(self) -> WindowFacts:
        """Facts of the windows visited so far."""
        return WindowFacts({**self._engine_units, **self.method.facts})

    @cached_property
    def slice_facts(self) -> SliceFacts:
        """Facts of the slices that the windows visited so far lie on."""
        blend = self.windowing.blend(self.plan.window)
        return SliceFacts(self.method.slice_facts, self.kept, self.grid, blend)

    @property
    def n_windows(self) -> int:
        """Windows of the even lattice; an adaptive schedule visits fewer."""
        return count_windows(self.grid.padded_shape, self.plan.window, self.overlap)

    def windows(self, streams: Sequence[PlaneStream], recorder: Recorder) -> Iterator[int]:
        """Visit every window, hand finished planes to the recorder, yield how many windows are done."""
        accumulator, output = self._accumulator(), self._output(recorder)
        yield 0
        with (
            single_threaded_blas.limited(),
            ThreadPoolExecutor(1, thread_name_prefix="voxtrace-planes") as executor,
            LabelWriter.opened(accumulator, output, self.timer) as writer,
        ):
            prefetch = [PlanePrefetch(planes, executor, self.check) for planes in streams]
            rows = self.windowing.schedule(self.grid.padded_shape, self.plan.window, self.overlap)
            row: Row | None = next(rows, None)
            while row is not None:
                # Rows come in ascending z, so no further window covers the planes before this one.
                writer.finish(row[0].z)
                with self.timer("planes"):
                    images = [planes.between(row[0].z, row[-1].z + self.plan.window[0]) for planes in prefetch]
                decided: list[Decision] = []
                for first in range(0, len(row), self.batch):
                    decided += self._decide(row[first : first + self.batch], images, row[0].z, writer)
                    yield len(self.window_facts.windows)
                row = self._next_row(rows, decided)
            writer.finish(self.grid.padded_shape[0])

    def _next_row(self, rows: Schedule, decided: Sequence[Decision]) -> Row | None:
        try:
            return rows.send(decided)
        except StopIteration as stop:
            self.skipped += stop.value or ()
            return None

    @property
    def _average(self) -> Average:
        return self.plan.view.average if self.plan.view else "probabilities"

    @property
    def _paints(self) -> tuple[int, ...]:
        """The value with which each region is painted; () where the network gives each voxel one label."""
        return tuple(region.paints for region in self.plan.regions)

    def _accumulator(self) -> PlaneAccumulator:
        return PlaneAccumulator(
            self.kept * (1 + len(self.shown)),
            self.plan.n_outputs,
            self.plan.window,
            self.grid.padded_shape[1:],
            self.opened.device,
            self.windowing.blend,
            self.windowing.slices,
            self._average,
            (self.kept, len(self.map_units)),
            self._paints,
            self.probe is not None,
            MARGIN if self.keeps_second else 0.0,
        )

    def _output(self, recorder: Recorder) -> PlaneOutput:
        labels = LabelResampler(self.grid, self.plan.n_outputs, self.opened.device, self._average, self._paints)
        maps = MapResampler(self.grid) if self.map_units else None
        second = SecondChoice(self.grid, self.kept, self._average) if self.keeps_second else None
        placer = LabelPaster(self.grid.crop_order)
        return PlaneOutput(labels, placer, recorder, maps, self._probed(), self.check, second)

    def _probed(self) -> ProbabilityPlanes | None:
        """Return what shows the last step's probabilities to whoever asked for them."""
        if self.probe is None:
            return None
        # of several networks the mean of what stands in the exponents
        temperature = math.exp(float(np.mean([math.log(member.temperature) for member in self.members])))
        return ProbabilityPlanes(self.grid, self.kept - 1, self._average, temperature, self.probe, bool(self._paints))

    def _decide(
        self, windows: Sequence[Window], images: Sequence[Array], first_z: int, writer: LabelWriter
    ) -> list[Decision]:
        """Run one batch of windows, accumulate what is kept of them, and return the decisions for the schedule."""
        with torch.inference_mode():
            cuts = [torch.from_numpy(self._cut(windows, planes, first_z)).to(self.opened.device) for planes in images]
            runs = list(product(self.members, flips(self.plan.mirror_axes if self.mirror else (), self.plan.window)))
            # one network's labels are known; what all say together is worked out only where somebody asks
            asked = len(runs) > 1 and self.windowing.reads_answers
            common = CommonAnswer(self._average, self._paints) if asked else None
            passes = [self._pass(member, flip, windows, cuts[member.stream], writer, common) for member, flip in runs]
            labels = passes[0].labels if common is None else self._on_cpu(common.labels())
            # Facts of the method are those of the first pass: the mean of two chosen networks is no network.
            table = dict(passes[0].table)
            table |= {name: np.mean([p.table[name] for p in passes], axis=0) for name in self._engine_units}
            decided = [
                Decision(w, {name: float(v[-1, b]) for name, v in table.items()}, labels[b])
                for b, w in enumerate(windows)
            ]
            self.discarded += [d.window for d in decided if not self.windowing.keeps(d)]
            for pass_ in passes:
                self._add_waiting(pass_, decided, writer)
        self.window_facts.add(windows, table)
        return decided

    def _on_cpu(self, labels: Tensor) -> Array:
        return labels.cpu().numpy().astype(label_type(self.plan.n_labels), copy=False)

    def _pass(
        self,
        member: Member,
        flip: Flip,
        windows: Sequence[Window],
        images: Tensor,
        writer: LabelWriter,
        common: CommonAnswer | None,
    ) -> _PassResult:
        """Run the steps for one mirroring; results are added at once unless the schedule may discard them.

        The last step is also added to the ``common`` answer, if that is asked for.
        """
        table = {name: np.full((self.method.steps, len(windows)), np.nan) for name in self.window_facts.units}
        noise = GridNoise(self.options.seed, unpadded(windows, self.grid), self.plan.window, flip, member.opened.device)
        # Only a schedule that may discard windows has to see the last step before the first is accumulated.
        at_once, waiting = self.windowing.keeps is everything, list[StepResult]()
        temperature = member.temperature if self._calibrated else None
        for result in self._runner.results(member.opened.parts, images, noise, flip, temperature):
            for name, values in result.facts.items():
                table[name][result.step] = values.double().cpu().numpy()
            if self.every_step or result.step == self.method.steps - 1:
                if at_once:
                    self._add(result, windows, writer)
                else:
                    waiting.append(result)
        for window in windows if at_once else ():
            writer.count(window)
        if common is not None:
            common.add(result.logits)
        return _PassResult(table, self._on_cpu(result.labels), waiting)

    @cached_property
    def _runner(self) -> StepRunner:
        ops = ops_for(self.opened.device, self._paints, self._average)
        settle, label_maps = self.options.settle, self.label_maps
        return StepRunner(self.method, ops, self.timer, self.shown, settle, label_maps, self.check)

    def _add(self, result: StepResult, windows: Sequence[Window | None], writer: LabelWriter) -> None:
        """Accumulate a step's logits, extras, maps and slice facts for the windows that are not None."""
        step = result.step if self.every_step else 0
        self.check()
        for layer, logits in enumerate([result.logits, *(result.extras[name] for name in self.shown)]):
            for b, window in enumerate(windows):
                if window is not None:
                    writer.add(layer * self.kept + step, window, logits, b)
        for b, window in enumerate(windows):
            if window is not None and result.maps is not None:
                writer.add_maps(step, window, result.maps[b])
            if window is not None and result.slice_facts is not None:
                self.slice_facts.add(step, window.z, result.slice_facts[b].double().cpu().numpy())

    def _add_waiting(self, pass_: _PassResult, decided: Sequence[Decision], writer: LabelWriter) -> None:
        """Accumulate the results that waited until the schedule's decision about their windows was known."""
        if not pass_.waiting:
            return
        kept = [d.window if self.windowing.keeps(d) else None for d in decided]
        for result in pass_.waiting:
            self._add(result, kept, writer)
        for window in kept:
            if window is not None:
                writer.count(window)

    def _cut(self, windows: Sequence[Window], images: Array, first_z: int) -> Array:
        """Return the windows (B, C, Z, Y, X) of planes (C, n, Y, X) that begin at ``first_z``."""
        depth, height, width = self.plan.window
        inside = [(w.z - first_z, w.y, w.x) for w in windows]
        return np.stack([images[:, z : z + depth, y : y + height, x : x + width] for z, y, x in inside])

    @property
    def _engine_units(self) -> Mapping[str, str]:
        units = {**UNITS, **CALIBRATED_UNITS} if self._calibrated else UNITS
        return units if self.options.settle is None else {**units, **EARLY_STOP_UNITS}

    @property
    def _calibrated(self) -> bool:
        return any(member.temperature != 1.0 for member in self.members)

    def facts(self) -> tuple[dict[str, Array], Array, dict[str, str]]:
        """Return facts (S, W) by name, window boxes (W, 6) clipped to the network grid, and all units by name."""
        units = {**self.window_facts.units, **self.method.slice_facts, **self.map_units}
        boxes = clipped_boxes(self.window_facts.windows, self.grid, self.plan.window)
        return self.window_facts.values(), boxes, units

    def window_sets(self) -> dict[str, Array]:
        """Return boxes (N, 6) of windows that gave nothing to the answer, by what became of them."""
        sets = {"skipped": self.skipped, "discarded": self.discarded}
        return {name: clipped_boxes(found, self.grid, self.plan.window) for name, found in sets.items() if found}

    def record(self) -> dict[str, Any]:
        """Return the settings of this run and its seconds by stage, for the ledger and the report."""
        return {
            "windows": len(self.window_facts.windows),
            "steps": self.method.steps,
            "runtime": self.opened.runtime,
            "device": self.opened.device,
            "precision": self.opened.precision,
            "reason": self.opened.whole_reason(),
            "members": len(self.members),
            "batch": self.batch,
            "overlap": self.overlap,
            "mirror": self.mirror,
            "settle": self.options.settle,
            "seed": self.options.seed,
            "temperatures": [member.temperature for member in self.members],
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.timer.seconds.items()},
        }


@dataclass(frozen=True)
class _PassResult:
    """What one mirroring of a batch gave.

    Attributes
    ----------
    table
        Facts per window.
    labels
        (B, Z, Y, X) of the last step.
    waiting
        Results that are not accumulated yet.
    """

    table: Table
    labels: Array
    waiting: list[StepResult]
