"""Say how well Med-DANet's decision network knows which slices of held-back cases show anything.

    python scripts/presence.py DATASET BUNDLE ... [--fold 0]

For bundles of slices as large as a plane: the area under the ROC curve of the probability of skipping, over slices; how
many slices with a label are run where skipping takes more than one half, 0.9 or 0.98; and the mean Dice of each
candidate when exactly those slices are run, and when those that show something are.
"""

from __future__ import annotations

import argparse
from typing import cast

import numpy as np
import torch

from voxtrace.bundle import Bundle, load
from voxtrace.nn.model_bank import MedDANetNetwork
from voxtrace.preprocess import PlaneStream, grid_of, network_labels
from voxtrace.training import open_dataset
from voxtrace.training.dataset import fold
from voxtrace.training.preprocessed import cut
from voxtrace.training.sampling import draw_start
from voxtrace.volume import Array, Case

THRESHOLDS = (0.5, 0.9, 0.98)


def looked(model: Bundle, case: Case) -> tuple[Array, Array, dict[str, Array]]:
    """Return p(skip) of each slice (Z,), the labels (Z, Y, X) as the network sees them, and each candidate's answer."""
    grid, plan = grid_of(case.volume, model.plan), model.plan
    images = np.asarray(PlaneStream(grid, case.volume, plan).planes(0, grid.shape[0]))
    labels = np.asarray(network_labels(case.labels, plan, grid))
    size = (len(labels), *plan.window[1:])
    start = draw_start(labels.shape, size, None, np.random.default_rng(0))
    network = cast(MedDANetNetwork, model.network).eval()
    x = torch.from_numpy(cut(images, start, size)).float().transpose(0, 1)[:, :, None]  # (Z, C, 1, Y, X)
    with torch.inference_mode():
        p = network.router(x).softmax(1)[:, 0].numpy()
        answers = {name: candidate(x).argmax(1)[:, 0].numpy() for name, candidate in network.candidates}
    return p, cut(labels, start, size), answers


def mean_dice(answer: Array, labels: Array, run: Array, n_labels: int) -> float:
    """Return the mean Dice over labels when only some slices are run."""
    given = np.where(run[:, None, None], answer, 0)
    found = []
    for label in range(1, n_labels):
        one, other = given == label, labels == label
        both = one.sum() + other.sum()
        found.append(2.0 * (one & other).sum() / both if both else np.nan)
    return float(np.nanmean(found))


def tell(name: str, model: Bundle, cases: list[Case]) -> None:
    """Print what there is to say of one bundle."""
    made = [looked(model, case) for case in cases]
    p = np.concatenate([one for one, _, _ in made])
    shown = np.concatenate([(labels > 0).any((1, 2)) for _, labels, _ in made])
    area = float(np.mean((p[shown][:, None] < p[~shown]) + 0.5 * (p[shown][:, None] == p[~shown])))
    print(f"{name}: {len(p)} slices, {shown.sum()} with a label; area under the ROC curve {area:.3f}")
    for most in THRESHOLDS:
        run = p <= most
        print(f"  skipped above {most}: {run.sum()} run, {(run & shown).sum()} of {shown.sum()} with a label")
    for candidate in made[0][2]:
        told = []
        for most in (*THRESHOLDS, np.nan):
            runs = [np.asarray((labels > 0).any((1, 2)) if np.isnan(most) else one <= most) for one, labels, _ in made]
            rows = zip(made, runs, strict=True)
            told.append(np.mean([mean_dice(a[candidate], g, run, model.plan.n_labels) for (_, g, a), run in rows]))
        print(f"  {candidate}: mean Dice " + " ".join(f"{value:.3f}" for value in told) + " (the last: by the labels)")


def main() -> None:
    """Print what each bundle's decision network knows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--fold", type=int, default=0)
    given = parser.parse_args()
    _, held_back = fold(open_dataset(given.dataset), given.fold)
    cases = [held_back[number] for number in range(len(held_back))]
    for name in given.bundles:
        tell(name, load(name), cases)


if __name__ == "__main__":
    main()
