"""Compare the windows of the shipped CDL-UNet on unseen phantoms: mean Dice and windows run, adaptive and regular.

python scripts/window_phantoms.py [--cases 4]
"""

from __future__ import annotations

import argparse

import numpy as np

from voxtrace import bundle
from voxtrace.inference import predict
from voxtrace.metrics import dice
from voxtrace.phantoms import abdomen_ct

FIRST_SEED = 2000  # neither trained on nor validated on


def main() -> None:
    """Print a line for each way to lay windows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4)
    seeds = range(FIRST_SEED, FIRST_SEED + parser.parse_args().cases)
    model = bundle.load("abdomen-phantom-cdlunet")
    for windows in ("adaptive", "regular"):
        scores, visited = [], []
        for seed in seeds:
            case = abdomen_ct(seed)
            result = predict(model, case.volume, options={"windows": windows})
            scores.append(np.mean([dice(result.labels, case.labels, label) for label in case.labels.names]))
            visited.append(result.facts["windows"])
        print(f"{windows}: mean Dice {np.mean(scores):.4f}, windows {visited}")


if __name__ == "__main__":
    main()
