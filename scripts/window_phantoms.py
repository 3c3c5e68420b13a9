"""Compare the windows of the shipped CDL-UNet on unseen phantoms of three sizes: number, seconds and mean Dice.

    python scripts/window_phantoms.py [--size small medium large] [--cases 6] [--json FILE]

Regular windows, adaptive ones, and adaptive ones with the published starts alone (`central_only`) take turns on each
phantom, in one process. *small* is as the model was trained and
shipped, 240 mm long; *medium* is 480 mm long, of which the organs take half; *large* is 800 mm long, the whole trunk,
of which they take a quarter, with nothing but aorta and spine in the rest. Seconds are wall and processor time of whole
predictions. Means over the phantoms; differences are paired by phantom, with 95 % bootstrap interval and p of
Wilcoxon's test.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace import bundle
from voxtrace.batch.paired import paired
from voxtrace.bundle import Bundle
from voxtrace.inference import predict
from voxtrace.metrics import dice
from voxtrace.phantoms import abdomen_ct
from voxtrace.volume import Case, Shape

FIRST_SEED = 2000  # neither trained on nor validated on
SIZES: dict[str, Shape] = {"small": (48, 96, 96), "medium": (96, 128, 128), "large": (160, 128, 128)}
WAYS: dict[str, dict[str, Any]] = {
    "regular": {"windows": "regular"},
    "adaptive": {"windows": "adaptive"},
    "published starts": {"windows": "adaptive", "central_only": True},
}


def measured(model: Bundle, case: Case, options: dict[str, Any]) -> dict[str, float]:
    """Return windows run and skipped, wall and processor seconds, and mean Dice of a prediction."""
    wall, busy = time.perf_counter(), time.process_time()
    result = predict(model, case.volume, options=options)
    seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - busy}
    skipped = len(result.trace.window_sets.get("skipped", ()))
    scores = [dice(result.labels, case.labels, label) for label in case.labels.names]
    return {"windows": result.facts["windows"], "skipped": skipped, **seconds, "dice": float(np.mean(scores))}


def main() -> None:
    """Print what each size takes, a line for each way to lay windows and for each difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model = bundle.load("abdomen-phantom-cdlunet")
    predict(model, abdomen_ct(FIRST_SEED).volume)  # what a first prediction loads is not counted
    found = {size: _compared(model, size, given.cases) for size in given.size}
    if given.json:
        given.json.write_text(json.dumps(found), encoding="utf-8")


def _compared(model: Bundle, size: str, count: int) -> dict[str, list[dict[str, float]]]:
    """Print and return what each way to lay windows takes, for each phantom of a size."""
    rows: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        case = abdomen_ct(seed, SIZES[size])
        for way, options in WAYS.items():
            rows[way].append(measured(model, case, options))
    print(f"{size}: {SIZES[size]} voxels, {count} phantoms")
    for way, of in rows.items():
        ran, left_out = ([int(row[what]) for row in of] for what in ("windows", "skipped"))
        seconds = f"{_mean(of, 'seconds'):.2f} (processor {_mean(of, 'cpu_seconds'):.2f})"
        print(f"  {way}: windows {ran}, skipped {left_out}, seconds {seconds}, Dice {_mean(of, 'dice'):.4f}")
    for way in list(WAYS)[1:]:
        for what in ("dice", "seconds", "cpu_seconds"):
            print(f"  {way} − regular, {what}: {_difference(rows[way], rows['regular'], what)}", flush=True)
    return rows


def _mean(rows: Sequence[dict[str, float]], what: str) -> float:
    return float(np.mean([row[what] for row in rows]))


def _difference(one: Sequence[dict[str, float]], other: Sequence[dict[str, float]], what: str) -> str:
    found = paired([row[what] for row in one], [row[what] for row in other])
    return f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}], p {found.p:.2g}, n {found.count}"


if __name__ == "__main__":
    main()
