"""Time one update of E2ENet with torch and with the sparse kernels, in turns, and print seconds of processor time.

    python scripts/time_sparse_training.py [--window 40 56 40] [--spacing-mm 1 1 1] [--batch 2] [--sparsity 0.8 0.9]

Four ways of one update, on one thread: torch in bfloat16 with channels last (what training takes where the processor
has bfloat16), torch in float32, the sparse kernels in float32 with the gradient of every kernel (the default of
E2ENet), and with that of active kernels alone (``gradient=active``). An update is loss, backward pass, clipping,
optimiser step and masks.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

import voxtrace
from voxtrace.kernels import skip_while_learning
from voxtrace.method import Batch, TrainState
from voxtrace.plan import Plan

CLIP_NORM, LABELS, WIDTH = 12.0, 4, 16


class Way(NamedTuple):
    """Which gradients are computed, in which precision, and whether the kernels do it."""

    gradient: str
    bfloat16: bool
    kernels: bool


WAYS = {
    "torch bfloat16": Way("all", True, False),
    "torch float32": Way("all", False, False),
    "kernels float32": Way("all", False, True),
    "kernels float32, gradient=active": Way("active", False, True),
}


def main() -> None:
    """Print a line of JSON for each sparsity."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", type=int, nargs=3, default=(40, 56, 40))
    parser.add_argument("--spacing-mm", type=float, nargs=3, default=(1.0, 1.0, 1.0))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--sparsity", type=float, nargs="+", default=(0.8, 0.9))
    parser.add_argument("--updates", type=int, default=4)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    plan = Plan.example(labels=LABELS, window=tuple(asked.window), spacing_mm=tuple(asked.spacing_mm), base_width=WIDTH)
    images = torch.randn(asked.batch, plan.n_channels, *plan.window)
    batch = Batch(images, torch.randint(0, LABELS, (asked.batch, *plan.window)))
    for sparsity in asked.sparsity:
        updates = {name: updater(way, plan, sparsity, batch) for name, way in WAYS.items()}
        least = dict.fromkeys(updates, math.inf)
        for turn in range(asked.updates + 1):
            for name, update in updates.items():
                started = time.process_time()
                update()
                least[name] = min(least[name], time.process_time() - started) if turn else math.inf
        print(json.dumps({"S": sparsity, "update_s": {name: round(s, 2) for name, s in least.items()}}), flush=True)


def updater(way: Way, plan: Plan, sparsity: float, batch: Batch) -> Callable[[], None]:
    """Return a function that updates a network of its own once."""
    method = voxtrace.method("e2enet", sparsity=sparsity, gradient=way.gradient)
    torch.manual_seed(0)
    network = method.build(method.adapt(plan)).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.99, nesterov=True)
    state = TrainState(method.phases(plan)[0], 1, torch.Generator())
    layout = torch.channels_last_3d if way.bfloat16 else torch.contiguous_format
    images = batch.images.contiguous(memory_format=layout)

    def update() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=way.bfloat16):
            learner = skip_while_learning(network, images) if way.kernels else network
            terms: dict[str, Tensor] = method.loss(learner, Batch(images, batch.labels), state)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
        optimizer.step()
        method.after_update(network, optimizer, state)

    return update


if __name__ == "__main__":
    main()
