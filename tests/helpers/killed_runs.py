"""Train a method, kill it at random moments, resume it, and compare the weights: each run is a forked process.

    python killed_runs.py FOLDER METHOD KILLS SEED

Prints a JSON object: ``kills`` that happened, ``seconds`` of an undisturbed run, the digest of its weights and of those
of each run that was killed, and ``left``, what such runs left beside their bundles.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch

import voxtrace.inference
import voxtrace.training.trainer  # noqa: F401 - imported once, before the forks
from cases import ball, drain, small_plan
from voxtrace.methods import method
from voxtrace.training import train

CONFIG: dict[str, Any] = {
    "device": "cpu",
    "precision": "float32",
    "half": False,
    "checkpoint_every": 3,
    "keep_every": 4,
    "average": 0.9,
    "validate_every": 5,
    "preview": "ball_001",
}


def run(name: str, out: Path) -> None:
    """Train, or go on where a run was killed."""
    cases = [ball(seed) for seed in range(4)]
    drain(train(method(name), small_plan(), cases, out=out, validate=cases[:1], resume=True, **CONFIG))


def forked(name: str, out: Path) -> int:
    """Start a process that trains, and return its number."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        run(name, out)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ended(child: int, seconds: float) -> bool:
    """Return whether a process ended by itself in so many seconds; if not, it is killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (found := os.waitpid(child, os.WNOHANG))[0]:
            assert found[1] == 0, "the training failed"
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, "the training failed"
        return True
    return False


def digest(out: Path) -> str:
    """Return a hash of a bundle's weights."""
    return hashlib.sha256((out / "weights.safetensors").read_bytes()).hexdigest()


def main() -> None:
    """Do it."""
    warnings.simplefilter("ignore")
    folder, name, kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    rng, began = random.Random(int(sys.argv[4])), time.monotonic()
    assert ended(forked(name, folder / "whole"), 600)
    seconds, killed, digests = time.monotonic() - began, 0, []
    while killed < kills:
        out, before, began = folder / f"killed_{len(digests)}", killed, time.monotonic()
        while not ended(forked(name, out), rng.uniform(0, seconds)):
            killed += 1
        if killed == before:  # it ended first; other runs of the machine have ended, or code is compiled now
            seconds = min(seconds, time.monotonic() - began)
        assert ended(forked(name, out), 600)  # finished: resuming changes nothing and clears what is left
        digests.append(digest(out))
    left = sorted(path.name for path in folder.iterdir() if not (path / "bundle.json").is_file())
    hidden = sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))
    sys.stdout.write(
        json.dumps(
            {
                "kills": killed,
                "seconds": seconds,
                "whole": digest(folder / "whole"),
                "killed": digests,
                "left": [n for n in left if not n.endswith(".preview")] + hidden,
            }
        )
    )


if __name__ == "__main__":
    main()
