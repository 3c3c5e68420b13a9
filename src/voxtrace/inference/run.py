"""Run: one volume through one method, row after row of windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtrace.inference.arithmetic import arithmetic_for
from voxtrace.inference.blas import one_thread
from voxtrace.inference.block import Block
from voxtrace.inference.decide import SETTLING_UNITS, UNITS, Answer, Decider, Flip, flips
from voxtrace.inference.output import Output
from voxtrace.inference.plane import label_type
from voxtrace.inference.restore import Restorer
from voxtrace.inference.slab import Slab
from voxtrace.inference.watch import Watch
from voxtrace.method import Method
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.preprocess import NetworkGrid, Placer, PlaneStream
from voxtrace.runtime import LoadedNetwork
from voxtrace.trace import Recorder
from voxtrace.volume import Array
from voxtrace.windows import Decision, Row, Window, Windowing, count_windows, everything

Table = dict[str, npt.NDArray[np.float64]]  # name -> (S, B)


class Member(NamedTuple):
    """One network of those whose answers are averaged, and which of the streams of planes it sees."""

    opened: LoadedNetwork
    stream: int


@dataclass
class Run:
    """Everything that is fixed while a volume is segmented, and the facts that gather on the way."""

    method: Method
    plan: Plan
    grid: NetworkGrid
    members: Sequence[Member]
    every_step: bool
    mirror: bool
    overlap: float
    batch: int
    seed: int
    settle: float | None = None
    extras: bool = False
    watch: Watch = field(default_factory=Watch)
    _visited: list[Window] = field(default_factory=list)
    _tables: list[Table] = field(default_factory=list)

    @cached_property
    def windowing(self) -> Windowing:
        """How windows cover the grid."""
        return self.method.windowing(self.plan)

    @property
    def opened(self) -> LoadedNetwork:
        """The first network; all run on the same device."""
        return self.members[0].opened

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of what is kept beside the answer of each step."""
        return self.method.extras if self.extras else ()

    @property
    def n_windows(self) -> int:
        """Windows of the even lattice; an adaptive schedule visits fewer."""
        return count_windows(self.grid.padded_shape, self.plan.window, self.overlap)

    def windows(self, streams: Sequence[PlaneStream], recorder: Recorder) -> Iterator[int]:
        """Visit every window, hand finished label planes to the recorder, yield how many windows are done."""
        shape, size, how = self.grid.padded_shape, self.plan.window, self.windowing
        layers = (self.method.steps if self.every_step else 1) * (1 + len(self.shown))
        average = self.plan.view.average if self.plan.view else "probabilities"
        device = self.opened.device
        slab = Slab(layers, self.plan.n_labels, size, shape[1:], device, how.blend, how.slices, average)
        restorer, placer = Restorer(self.grid, self.plan.n_labels, device, average), Placer(self.grid.frame)
        yield 0
        with (
            one_thread.held(),
            ThreadPoolExecutor(1, thread_name_prefix="voxtrace-planes") as maker,
            Output.opened(slab, restorer, placer, recorder, self.watch) as output,
        ):
            blocks = [Block(planes, maker) for planes in streams]
            rows = how.schedule(shape, size, self.overlap)
            row: Row | None = next(rows, None)
            while row is not None:
                output.finish(row[0].z)
                with self.watch("planes"):
                    images = [block.between(row[0].z, row[-1].z + size[0]) for block in blocks]
                decided: list[Decision] = []
                for first in range(0, len(row), self.batch):
                    decided += self._decide(row[first : first + self.batch], images, row[0].z, output)
                    yield len(self._visited)
                row = _next_row(rows, decided)
            output.finish(shape[0])

    def _decide(
        self, windows: Sequence[Window], images: Sequence[Array], first_z: int, output: Output
    ) -> list[Decision]:
        """Run one batch of windows, add up what is kept of them, and say what was decided."""
        mirrored = flips(self.plan.mirror_axes if self.mirror else (), self.plan.window)
        with torch.inference_mode():
            cuts = [torch.from_numpy(self._cut(windows, planes, first_z)).to(self.opened.device) for planes in images]
            passes = [
                self._pass(member.opened, flip, windows, cuts[member.stream], output)
                for member in self.members
                for flip in mirrored
            ]
            labels = passes[0].labels
            table = dict(passes[0].table)  # what the method says of itself is not averaged: half an expert is none
            table |= {name: np.mean([p.table[name] for p in passes], axis=0) for name in self._engine_units}
            decided = [
                Decision(w, {name: float(v[-1, b]) for name, v in table.items()}, labels[b])
                for b, w in enumerate(windows)
            ]
            for pass_ in passes:
                self._add_late(pass_, decided, output)
        self._visited += windows
        self._tables.append(table)
        return decided

    def _pass(
        self, opened: LoadedNetwork, flip: Flip, windows: Sequence[Window], images: Tensor, output: Output
    ) -> _Pass:
        """Run the steps for one mirroring; answers are added at once unless they may be thrown away later."""
        table = {name: np.full((self.method.steps, len(windows)), np.nan) for name in self._units}
        noise = GridNoise(self.seed, self._unpadded(windows), self.plan.window, flip, opened.device)
        waiting: list[Answer] = []
        for answer in self._decider.answers(opened.parts, images, noise, flip):
            for name, values in answer.facts.items():
                table[name][answer.step] = values.double().cpu().numpy()
            if self.every_step or answer.step == self.method.steps - 1:
                if self.windowing.keeps is everything:
                    self._add(answer, windows, output)
                else:
                    waiting.append(answer)
            last = answer
        if self.windowing.keeps is everything:
            for window in windows:
                output.count(window)
        return _Pass(table, last.labels.cpu().numpy().astype(label_type(self.plan.n_labels), copy=False), waiting)

    @cached_property
    def _decider(self) -> Decider:
        return Decider(self.method, arithmetic_for(self.opened.device), self.watch, self.shown, self.settle)

    def _add(self, answer: Answer, windows: Sequence[Window | None], output: Output) -> None:
        """Add an answer, and what it shows beside, for the windows that are not None."""
        kept = self.method.steps if self.every_step else 1
        step = answer.step if self.every_step else 0
        for layer, scores in enumerate([answer.scores, *(answer.extras[name] for name in self.shown)]):
            for b, window in enumerate(windows):
                if window is not None:
                    output.add(layer * kept + step, window, scores, b)

    def _add_late(self, pass_: _Pass, decided: Sequence[Decision], output: Output) -> None:
        """Add the answers that waited for the verdict on their windows."""
        if not pass_.waiting:
            return
        kept = [d.window if self.windowing.keeps(d) else None for d in decided]
        for answer in pass_.waiting:
            self._add(answer, kept, output)
        for window in kept:
            if window is not None:
                output.count(window)

    def _cut(self, windows: Sequence[Window], images: Array, first_z: int) -> Array:
        depth, height, width = self.plan.window
        inside = [(w.z - first_z, w.y, w.x) for w in windows]
        return np.stack([images[:, z : z + depth, y : y + height, x : x + width] for z, y, x in inside])

    def _unpadded(self, windows: Sequence[Window]) -> list[Window]:
        """Return windows counted from the first voxel of the network grid, before padding."""
        (z, _), (y, _), (x, _) = self.grid.padding
        return [Window(w.z - z, w.y - y, w.x - x) for w in windows]

    @property
    def _units(self) -> Mapping[str, str]:
        return {**self._engine_units, **self.method.facts}

    @property
    def _engine_units(self) -> Mapping[str, str]:
        return UNITS if self.settle is None else {**UNITS, **SETTLING_UNITS}

    def facts(self) -> tuple[dict[str, Array], Array, dict[str, str]]:
        """Return facts (S, W) by name, window boxes (W, 6) clipped to the network grid, and units."""
        gathered = {
            name: np.concatenate([table[name] for table in self._tables], axis=1).astype(np.float32)
            for name in self._units
        }
        corners = np.asarray(self._unpadded(self._visited), np.int64).reshape(-1, 3)
        boxes = np.concatenate([corners, corners + self.plan.window], axis=1)
        return gathered, np.clip(boxes, 0, np.tile(self.grid.shape, 2)), dict(self._units)

    def record(self) -> dict[str, Any]:
        """Return what was chosen for this run, for the ledger and the report."""
        return {
            "windows": len(self._visited),
            "steps": self.method.steps,
            "runtime": self.opened.runtime,
            "device": self.opened.device,
            "precision": self.opened.precision,
            "reason": self.opened.reason,
            "members": len(self.members),
            "batch": self.batch,
            "overlap": self.overlap,
            "mirror": self.mirror,
            "settle": self.settle,
            "seed": self.seed,
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.watch.seconds.items()},
        }


@dataclass(frozen=True)
class _Pass:
    """What one mirroring of a batch gave: facts, labels (B, Z, Y, X) of the last step, answers not yet added."""

    table: Table
    labels: Array
    waiting: list[Answer]


def _next_row(rows: Any, decided: Sequence[Decision]) -> Row | None:
    try:
        row: Row = rows.send(decided)
        return row
    except StopIteration:
        return None
