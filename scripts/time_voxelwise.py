"""Time the voxel-wise kernels against torch's operators, in turns, and print how many times faster they are.

    python scripts/time_voxelwise.py [--window 32 128 192] [--labels 14] [--threads 1] [--repeats 7]

A row for each operation of the engine: the least milliseconds of both, and their ratio. On one thread
it is processor time, which other programs disturb least; on several it is wall time.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from voxtrace.inference import ops_numba, ops_torch
from voxtrace.inference.score_plane import ScorePlane
from voxtrace.preprocess import axis_weights

Call = Callable[[Any], object]
INPUT, NETWORK = 512, 341  # voxels of a side of the input's plane and of the network's


def main() -> None:
    """Print a line of JSON for each operation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", type=int, nargs=3, default=(32, 128, 192))
    parser.add_argument("--labels", type=int, default=14)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    clock = time.process_time if asked.threads == 1 else time.perf_counter
    for name, call in operations(tuple(asked.window), asked.labels):
        least = {"kernel": math.inf, "torch": math.inf}
        for turn in range(asked.repeats + 1):
            for way, ops in (("kernel", ops_numba), ("torch", ops_torch)):
                started = clock()
                call(ops)
                least[way] = min(least[way], clock() - started) if turn else math.inf
        row = {f"{way}_ms": round(1000 * seconds, 2) for way, seconds in least.items()}
        print(json.dumps({"operation": name, **row, "times_faster": round(least["torch"] / least["kernel"], 1)}))


def operations(window: tuple[int, ...], labels: int) -> Iterator[tuple[str, Call]]:
    """Yield the name of each operation, and a function that runs it with the functions it is given."""
    chance = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(1, labels, *window, generator=chance)
    before = logits.argmax(1).to(torch.uint8)
    yield "argmax_entropy", lambda ops: ops.argmax_entropy(logits, before)
    normaliser, blend = logits[0].logsumexp(0), torch.rand(*window, generator=chance)
    sums, peaks = torch.zeros(labels, *window), np.zeros((labels, window[0]), np.float32)
    yield "accumulate", lambda ops: ops.accumulate(sums, peaks, logits[0], normaliser, blend, (0, 0, 0))
    ring, weights, names = (
        torch.rand(1, labels, 4, NETWORK, NETWORK),
        torch.ones(4, NETWORK, NETWORK),
        np.arange(labels),
    )
    yield "take_plane", lambda ops: ops.take_plane(ring, weights, 0, names.astype(np.uint8))
    below, above = (smooth_plane(labels, shift) for shift in (0, 5))
    taps = axis_weights(NETWORK, INPUT, "linear")
    yield "upsample_argmax", lambda ops: ops.upsample_argmax(below, above, 0.5, taps, taps, 1 / labels)


def smooth_plane(labels: int, shift: int) -> ScorePlane:
    """Return probabilities as a network gives them: each label is strongest in a region of its own."""
    y, x = torch.meshgrid(torch.arange(NETWORK), torch.arange(NETWORK), indexing="ij")
    centres = torch.arange(labels) * (NETWORK / labels) + shift
    scores = -((y + x)[None] / 2 - centres[:, None, None]).abs()
    return ScorePlane(scores.softmax(0)[None].contiguous(), np.arange(labels, dtype=np.uint8))


if __name__ == "__main__":
    main()
