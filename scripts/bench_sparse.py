"""Time a sparse network against its dense counterpart on the CPU, and print a line of JSON for each comparison.

    python scripts/bench_sparse.py [--sparsity 0.8 0.9] [--window 32 128 128] [--threads 2] [--rounds 5] [--openvino]

Contenders take turns in one process. A row each for single layers and for the whole network at the published width
(three steps, 14 labels): wall time and processor time, shortest and median, and how many times faster than the dense
counterpart in torch, by the shortest wall time and by processor time, which other work on the machine disturbs less.
``same_runtime`` is the dense counterpart with the passes over memory saved as well, so that its row shows what skipped
kernels alone are worth. Each row also tells how far answers lie from those of the masked network in torch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from voxtrace import Plan
from voxtrace.kernels.sparse.direct import DirectConvolution, DirectTransposed
from voxtrace.kernels.sparse.measured_choice import processor_name
from voxtrace.kernels.sparse.replace import with_replacements
from voxtrace.methods import method
from voxtrace.nn.masked import MaskedConv3d, MaskedConvTranspose3d
from voxtrace.noise import GridNoise
from voxtrace.runtime import open_runtime
from voxtrace.runtime.torch import open_torch
from voxtrace.windows import Window

Run = Callable[[], Any]
# input and output channels, side of the window at its level as a fraction; of the published network
LAYERS = ((96, 48, 1), (240, 96, 2), (480, 192, 4), (832, 320, 8))
RISING = ((96, 48, 2), (192, 96, 4))  # transposed


def main() -> None:
    """Print what the whole network and each layer take, a line each."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    print(json.dumps({"processor": processor_name(), "threads": given.threads, "window": given.window}), flush=True)
    for s in given.sparsity:
        print(json.dumps(network_row(s, given.window, given.rounds, given.openvino)), flush=True)
    for s in given.sparsity:
        for row in layer_rows(s, given.window, given.rounds):
            print(json.dumps(row, ensure_ascii=False), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.8, 0.9])
    parser.add_argument("--window", type=int, nargs=3, default=[32, 128, 128])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--openvino", action="store_true", help="the dense counterpart in OpenVINO, float32, as well")
    return parser.parse_args()


@torch.inference_mode()
def layer_rows(sparsity: float, window: list[int], rounds: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each of LAYERS and RISING."""
    for n_in, n_out, down in LAYERS:
        x, conv = _input(n_in, window, down), MaskedConv3d(n_in, n_out, (1, 3, 3), 1 - sparsity)
        skip = DirectConvolution(conv)
        yield _row(f"{n_in}→{n_out}, 1×3×3", sparsity, x, lambda: skip([x])[0], lambda: conv(x), rounds)  # noqa: B023
    for n_in, n_out, down in RISING:
        x, rising = _input(n_in, window, down), MaskedConvTranspose3d(n_in, n_out, (2, 2, 2), 1 - sparsity)
        spread = DirectTransposed(rising)
        yield _row(f"{n_in}→{n_out}, up", sparsity, x, lambda: spread(x), lambda: rising(x), rounds)  # noqa: B023


def _input(channels: int, window: list[int], down: int) -> Tensor:
    return torch.randn(1, channels, *(max(1, n // down) for n in window))


def _row(what: str, sparsity: float, x: Tensor, skip: Run, dense: Run, rounds: int) -> dict[str, Any]:
    apart = float((skip() - dense()).abs().max())
    size = "×".join(map(str, x.shape[2:]))
    return {"layer": f"{what} on {size}", "S": sparsity, "largest_difference": apart, **_timed(rounds, skip, dense)}


def network_row(sparsity: float, window: list[int], rounds: int, openvino: bool) -> dict[str, Any]:
    """Return the row of the whole network."""
    network, dense = _network(sparsity, window), _network(0.0, window)
    infer, images = method("e2enet").infer, torch.randn(1, 1, *window)
    noise = GridNoise(0, [Window(0, 0, 0)], tuple(window), (), "cpu")  # the method draws none

    def steps(parts: Any) -> Run:
        @torch.inference_mode()
        def run() -> list[Tensor]:
            return [step.logits for step in infer(parts, images, noise)]

        return run

    skip = steps(open_torch(network, "cpu", "float32").parts)
    plain = steps(open_torch(network, "cpu", "float32", "plain").parts)
    others = {"same_runtime": steps(_children(with_replacements(dense)))}
    if openvino:
        others["openvino"] = steps(open_runtime(dense, runtime="openvino", precision="float32").parts)
    apart = [_apart(a, b) for a, b in zip(skip(), plain(), strict=True)]
    difference, agreement = max(d for d, _ in apart), min(a for _, a in apart)
    facts = {"S": sparsity, "largest_difference_of_probabilities": difference, "labels_equal": agreement}
    counterpart = steps(open_torch(dense, "cpu", "float32").parts)
    return {**facts, **_timed(rounds, skip, counterpart, **others)}


def _network(sparsity: float, window: list[int]) -> nn.Module:
    torch.manual_seed(0)
    chosen = method("e2enet", sparsity=sparsity)
    plan = chosen.adapt(Plan.example(channels=1, labels=14, window=tuple(window)))
    return chosen.build(plan).eval()


def _children(network: nn.Module) -> dict[str, Any]:
    return dict(network.named_children())


def _apart(a: Tensor, b: Tensor) -> tuple[float, float]:
    return float((a.softmax(1) - b.softmax(1)).abs().max()), float((a.argmax(1) == b.argmax(1)).double().mean())


def _timed(rounds: int, skip: Run, dense: Run, **others: Run) -> dict[str, Any]:
    """Return times of each, taken in turn, after one round that is not counted."""
    runs = {"skipping": skip, "dense": dense, **others}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            wall, busy = time.perf_counter(), time.process_time()
            run()
            taken[name].append((time.perf_counter() - wall, time.process_time() - busy))
    table = {name: _times(values[1:]) for name, values in taken.items()}
    ours = table["skipping"]
    faster = {
        name: {kind: round(row[kind] / ours[kind], 2) for kind in ("wall_s", "wall_median_s", "cpu_s")}
        for name, row in table.items()
        if name != "skipping"
    }
    return {"times": table, "times_faster_than": faster}


def _times(values: list[tuple[float, float]]) -> dict[str, float]:
    wall, busy = zip(*values, strict=True)
    found = {"wall_s": min(wall), "wall_median_s": statistics.median(wall), "cpu_s": min(busy)}
    return {name: round(value, 4) for name, value in found.items()}


if __name__ == "__main__":
    main()
