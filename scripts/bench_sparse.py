"""Time a sparse network against its dense counterpart on the CPU, and print a line of JSON for each comparison.

    python scripts/bench_sparse.py [--sparsity 0.8 0.9] [--window 32 128 128] [--threads 2] [--rounds 5] [--openvino]
    python scripts/bench_sparse.py --nnunet [--peer PYTHON] [--window 32 32 32] [--sparsity 0.8 0.9] [--rounds 5]

Contenders take turns in one process. A row each for single layers and for the whole network at the published width
(three steps, 14 labels): wall time and processor time, shortest and median, and how many times faster than the dense
counterpart in torch, by the shortest wall time and by processor time, which other work on the machine disturbs less.
``same_runtime`` is the dense counterpart with the passes over memory saved as well, so that its row shows what skipped
kernels alone are worth. Each row also tells how far answers lie from those of the masked network in torch.

``--nnunet`` compares all sparsities, the dense counterpart and nnU-Net's network (two convolutions a stage, widths
from 32 to 320, as many stages as nnU-Net plans for the window) in one run: ours of that plan in torch and in this
package's runtime, and with ``--peer``, the python of an environment that has nnU-Net (`make .venv-peer/peer.stamp`
makes one), the network that nnU-Net builds of it, in a process of its own, in its turn, on as many threads.
``--planned-for 128 128 128`` takes the stages of that window instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
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
Timer = Callable[[], tuple[float, float]]  # wall and processor time of one pass, in seconds
LABELS = 14
# input and output channels, side of the window at its level as a fraction; of the published network
LAYERS = ((96, 48, 1), (240, 96, 2), (480, 192, 4), (832, 320, 8))
RISING = ((96, 48, 2), (192, 96, 4))  # transposed
PEER = """
import json, sys, time
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet

window, threads, widths, kernels, strides, labels = json.loads(sys.argv[1])
torch.set_num_threads(threads)
network = PlainConvUNet(
    1, len(widths), widths, torch.nn.Conv3d, kernels, strides, 2, labels, 2, conv_bias=True,
    norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True},
    nonlin=torch.nn.LeakyReLU, nonlin_kwargs={"inplace": True}, deep_supervision=False,
).eval()
images = torch.randn(1, 1, *window)
print(sum(p.numel() for p in network.parameters()), flush=True)
with torch.inference_mode():
    for _ in sys.stdin:
        wall, busy = time.perf_counter(), time.process_time()
        network(images)
        print(time.perf_counter() - wall, time.process_time() - busy, flush=True)
"""


def main() -> None:
    """Print what the whole network and each layer take, a line each."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    print(json.dumps({"processor": processor_name(), "threads": given.threads, "window": given.window}), flush=True)
    if given.nnunet:
        print(json.dumps(nnunet_row(given), indent=1))
        return
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
    parser.add_argument("--nnunet", action="store_true", help="all in one run, nnU-Net's network among them")
    parser.add_argument("--planned-for", type=int, nargs=3, help="the window whose stages the networks have")
    parser.add_argument("--peer", type=Path, help="python of an environment that has nnU-Net")
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
    steps = _passes("e2enet", window)
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


def nnunet_row(given: argparse.Namespace) -> dict[str, Any]:
    """Return the times of E2ENet at each sparsity and dense, and of nnU-Net's network, taken in turn."""
    plan = _plan(given.planned_for or given.window).model_copy(update={"window": tuple(given.window)})
    ours, theirs = _passes("e2enet", given.window), _passes("unet", given.window)
    networks = {_name(s): _built("e2enet", plan, sparsity=s) for s in (*given.sparsity, 0.0)}
    unet = _built("unet", plan)
    runs = {name: ours(open_torch(network, "cpu", "float32").parts) for name, network in networks.items()}
    runs["nnU-Net's network, torch"] = theirs(open_torch(unet, "cpu", "float32", "plain").parts)
    runs["nnU-Net's network, this runtime"] = theirs(open_torch(unet, "cpu", "float32").parts)
    timers = {name: _timer(run) for name, run in runs.items()}
    sizes = {name: _size(network) for name, network in {**networks, "nnU-Net's network": unet}.items()}
    if given.peer is not None:
        with _peer(given, plan) as process:
            sizes["nnU-Net's own"] = int(_answer(process))
            table = _in_turn(given.rounds, {**timers, "nnU-Net's own": lambda: _asked(process)})
    else:
        table = _in_turn(given.rounds, timers)
    return {"parameters": sizes, "times": table, **_as_long_as(table, list(networks))}


def _name(sparsity: float) -> str:
    return f"S = {sparsity}" if sparsity else "dense"


def _as_long_as(table: dict[str, dict[str, float]], ours: list[str]) -> dict[str, Any]:
    """Return how many times as long as each of ours the others take, by medians of wall and of processor time."""
    others = [name for name in table if name not in ours]
    return {
        f"times as long by {kind}": {
            other: {name: round(table[other][kind] / table[name][kind], 2) for name in ours} for other in others
        }
        for kind in ("wall_median_s", "cpu_median_s")
    }


def _size(network: nn.Module) -> int:
    """Return the parameters, without those of kernels that are off."""
    total = sum(p.numel() for p in network.parameters())
    for layer in network.modules():
        if isinstance(layer, MaskedConv3d | MaskedConvTranspose3d):
            total -= round(float((layer.mask == 0).sum())) * layer.weight[0, 0].numel()
    return total


def _peer(given: argparse.Namespace, plan: Plan) -> subprocess.Popen[str]:
    t = plan.topology
    words = json.dumps([given.window, given.threads, t.widths, t.kernels, t.strides, LABELS])
    command = [str(given.peer), "-c", PEER, words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    if not (line := process.stdout.readline()):
        raise SystemExit("the peer ended without an answer; its message stands above.")
    return line


def _asked(process: subprocess.Popen[str]) -> tuple[float, float]:
    """Return wall and processor time of one pass of the peer."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    wall, busy = _answer(process).split()
    return float(wall), float(busy)


def _passes(key: str, window: list[int]) -> Callable[[Any], Run]:
    """Return what makes a pass of a method over one window of noise from a network's parts."""
    infer, images = method(key).infer, torch.randn(1, 1, *window)
    noise = GridNoise(0, [Window(0, 0, 0)], tuple(window), (), "cpu")  # neither method draws any

    def steps(parts: Any) -> Run:
        @torch.inference_mode()
        def run() -> list[Tensor]:
            return [step.logits for step in infer(parts, images, noise)]

        return run

    return steps


def _network(sparsity: float, window: list[int]) -> nn.Module:
    return _built("e2enet", _plan(window), sparsity=sparsity)


def _plan(window: list[int]) -> Plan:
    return Plan.example(channels=1, labels=LABELS, window=(window[0], window[1], window[2]))


def _built(key: str, plan: Plan, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    chosen = method(key, **options)
    return chosen.build(chosen.adapt(plan)).eval()


def _children(network: nn.Module) -> dict[str, Any]:
    return dict(network.named_children())


def _apart(a: Tensor, b: Tensor) -> tuple[float, float]:
    return float((a.softmax(1) - b.softmax(1)).abs().max()), float((a.argmax(1) == b.argmax(1)).double().mean())


def _timed(rounds: int, skip: Run, dense: Run, **others: Run) -> dict[str, Any]:
    """Return times of each, taken in turn, after one round that is not counted."""
    runs = {"skipping": skip, "dense": dense, **others}
    table = _in_turn(rounds, {name: _timer(run) for name, run in runs.items()})
    ours = table["skipping"]
    faster = {
        name: {kind: round(row[kind] / ours[kind], 2) for kind in ("wall_s", "wall_median_s", "cpu_s")}
        for name, row in table.items()
        if name != "skipping"
    }
    return {"times": table, "times_faster_than": faster}


def _timer(run: Run) -> Timer:
    def timed() -> tuple[float, float]:
        wall, busy = time.perf_counter(), time.process_time()
        run()
        return time.perf_counter() - wall, time.process_time() - busy

    return timed


def _in_turn(rounds: int, timers: dict[str, Timer]) -> dict[str, dict[str, float]]:
    """Return the times of each, taken in turn, after one round that is not counted."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in timers}
    for _ in range(rounds + 1):
        for name, timer in timers.items():
            taken[name].append(timer())
    return {name: _times(values[1:]) for name, values in taken.items()}


def _times(values: list[tuple[float, float]]) -> dict[str, float]:
    wall, busy = zip(*values, strict=True)
    found = {"wall_s": min(wall), "wall_median_s": statistics.median(wall), "cpu_s": min(busy)}
    found["cpu_median_s"] = statistics.median(busy)
    return {name: round(value, 4) for name, value in found.items()}


if __name__ == "__main__":
    main()
