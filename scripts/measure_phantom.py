"""Measure a phantom bundle, as ``voxtrace models measure`` measures one that was trained on a dataset.

    python scripts/measure_phantom.py METHOD BUNDLE [--cases 40] [--validate 10]

The ranges of the training phantoms (seeds 0 …), and volumes and traces of the validation phantoms (seeds 1000 …), go
into the card of the bundle; the weights stay as they are. ``--validate 0`` leaves the measures of validation alone.
"""

from __future__ import annotations

import argparse

from train_phantom import SETTINGS, Phantoms

from voxtrace.bundle import annotate, load
from voxtrace.training.measuring import measure


def main() -> None:
    """Measure, write and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=sorted(SETTINGS))
    parser.add_argument("bundle")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--validate", type=int, default=10)
    given = parser.parse_args()
    draw = SETTINGS[given.method].subject.draw
    cases, held = Phantoms(draw, range(given.cases)), Phantoms(draw, range(1000, 1000 + given.validate))
    task = measure(load(given.bundle), cases, held, "cpu", lambda: False)
    while True:
        try:
            progress = next(task)
        except StopIteration as stop:
            annotate(given.bundle, stop.value)
            print({name: value for name, value in stop.value.items() if name != "metrics"})
            return
        print(progress.phase, f"{progress.iteration}/{progress.total}", flush=True)


if __name__ == "__main__":
    main()
