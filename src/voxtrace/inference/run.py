"""Run: one volume through one method, row after row of windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from voxtrace.inference.decide import UNITS, Flip, answers, flips
from voxtrace.inference.release import release_freed_memory
from voxtrace.inference.restore import Restorer
from voxtrace.inference.slab import Slab
from voxtrace.method import Method
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.preprocess import NetworkGrid, PlaneStream
from voxtrace.runtime import Opened
from voxtrace.trace import Recorder
from voxtrace.volume import Array
from voxtrace.windows import Decision, Row, ScheduleMaker, Window, count_windows, regular

Table = dict[str, npt.NDArray[np.float64]]  # name -> (S, B)


@dataclass
class Run:
    """Everything that is fixed while a volume is segmented, and the facts that gather on the way."""

    method: Method
    plan: Plan
    grid: NetworkGrid
    opened: Opened
    every_step: bool
    mirror: bool
    overlap: float
    batch: int
    seed: int
    schedule: ScheduleMaker = regular
    _visited: list[Window] = field(default_factory=list)
    _tables: list[Table] = field(default_factory=list)

    @property
    def n_windows(self) -> int:
        """Windows of the even lattice; an adaptive schedule visits fewer."""
        return count_windows(self.grid.padded_shape, self.plan.window, self.overlap)

    def windows(self, planes: PlaneStream, recorder: Recorder) -> Iterator[int]:
        """Visit every window, hand finished label planes to the recorder, yield how many windows are done."""
        shape, size = self.grid.padded_shape, self.plan.window
        kept = self.method.steps if self.every_step else 1
        slab = Slab(kept, self.plan.n_labels, size, shape[1:], self.opened.device)
        restorer = Restorer(self.grid)
        block = _Block(planes, size[0])
        yield 0
        rows = self.schedule(shape, size, self.overlap)
        row: Row | None = next(rows, None)
        while row is not None:
            self._finish(slab, restorer, recorder, row[0].z)
            images = block.at(row[0].z)
            decided: list[Decision] = []
            for first in range(0, len(row), self.batch):
                decided += self._decide(row[first : first + self.batch], images, slab)
                yield len(self._visited)
            row = _next_row(rows, decided)
        self._finish(slab, restorer, recorder, shape[0])

    def _decide(self, windows: Sequence[Window], images: Array, slab: Slab) -> list[Decision]:
        """Run one batch of windows, add its probabilities to the slab, and say what was decided."""
        mirrored = flips(self.plan.mirror_axes if self.mirror else (), self.plan.window)
        with torch.inference_mode():
            tensor = torch.from_numpy(self._cut(windows, images)).to(self.opened.device)
            tables = [self._pass(flip, windows, tensor, slab) for flip in mirrored]
        table = {name: np.mean([t[name] for t in tables], axis=0) for name in tables[0]}
        self._visited += windows
        self._tables.append(table)
        return [Decision(w, {name: float(v[-1, b]) for name, v in table.items()}) for b, w in enumerate(windows)]

    def _pass(self, flip: Flip, windows: Sequence[Window], images: torch.Tensor, slab: Slab) -> Table:
        """Run the steps for one mirroring, and return its facts."""
        table = {name: np.full((self.method.steps, len(windows)), np.nan) for name in self._units}
        noise = GridNoise(self.seed, self._unpadded(windows), self.plan.window, flip, self.opened.device)
        for answer in answers(self.method, self.opened.parts, images, noise, flip):
            for name, values in answer.facts.items():
                table[name][answer.step] = values.double().cpu().numpy()
            if self.every_step or answer.step == self.method.steps - 1:
                for window, probabilities in zip(windows, answer.probabilities, strict=True):
                    slab.add(answer.step if self.every_step else 0, window, probabilities)
        for window in windows:
            slab.count(window)
        return table

    def _finish(self, slab: Slab, restorer: Restorer, recorder: Recorder, until: int) -> None:
        """Turn the planes that no further window covers into labels."""
        with torch.inference_mode():
            for plane in slab.finish(until):
                for labels in restorer.push(plane):
                    recorder.add(labels[:, None])
        release_freed_memory()

    def _cut(self, windows: Sequence[Window], images: Array) -> Array:
        _, height, width = self.plan.window
        return np.stack([images[:, :, w.y : w.y + height, w.x : w.x + width] for w in windows])

    def _unpadded(self, windows: Sequence[Window]) -> list[Window]:
        """Return windows counted from the first voxel of the network grid, before padding."""
        (z, _), (y, _), (x, _) = self.grid.padding
        return [Window(w.z - z, w.y - y, w.x - x) for w in windows]

    @property
    def _units(self) -> Mapping[str, str]:
        return {**UNITS, **self.method.facts}

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
            "why": self.opened.why,
            "batch": self.batch,
            "overlap": self.overlap,
            "mirror": self.mirror,
            "seed": self.seed,
        }


class _Block:
    """The planes that the windows of one row need; planes shared with the row before are not made again."""

    def __init__(self, planes: PlaneStream, depth: int) -> None:
        self._planes, self._depth = planes, depth
        self._first, self._images = 0, planes.padded(0, 0)

    def at(self, z: int) -> Array:
        """Return planes z ≤ plane < z + depth, (C, depth, Y, X) float32; z never falls."""
        made = self._first + self._images.shape[1]
        fresh = self._planes.padded(max(made, z), z + self._depth)
        kept = self._images[:, z - self._first :]
        self._first, self._images = z, np.concatenate([kept, fresh], axis=1) if kept.shape[1] else fresh
        return self._images


def _next_row(rows: Any, decided: Sequence[Decision]) -> Row | None:
    try:
        row: Row = rows.send(decided)
        return row
    except StopIteration:
        return None
