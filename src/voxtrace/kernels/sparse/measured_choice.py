"""Which algorithm computes a layer: measured once on each machine, then remembered.

Both algorithms agree to float32 rounding, not to the bit, and timings differ from run to run. So that the same seed
gives the same answer, a choice is made once, written to the user's cache folder, and read from there afterwards; it is
measured anew only for a layer, window or number of threads not seen before, or after an update of the packages.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import platformdirs
import torch

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError
from voxtrace.safe_text import read_json

Algorithm = Literal["direct", "dense"]
ROUNDS, CLEAR = 4, 2.0


@dataclass
class MeasuredChoices:
    """The algorithm chosen for each layer, in memory and in a file; ``file`` None keeps them in memory only.

    A file that is missing, damaged or not writable costs a few measurements, nothing else.
    """

    file: Path | None
    made: dict[str, Algorithm] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.made = self._read()

    def choose(self, key: str, direct: Callable[[], object], dense: Callable[[], object]) -> Algorithm:
        """Return the algorithm remembered for ``key``; where there is none, time both and remember the faster."""
        if key not in self.made:
            self.made[key] = _faster(direct, dense)
            self._write()
        return self.made[key]

    def _read(self) -> dict[str, Algorithm]:
        try:
            stored = read_json(self.file) if self.file else {}
        except (OSError, ValueError):
            return {}
        return {k: v for k, v in stored.items() if v in ("direct", "dense")} if isinstance(stored, dict) else {}

    def _write(self) -> None:
        if self.file is None:
            return
        # What another process decided first stands, so that both compute the same from then on.
        self.made |= self._read()
        try:
            with atomic_file(self.file) as temporary:
                temporary.write_text(json.dumps(self.made, indent=1, sort_keys=True, ensure_ascii=False), "utf-8")
        except OutputError:
            self.file = None


def _faster(direct: Callable[[], object], dense: Callable[[], object]) -> Algorithm:
    """Return the faster algorithm: of one round where the difference is clear, else by the best of a few."""
    best_s: dict[Algorithm, float] = {"direct": math.inf, "dense": math.inf}
    for _ in range(ROUNDS):
        best_s["direct"] = min(best_s["direct"], _time_s(direct))
        best_s["dense"] = min(best_s["dense"], _time_s(dense))
        if max(best_s.values()) > CLEAR * min(best_s.values()):
            break
    return "direct" if best_s["direct"] <= best_s["dense"] else "dense"


def _time_s(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


@cache
def machine_choices() -> MeasuredChoices:
    """Return this machine's choices, one file for each processor and set of versions."""
    versions = {name: version(name) for name in ("numba", "numpy", "torch", "voxtrace")}
    about = json.dumps([processor_name(), versions], sort_keys=True)
    name = hashlib.sha256(about.encode()).hexdigest()[:16]
    return MeasuredChoices(platformdirs.user_cache_path("voxtrace", appauthor=False) / "kernels" / f"{name}.json")


def processor_name() -> str:
    """Return the processor's model and what instructions torch finds in it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"
