"""Time one window of a method in torch, also with channels last, compiled by OpenVINO, and by Winograd's way, in turns.

    python scripts/time_runtimes.py cdlunet --window 32 128 192 --repeats 7

Prints a JSON object: seconds of a window (median and least) by runtime, seconds until the first compiled answer with
an empty and with a filled cache, and how many MB of memory OpenVINO added.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch

import voxtrace
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.runtime.openvino import open_openvino
from voxtrace.runtime.openvino.cache import Cache
from voxtrace.runtime.torch import open_torch
from voxtrace.runtime.winograd import open_winograd
from voxtrace.windows import Window


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method")
    parser.add_argument("--window", type=int, nargs=3, default=(32, 128, 192))
    parser.add_argument("--labels", type=int, default=14)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(json.dumps(measure(asked), indent=2))


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Return everything that was measured, in s and MB."""
    method = voxtrace.method(asked.method)
    plan = method.adapt(Plan.example(labels=asked.labels, window=tuple(asked.window)))
    torch.manual_seed(0)
    network = method.build(plan).eval()
    images = torch.randn(asked.batch, plan.n_channels, *plan.window)

    def run(parts: Any) -> None:
        noise = GridNoise(0, [Window(0, 0, 0)] * asked.batch, plan.window, (), "cpu")
        with torch.inference_mode():
            for _ in method.infer(parts, images, noise):
                pass

    with tempfile.TemporaryDirectory() as folder:
        before = resident_mb()
        empty_s, _ = timed(lambda: run(open_openvino(network, "cpu", "float32", Cache(Path(folder))).parts))
        compiled = open_openvino(network, "cpu", "float32", Cache(Path(folder))).parts
        filled_s, _ = timed(lambda: run(compiled))
        added_mb = resident_mb() - before
    last = copy.deepcopy(network).to(
        memory_format=torch.channels_last_3d if plan.window[0] > 1 else torch.channels_last
    )
    runtimes = {
        "openvino": compiled,
        "winograd": open_winograd(network, "cpu", "float32").parts,
        "torch": open_torch(network, "cpu", "float32").parts,
        "torch, weights channels last": open_torch(last, "cpu", "float32").parts,
    }
    seconds: dict[str, list[float]] = {name: [] for name in runtimes}
    for parts in runtimes.values():
        run(parts)
    for _ in range(asked.repeats):
        for name, parts in runtimes.items():
            seconds[name].append(timed(lambda parts=parts: run(parts))[0])
    return {
        "method": asked.method,
        "window": plan.window,
        "batch": asked.batch,
        "threads": asked.threads,
        "window_s": {
            name: {"median": statistics.median(all_s), "least": min(all_s)} for name, all_s in seconds.items()
        },
        "first_answer_empty_cache_s": empty_s,
        "first_answer_filled_cache_s": filled_s,
        "added_mb": added_mb,
    }


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Return how many seconds some work took, and what it returned."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def resident_mb() -> float:
    """Return how much memory this process holds."""
    return psutil.Process().memory_info().rss / 1e6


if __name__ == "__main__":
    main()
