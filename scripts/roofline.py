"""How near a network's windows come to what the machine can multiply. Prints JSON.

    python scripts/roofline.py [BUNDLE] [--runtime torch|openvino] [--repeats 5]

``rate`` is the fastest product of two 2048×2048 matrices by torch, in GFLOP/s of each precision that the processor
has; ``window`` is the fastest of the repeats for one window of the bundle's plan; ``share`` is the window's own rate
(convolutions and products, two operations for a multiplication and addition) in that of the machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch

import voxtrace
from voxtrace.bench.models import NETWORK
from voxtrace.nn.flops import flops
from voxtrace.noise import GridNoise
from voxtrace.runtime import open_runtime
from voxtrace.runtime.torch import cpu_has_bfloat16
from voxtrace.windows import Window


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Return the shortest of some runs in seconds, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def product_rate(precision: str, repeats: int, n: int = 2048) -> float:
    """Return GFLOP/s of a product of two n×n matrices."""
    a, b = (torch.randn(n, n).to(getattr(torch, precision)) for _ in range(2))
    return 2 * n**3 / fastest(lambda: a @ b, repeats) / 1e9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default=str(NETWORK))
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    bundle = voxtrace.load(given.bundle)
    plan = bundle.plan
    images = torch.randn(1, plan.n_channels, *plan.window)
    gflop = flops(bundle.network, (plan.n_channels, *plan.window))
    rows = {}
    for precision in ("float32", *(["bfloat16"] if cpu_has_bfloat16() else [])):
        opened = open_runtime(bundle.network, runtime=given.runtime, device="cpu", precision=precision)
        noise = GridNoise(0, [Window(0, 0, 0)], plan.window, (), "cpu")
        seconds = fastest(lambda: list(bundle.method.infer(opened.parts, images, noise)), given.repeats)  # noqa: B023
        rate = product_rate(precision, given.repeats)
        rows[precision] = {
            "rate_gflop_s": round(rate, 1),
            "window_s": round(seconds, 4),
            "window_gflop_s": round(gflop / seconds, 1),
            "share": round(gflop / seconds / rate, 3),
        }
    print(json.dumps({"threads": torch.get_num_threads(), "window_gflop": round(gflop, 2), **rows}, indent=2))


if __name__ == "__main__":
    main()
