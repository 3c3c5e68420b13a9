"""Time one window of each family of networks in every runtime and precision, and print the row of this processor.

    python scripts/time_runtimes.py [NETWORK ...] [--window 32 128 192] [--threads 1] [--repeats 7] [--write]

The row is what ``auto`` chooses from (``src/voxtrace/runtime/speeds.json``); ``--write`` merges it there. Ways take
turns in one process and the least time of a few counts, because other work only ever adds to it. On one thread it is
processor time, which other programs disturb least; on several it is wall time.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

import voxtrace
from voxtrace.cli.machine import processor
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.runtime.auto_runtime import has_openvino
from voxtrace.runtime.families import family_of
from voxtrace.runtime.openvino import open_openvino
from voxtrace.runtime.openvino.cache import Cache
from voxtrace.runtime.processor import processor_kind
from voxtrace.runtime.torch import cpu_has_bfloat16, open_torch
from voxtrace.runtime.winograd import open_winograd
from voxtrace.windows import Window

TABLE = Path(voxtrace.__file__).parent / "runtime" / "speeds.json"
NETWORKS = ("unet", "cdlunet", "recyclenet", "diffusion", "meddanet", "e2enet")
FIRST_STEP = ("diffusion", "recyclenet")  # their steps are the same network again
OPTIONS = {"meddanet": {"force": "expert3"}}  # untrained, its decision network might skip every slice
SLICES = 16  # slices of a batch for a network of slices
Run = Callable[[], None]


def main() -> None:
    """Measure, print, merge."""
    asked = _arguments()
    torch.set_num_threads(asked.threads)
    families: dict[str, Any] = {}
    for name in asked.networks or NETWORKS:
        family, seconds = measure(name, asked)
        families.setdefault(family, {"source": _source(asked), "seconds": {}})["seconds"][name] = seconds
        print(json.dumps({"network": name, "family": family, "seconds": seconds}), flush=True)
    print(json.dumps({processor_kind(): families}, indent=1))
    if asked.write:
        TABLE.write_text(merged(json.loads(TABLE.read_text("utf-8")), processor_kind(), families), "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="all of them unless named")
    parser.add_argument("--window", type=int, nargs=3, default=(32, 128, 192))
    parser.add_argument("--width", type=int, default=16, help="channels of the finest level of the plan")
    parser.add_argument("--labels", type=int, default=14)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="merge the row into the table of the package")
    return parser.parse_args()


def measure(name: str, asked: argparse.Namespace) -> tuple[str, dict[str, float]]:
    """Return a network's family, and the seconds of a window (of some slices) by way, e.g. ``"torch float32"``."""
    method = voxtrace.method(name, **OPTIONS.get(name, {}))
    plan = method.adapt(Plan.example(labels=asked.labels, window=tuple(asked.window), base_width=asked.width))
    torch.manual_seed(0)
    network = method.build(plan).eval()
    batch = SLICES if plan.window[0] == 1 else 1
    images = torch.randn(batch, plan.n_channels, *plan.window)
    steps = 1 if name in FIRST_STEP else None

    def runner(parts: Mapping[str, Callable[..., Any]]) -> Run:
        def run() -> None:
            noise = GridNoise(0, [Window(0, 0, 0)] * batch, plan.window, (), "cpu")
            with torch.inference_mode():
                for _ in islice(method.infer(parts, images, noise), steps):
                    pass

        return run

    with tempfile.TemporaryDirectory() as folder:
        runs = {way: runner(parts) for way, parts in _ways(network, Path(folder)).items()}
        return family_of(network), _least(runs, asked.repeats, cpu_time=asked.threads == 1)


def _ways(network: nn.Module, folder: Path) -> dict[str, Mapping[str, Callable[..., Any]]]:
    """Return the network's parts opened in every way that this machine has."""
    precisions = ("float32", "bfloat16") if cpu_has_bfloat16() else ("float32",)
    ways = {f"torch {p}": open_torch(network, "cpu", p).parts for p in precisions}
    if has_openvino():
        ways |= {f"openvino {p}": open_openvino(network, "cpu", p, Cache(folder)).parts for p in precisions}
    return ways | {"winograd float32": open_winograd(network, "cpu", "float32").parts}


def _least(runs: Mapping[str, Run], repeats: int, *, cpu_time: bool) -> dict[str, float]:
    """Return the least seconds of each run, taken in turns after one that compiles."""
    clock = time.process_time if cpu_time else time.perf_counter
    least = dict.fromkeys(runs, math.inf)
    for turn in range(repeats + 1):
        for way, run in runs.items():
            started = clock()
            run()
            least[way] = min(least[way], clock() - started) if turn else math.inf
    return {way: float(f"{seconds:.3g}") for way, seconds in sorted(least.items(), key=lambda item: item[1])}


def _source(asked: argparse.Namespace) -> str:
    """Return how the row was measured: processor, versions, command."""
    window = " ".join(map(str, asked.window))
    command = f"scripts/time_runtimes.py --window {window} --width {asked.width} --threads {asked.threads}"
    clock = "processor time" if asked.threads == 1 else "wall time"
    return f"{processor()['name']}, torch {torch.__version__}; {command}; {clock}, least of {asked.repeats} in turns"


def merged(table: dict[str, Any], kind: str, families: dict[str, Any]) -> str:
    """Return the table as text with these families in the row of a kind, in place of those that were there."""
    rows = table["processors"]
    rows[kind] = {**rows.get(kind, {}), **families}
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
