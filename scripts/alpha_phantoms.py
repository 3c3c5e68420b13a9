"""Measure what the weight of cost, alpha, does to Med-DANet's decision network on made-up tumours.

    python scripts/alpha_phantoms.py [--alphas 0.001 0.01 0.02] [--updates 300] [--seeds 2] [--bundle BUNDLE]
        [--among 1 4] [--cost-as-it-is]

The candidates of a bundle segment all slices of the training phantoms once; for each alpha and seed a decision network
is then trained on the best actions (eq. 4), as ``voxtrace train`` does, and tested on four unseen phantoms. Printed are
its actions, the slices with a tumour that it skips, the mean Dice of slices with a tumour (a skipped one counts 0), and
the cost of the networks at the published widths, against M4 on every slice. --among leaves D no other candidates to
choose from; --cost-as-it-is compares 1/F without the softmax.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from train_phantom import TUMOUR, Phantoms

from voxtrace import bundle
from voxtrace.methods.meddanet import MedDANet
from voxtrace.methods.published.meddanet_recipe import warmed_poly
from voxtrace.nn.model_bank import CANDIDATES, MedDANetNetwork, cost, decision_network
from voxtrace.plan import Plan
from voxtrace.training.preprocessed import preprocess_cases

BATCH, EPOCHS = 16, 50
TRAINED_ON, HELD_BACK = range(40), range(2000, 2004)


@dataclass(frozen=True)
class Slices:
    """Images (N, C, 1, Y, X), Dice (4, N) of each network on them, and ``shown`` (N,): where there is a tumour."""

    images: Tensor
    dice: Tensor
    shown: Tensor


def answered(bank: MedDANetNetwork, method: MedDANet, plan: Plan, seeds: range) -> Slices:
    """Return all slices of phantoms, and how well each network segments them."""
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        cases = list(preprocess_cases(Phantoms(TUMOUR.draw, seeds), plan, Path(folder), 0))
        images = torch.cat([torch.from_numpy(np.array(c.image)).movedim(1, 0)[:, :, None] for c in cases])
        labels = torch.cat([torch.from_numpy(np.array(c.labels, np.int64))[:, None] for c in cases])
        parts = zip(images.split(BATCH), labels.split(BATCH), strict=True)
        dice = [torch.stack([method.slice_dice(network(x), y) for _, network in bank.candidates]) for x, y in parts]
    return Slices(images.clone(), torch.cat(dice, 1).clone(), labels.flatten(1).any(1).clone())


def trained(method: MedDANet, gmac: Tensor, slices: Slices, updates: int, seed: int, among: Sequence[int]) -> nn.Module:
    """Return a decision network after so many updates; ``among`` are the candidates that it may choose, from 1."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    worth = method.worth(slices.dice, gmac)
    others = [index for index in range(len(worth)) if index + 1 not in among]
    worth[others] = -torch.inf
    wanted = torch.where(slices.shown, 1 + worth.argmax(0), 0)
    decider = decision_network(slices.images.shape[1]).train()
    adam = torch.optim.Adam(decider.parameters(), weight_decay=1e-5, amsgrad=True)
    for update in range(updates):
        for group in adam.param_groups:
            group["lr"] = 1e-2 * warmed_poly(update, updates, EPOCHS)
        chosen = torch.from_numpy(rng.choice(len(wanted), BATCH))
        loss = F.cross_entropy(decider(slices.images[chosen]), wanted[chosen], torch.tensor(method.action_weights))
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(decider.parameters(), 12.0)
        adam.step()
    return decider.eval()


def tried(decider: nn.Module, slices: Slices, gflop: Tensor) -> str:
    """Return what a decision network does with slices; ``gflop`` (5,) of skipping and M1 … M4."""
    with torch.inference_mode():
        actions = torch.cat([decider(x).argmax(1) for x in slices.images.split(BATCH)])
    dice = torch.where(actions > 0, slices.dice.gather(0, (actions - 1).clamp_min(0)[None])[0], 0.0)
    taken = np.bincount(actions.numpy(), minlength=len(gflop)).tolist()
    missed = int((slices.shown & (actions == 0)).sum())
    saved = float(len(actions) * gflop[-1] / gflop[actions].sum())
    return (
        f"skipped {taken[0]}, M1 … M4 {taken[1:]}; {missed} of {int(slices.shown.sum())} with a tumour skipped; "
        f"Dice there {float(dice[slices.shown].mean()):.3f}; {saved:.1f} times fewer GFLOP"
    )


def main() -> None:
    """Print a line for each alpha and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="tumour-phantom-meddanet")
    parser.add_argument("--alphas", type=float, nargs="+", default=[0.001, 0.01, 0.02])
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--among", type=int, nargs="+", choices=(1, 2, 3, 4), default=(1, 2, 3, 4))
    parser.add_argument("--cost-as-it-is", action="store_true")
    given = parser.parse_args()
    model = bundle.load(given.bundle)
    bank, method = cast(MedDANetNetwork, model.network), cast(MedDANet, model.method)
    method = replace(method, softmax_on_cost=not given.cost_as_it_is)
    gmac = bank.cost.published(torch.device("cpu"))
    gflop = torch.tensor([0.0, *(cost(i, 4, 4, (1, 128, 128), 1.0, "true") for i in range(len(CANDIDATES)))])
    train, held = (answered(bank, method, model.plan, seeds) for seeds in (TRAINED_ON, HELD_BACK))
    for alpha in given.alphas:
        for seed in range(given.seeds):
            decider = trained(replace(method, alpha=alpha), gmac, train, given.updates, seed, given.among)
            print(f"alpha {alpha}, {given.updates} updates, seed {seed}: {tried(decider, held, gflop)}", flush=True)


if __name__ == "__main__":
    main()
