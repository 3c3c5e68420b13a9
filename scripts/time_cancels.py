"""Cancel a prediction at random moments; print how long each took to stop, and what was left behind.

python scripts/time_cancels.py SCAN -m BUNDLE --runtime winograd --times 50
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path

import psutil

import voxtrace
from voxtrace.bundle import Bundle
from voxtrace.errors import Cancelled
from voxtrace.inference import segment
from voxtrace.volume import Volume


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("-m", "--model", default="abdomen-phantom-recyclenet")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--within-s", type=float, default=5.0, help="Moments are drawn from so many seconds.")
    chosen = parser.parse_args()
    bundle, volume, rng = voxtrace.load(chosen.model), voxtrace.read(chosen.scan), random.Random(0)
    taken: list[float] = []
    memory_mb = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(chosen.times):
            seconds = cancelled(bundle, volume, chosen.runtime, Path(folder), rng.uniform(0, chosen.within_s))
            taken += [] if seconds is None else [seconds]
            gc.collect()
            memory_mb.append(round(psutil.Process().memory_info().rss / 1e6))
        left = sorted(path.name for path in Path(folder).iterdir())
    print(f"{len(taken)} cancelled, {chosen.times - len(taken)} had finished before")
    if taken:
        print(f"seconds to stop: median {statistics.median(taken):.2f}, worst {max(taken):.2f}")
    print(f"memory in MB: {memory_mb[:: max(1, chosen.times // 5)]}")
    print(f"files left: {left or 'none'}; threads: {[thread.name for thread in threading.enumerate()]}")


def cancelled(bundle: Bundle, volume: Volume, runtime: str, folder: Path, after_s: float) -> float | None:
    """Return how long a prediction took to stop, in seconds; None where it had finished before."""
    asked, moments = threading.Event(), list[float]()

    def ask() -> None:
        moments.append(time.perf_counter())
        asked.set()

    timer = threading.Timer(after_s, ask)
    timer.start()
    try:
        store = folder / f"{time.monotonic_ns()}.trace"
        for _ in segment(bundle, volume, keep="labels", runtime=runtime, store=store, cancel=asked.is_set):
            pass
    except Cancelled:
        return time.perf_counter() - moments[0]
    finally:
        timer.cancel()
    return None


if __name__ == "__main__":
    main()
