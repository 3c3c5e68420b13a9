"""Small bundles and scans on disk, and how a command ended: for the tests that run commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chance import drawn
from voxtrace import io
from voxtrace.bundle import Bundle, save
from voxtrace.methods import method
from voxtrace.plan import Plan
from voxtrace.volume import Geometry, LabelMap, Shape, Volume

SHAPE: Shape = (10, 18, 20)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The last line on standard error."""
        return self.err.strip().splitlines()[-1]


Run = Callable[..., Outcome]


@drawn()
def bundle_folder(folder: Path, channels: int = 1, cycles: int = 3) -> Path:
    """Write an untrained RecycleNet that is quick on any machine, and return its folder."""
    plan = Plan.example(channels=channels, labels=3, window=(16, 16, 16), base_width=4)
    chosen = method("recyclenet", cycles=cycles)
    return save(Bundle(chosen, plan, chosen.build(plan).eval(), {"name": folder.name}), folder)


def volume(seed: int = 0, shape: Shape = SHAPE) -> Volume:
    """Noise with a bright block, 1 × 1 × 2 mm."""
    data = np.random.default_rng(seed).normal(0, 10, (1, *shape)).astype(np.float32)
    data[:, 2:6, 4:12, 4:12] += 100
    return Volume(data, Geometry.from_spacing(shape, (2.0, 1.0, 1.0)))


def scan(path: Path, seed: int = 0, shape: Shape = SHAPE) -> Path:
    """Write a volume of noise to a file, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return io.write(volume(seed, shape), path)


def labels(path: Path, block: int = 4, shape: Shape = SHAPE) -> Path:
    """Write a label map with ``block``³ voxels of label 1 at one corner and 8 of label 2 at the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.zeros(shape, np.uint8)
    data[:block, :block, :block] = 1
    data[-2:, -2:, -2:] = 2
    return io.write(LabelMap(data, Geometry.from_spacing(shape, (2.0, 1.0, 1.0))), path)
