"""Time and memory of reading a CT in the program's own process and in the reader process.

    python scripts/time_reading.py [FOLDER]

Writes a CT of 512 × 512 × 300 int16 voxels into FOLDER (a temporary one if not given), as .nii and .nii.gz, and a small
scan. For each it prints seconds a read (smallest and median) once the reader process waits, and for the CT the largest
proportional memory (PSS) of all processes together. Linux only.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from voxtrace.io import write
from voxtrace.io.child import guarded
from voxtrace.io.child.process import SWITCH
from voxtrace.volume import Geometry, Volume

READS = {"small.nii.gz": 40, "ct.nii": 20, "ct.nii.gz": 4}
ONE = "import sys\nfrom voxtrace.io.child.guarded import read\nfor _ in range(3):\n    read(sys.argv[1])\n"


def main(folder: Path) -> None:
    """Measure every file both ways."""
    make(folder)
    for name, reads in READS.items():
        for switch, where in (("1", "in the process at hand"), ("0", "in the reader process")):
            os.environ[SWITCH] = switch
            seconds = times(folder / name, reads)
            peak = f", at most {peak_mib(folder / name):.0f} MiB" if name.startswith("ct") else ""
            print(f"{name} {where}: {min(seconds):.3f} s, median {statistics.median(seconds):.3f} s{peak}", flush=True)


def make(folder: Path) -> None:
    """Write the scans."""
    random = np.random.default_rng(0)
    for stem, shape in (("small", (20, 64, 64)), ("ct", (300, 512, 512))):
        volume = Volume(random.normal(0, 30, (1, *shape)).astype(np.int16), Geometry.from_spacing(shape, (1, 1, 1)))
        for ending in (".nii", ".nii.gz"):
            write(volume, folder / f"{stem}{ending}")


def times(path: Path, reads: int) -> list[float]:
    """Return the seconds of each read after the first."""
    guarded.read(path)
    found = []
    for _ in range(reads):
        began = time.perf_counter()
        guarded.read(path)
        found.append(time.perf_counter() - began)
    return found


def peak_mib(path: Path) -> float:
    """Return the largest proportional memory of a program that reads a file three times, and of what it starts."""
    program, peak = subprocess.Popen([sys.executable, "-c", ONE, str(path)]), 0
    while program.poll() is None:
        peak = max(peak, sum(map(pss_kib, [program.pid, *below(program.pid)])))
        time.sleep(0.005)
    return peak / 1024


def below(process: int) -> list[int]:
    """Return the processes that a process started, and those that they started."""
    try:
        own = [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []
    return [*own, *(one for child in own for one in below(child))]


def pss_kib(process: int) -> int:
    """Return the proportional memory of a process."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
