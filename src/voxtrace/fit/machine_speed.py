"""How fast this machine predicts, remembered from earlier runs in the user's cache folder.

A run is remembered by its bundle, runtime, device and precision: seconds for a pass of one window through the network,
seconds for a voxel of the answer, and GFLOP of a pass where the bundle records it. A file that is missing, damaged or
not writable costs the estimate its accuracy, nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError
from voxtrace.safe_text import read_json

_LARGEST = 1e300
EDITION = 1
MOST_RUNS = 200  # the oldest are forgotten


@dataclass(frozen=True)
class MeasuredRun:
    """Speed of one run.

    Attributes
    ----------
    digest
        Of the bundle.
    device, runtime, precision
        Where the network ran.
    seconds_per_pass, seconds_per_voxel, seconds_fixed
        For a window through the network once; for a label voxel of the answer; and once for a run.
    gflop_per_pass
        0 where the bundle does not record it.
    """

    digest: str
    device: str
    runtime: str
    precision: str
    seconds_per_pass: float
    seconds_per_voxel: float
    seconds_fixed: float
    gflop_per_pass: float = 0.0

    def seconds(self, passes: int, voxels: int) -> float:
        """Return the seconds of a run with so many passes and label voxels."""
        return self.seconds_fixed + passes * self.seconds_per_pass + voxels * self.seconds_per_voxel


def speed_file() -> Path:
    """Return where runs are remembered."""
    return platformdirs.user_cache_path("voxtrace", appauthor=False) / "speed.json"


def measured_runs() -> tuple[MeasuredRun, ...]:
    """Return the remembered runs, the newest last; nothing where the file is not one of ours."""
    try:
        stored = read_json(speed_file())
        runs = tuple(MeasuredRun(**run) for run in stored["runs"]) if stored["edition"] == EDITION else ()
        return runs if all(_is_right(run) for run in runs) else ()
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _is_right(run: MeasuredRun) -> bool:
    """Return whether texts are texts and numbers are numbers."""
    texts = (run.digest, run.device, run.runtime, run.precision)
    numbers = (run.seconds_per_pass, run.seconds_per_voxel, run.seconds_fixed, run.gflop_per_pass)
    return all(isinstance(one, str) for one in texts) and all(
        isinstance(one, int | float) and 0 <= one < _LARGEST for one in numbers
    )


def remember(run: MeasuredRun) -> None:
    """Add a run; of the same bundle, device and runtime only the newest is kept."""
    others = [r for r in measured_runs() if (r.digest, r.device, r.runtime) != (run.digest, run.device, run.runtime)]
    stored: Mapping[str, Any] = {"edition": EDITION, "runs": [asdict(r) for r in [*others, run][-MOST_RUNS:]]}
    try:
        with atomic_file(speed_file()) as temporary:
            temporary.write_text(json.dumps(stored), "utf-8")
    except OutputError:
        return  # a full disk must not fail a prediction that is done
