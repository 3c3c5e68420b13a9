"""Measure Med-DANet's decisions on unseen phantoms: actions, wrongly skipped slices, Dice of each label, also forced.

    python scripts/route_phantoms.py [--bundle tumour-phantom-meddanet] [--cases 4] [--varied]

Below the table: whether the candidates are worth choosing between, and what the choices are worth (skill).
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from voxtrace import bundle
from voxtrace.bundle import Bundle
from voxtrace.inference import predict
from voxtrace.method import Batch
from voxtrace.metrics import dice
from voxtrace.phantoms import brain_tumour_mr, varied_lesions_mr
from voxtrace.training.preprocessed import preprocess_cases
from voxtrace.volume import Case

FIRST_SEED = 2000  # neither trained on nor validated on
WHO = ("router", "expert1", "expert2", "expert3", "expert4")


def slices(model: Bundle, cases: Sequence[Case]) -> Iterator[Batch]:
    """Yield all slices of the cases as the networks see them, a case at a time."""
    with tempfile.TemporaryDirectory() as folder:
        for case in preprocess_cases(cases, model.plan, Path(folder), 0):
            images = torch.from_numpy(np.array(case.image)).movedim(1, 0)[:, :, None]
            yield Batch(images, torch.from_numpy(np.array(case.labels, np.int64))[:, None])


def print_quality(model: Bundle, cases: Sequence[Case]) -> None:
    """Print what the method finds on slices of the cases after each of its phases."""
    for phase in (*model.method.kept_phases(model.plan), *model.method.phases(model.plan)):
        with torch.no_grad():
            found = model.method.examine(model.network, phase, lambda: slices(model, cases))
        if found:
            print(found["sentence"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--bundle", default="tumour-phantom-meddanet")
    parser.add_argument("--varied", action="store_true", help="phantoms with lesions of varied difficulty")
    given = parser.parse_args()
    draw = varied_lesions_mr if given.varied else brain_tumour_mr
    cases = [draw(seed) for seed in range(FIRST_SEED, FIRST_SEED + given.cases)]
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
    print_quality(model, cases)


if __name__ == "__main__":
    main()
