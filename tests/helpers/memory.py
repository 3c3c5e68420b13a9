"""Measures the peak memory of a prediction, in a process of its own: ``python memory.py PLANES KEEP`` prints MiB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def peak_mib(n_planes: int, keep: str, *, exact: bool, maps: Path | None = None) -> float:
    """Return the peak memory in MiB of predicting a made-up scan of ``n_planes`` planes 256².

    ``exact`` tells glibc to take every block above 1 MiB from the system and to give it back when it is freed, so that
    the figure does not depend on how its heap happens to fray (by some 10 MiB from run to run). With ``maps``, a
    folder, the method has a scalar map and the trace is written there.
    """
    arguments = [sys.executable, __file__, str(n_planes), keep, *([str(maps)] if maps else [])]
    environment = os.environ | ({"MALLOC_MMAP_THRESHOLD_": str(2**20)} if exact else {})
    folder = Path(__file__).parent
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=folder, env=environment)
    return float(done.stdout)


def _main(n_planes: int, keep: str, store: str = "") -> None:
    import numpy as np
    import torch

    from fakes import Nearest, Showing, bundle
    from voxtrace.inference import segment
    from voxtrace.volume import Geometry, Volume

    torch.set_num_threads(1)
    data = np.zeros((1, n_planes, 256, 256), np.int16)
    data[:, :, 64:192, 64:192] = 2
    volume = Volume(data, Geometry.from_spacing(data.shape[1:], (1.0, 1.0, 1.0)))
    method = Showing(n_steps=2) if store else Nearest(n_steps=2)
    model = bundle(method, window=(8, 64, 64), spacing_mm=(1.5, 1.5, 1.5), labels=4)
    task = segment(
        model, volume, store=Path(store) if store else None, keep=keep, device="cpu", precision="float32", overlap=0.25
    )
    for _ in task:
        pass
    sys.stdout.write(f"{_high_water_kib() / 1024:.1f}\n")


def _high_water_kib() -> int:
    """Return this program's peak memory; ``getrusage`` would tell that of the process that started it, if larger."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


if __name__ == "__main__":
    _main(int(sys.argv[1]), *sys.argv[2:])
