"""Measure Med-DANet's decisions on unseen phantoms: actions, wrongly skipped slices, Dice of each label, also forced.

python scripts/route_phantoms.py [--bundle tumour-phantom-meddanet] [--cases 4]
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from voxtrace import bundle
from voxtrace.inference import predict
from voxtrace.metrics import dice
from voxtrace.phantoms import brain_tumour_mr

FIRST_SEED = 2000  # neither trained on nor validated on
WHO = ("router", "expert1", "expert2", "expert3", "expert4")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--bundle", default="tumour-phantom-meddanet")
    given = parser.parse_args()
    cases = [brain_tumour_mr(seed) for seed in range(FIRST_SEED, FIRST_SEED + given.cases)]
    model = bundle.load(given.bundle)
    actions: Counter[int] = Counter()
    with_tumour = wrongly_skipped = 0
    scores: dict[str, list[list[float]]] = {who: [] for who in WHO}
    for case in cases:
        for who in WHO:
            result = predict(model, case.volume, mirror=False, options={"force": who})
            scores[who].append([dice(result.labels, case.labels, label) for label in case.labels.names])
            if who == "router":
                chosen = result.trace.facts["candidate"][0].astype(int)
                actions.update(chosen.tolist())
                tumour = np.array([bool(case.labels.data[z].any()) for z in result.trace.windows[:, 0]])
                with_tumour += int(tumour.sum())
                wrongly_skipped += int((tumour & (chosen == 0)).sum())
    print(f"slices by action (0 skips): {dict(sorted(actions.items()))}")
    print(f"slices with a tumour: {with_tumour}, of them skipped: {wrongly_skipped}")
    names = cases[0].labels.names.values()
    for who, values in scores.items():
        each = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, np.mean(values, axis=0), strict=True))
        print(f"mean Dice, {who}: {np.mean(values):.4f} ({each})")


if __name__ == "__main__":
    main()
