"""Print the score of accuracy against size and cost (the E2ENet paper's PT score) of bundles of one's own.

    python scripts/trade_off.py BUNDLE [BUNDLE …] [--best-dice 90.5] [--least-size 7.64] [--least-cost 391.03]

``dice/best_dice + ½·(least_size/size + least_cost/cost)``: mean Dice of the held-back cases in %, from the bundle's
card; size in millions of active parameters; cost in GFLOP of one window, as the paper counts. The constants are the
best of what is compared; by default those of the paper's table on AMOS, where a window has 128³ voxels. Bundles with
windows of other sizes are compared with one another only with constants of their own.
"""

from __future__ import annotations

import argparse
from typing import Any

from voxtrace import bundle
from voxtrace.bundle import Bundle
from voxtrace.methods.published.e2enet import BEST_DICE, LEAST_COST, LEAST_SIZE, performance_trade_off
from voxtrace.nn.flops import flops, parameters


def measured(model: Bundle) -> tuple[float, float, float]:
    """Return mean Dice in %, size in millions of parameters and cost of a window in GFLOP of a bundle.

    Raises
    ------
    SystemExit
        Its card has no Dice of held-back cases.
    """
    mean: Any = model.card.get("metrics", {}).get("validation", {}).get("dice", {}).get("mean")
    if mean is None:
        raise SystemExit(f"{model.card.get('name')} has no Dice of held-back cases in its card; train it with --fold.")
    images = (model.plan.n_channels, *model.plan.window)
    return 100 * float(mean), parameters(model.network) / 1e6, flops(model.network, images, "e2e")


def main(words: list[str] | None = None) -> None:
    """Print a line for each bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--best-dice", type=float, default=BEST_DICE)
    parser.add_argument("--least-size", type=float, default=LEAST_SIZE)
    parser.add_argument("--least-cost", type=float, default=LEAST_COST)
    given = parser.parse_args(words)
    print(f"best Dice {given.best_dice} %, least size {given.least_size} M, least cost {given.least_cost} GFLOP")
    for name in given.bundles:
        dice, size, cost = measured(bundle.load(name))
        score = performance_trade_off(dice, given.best_dice, size, given.least_size, cost, given.least_cost)
        print(f"{name}: PT score {score:.3f} (Dice {dice:.2f} %, {size:.3f} M parameters, {cost:.3f} GFLOP)")


if __name__ == "__main__":
    main()
