"""Time an update by processor seconds, with our instance norm and with torch's, by precision and memory format.

    python scripts/time_norms.py [--threads 1] [--batch 2] [--updates 3]

The network is the one that nnU-Net plans for the hippocampus (window 40×56×40, widths 32-64-128-256). An update is the
forward pass, the loss at every resolution, the backward pass, clipping and SGD. torch's norm in float32 and contiguous
format is what nnU-Net's trainer computes on a CPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from voxtrace.bench.training_inputs import TrainingPlan
from voxtrace.method import Batch, Optimiser, Phase, TrainState
from voxtrace.methods import method
from voxtrace.nn.instance_norm import WindowNorm
from voxtrace.plan import Plan, Topology
from voxtrace.training.optimiser import make_optimiser
from voxtrace.training.training_run import set_layout

FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last_3d}


def main() -> None:
    """Print a line for each combination; the first is what the others are compared with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--updates", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = [(norm, precision, layout) for norm in ("torch", "ours") for precision in (torch.float32, torch.bfloat16)
            for layout in FORMATS if (precision, layout) != (torch.bfloat16, "contiguous")]  # fmt: skip
    updates = {row: _update(*row, given.batch) for row in rows}
    seconds: dict[tuple[str, torch.dtype, str], list[float]] = {row: [] for row in rows}
    for number in range(given.updates + 1):
        for row, update in updates.items():  # in turn, so that disturbances fall on all alike
            began = time.process_time()
            update()
            if number:
                seconds[row].append(time.process_time() - began)
    first = statistics.median(seconds[rows[0]])
    for (norm, precision, layout), took in seconds.items():
        middle = statistics.median(took)
        print(f"{norm:5} {str(precision)[6:]:8} {layout:13} {middle:.3f} s [{min(took):.3f}, {max(took):.3f}] "
              f"{first / middle:.2f}×")  # fmt: skip


def _update(norm: str, precision: torch.dtype, layout: str, batch: int) -> Callable[[], None]:
    made, wanted = method("unet"), TrainingPlan()
    topology = Topology(widths=wanted.widths, kernels=((3, 3, 3),) * 4, strides=((1, 1, 1), *((2, 2, 2),) * 3))
    plan = Plan.example(labels=3, window=wanted.window).model_copy(update={"topology": topology, "batch_size": batch})
    torch.manual_seed(0)
    network = made.build(plan)
    for module in network.modules():
        if isinstance(module, WindowNorm) and norm == "torch":
            module.__class__ = nn.InstanceNorm3d
    set_layout(network, FORMATS[layout])
    weights = list(network.parameters())
    optimiser = make_optimiser(weights, Optimiser())
    images = torch.randn(batch, 1, *plan.window).contiguous(memory_format=FORMATS[layout])
    state = TrainState(Phase("train", 1), 0, torch.Generator())
    windows = Batch(images, torch.randint(0, 3, (batch, *plan.window)))

    def update() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
            terms = made.loss(network, windows, state)
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(weights, 12)
        optimiser.step()

    return update


if __name__ == "__main__":
    main()
