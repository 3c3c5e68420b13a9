"""Measure a phantom bundle, as ``voxtrace models measure`` measures one that was trained on a dataset.

    python scripts/measure_phantom.py METHOD BUNDLE [--cases 40] [--validate 10] [--time 3]

The ranges of the training phantoms (seeds 0 …), measures of the validation phantoms (seeds 1000 …) with the three
worst pictured, the identity of every phantom, and the licence of the made-up scans go into the card of the bundle.
Weights, options and answers stay as they are: no rule of post-processing is looked for. ``--time N`` takes the seconds
of a prediction from the first N validation phantoms: processor time of one thread, which is what an idle core takes,
for machines that other work keeps busy.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from ship_model import seconds
from train_phantom import LICENCE, SETTINGS, Phantoms

from voxtrace.bundle import Bundle, annotate, load
from voxtrace.inference import predict
from voxtrace.training.card import CASE_LISTS
from voxtrace.training.failures import picture, pictured
from voxtrace.training.identity import identify
from voxtrace.training.measuring import measure
from voxtrace.volume import Case


def measured(bundle: Bundle, cases: Sequence[Case], held: Sequence[Case]) -> dict[str, Any]:
    """Return the entries of the card; print how far it is."""
    task = measure(bundle, cases, held, "cpu", lambda: False, rules=False)
    while True:
        try:
            progress = next(task)
        except StopIteration as stop:
            return dict(stop.value)
        print(progress.phase, f"{progress.iteration}/{progress.total}", flush=True)


def origin(made: Mapping[str, Any], cases: Sequence[Case], held: Sequence[Case]) -> dict[str, Any]:
    """Return a provenance that says which phantoms were learned and which held back, and under which licence."""
    rows = [[identify(case).to_json() for case in side] for side in (cases, held)]
    return {**made, "dataset_licence": LICENCE, **dict(zip(CASE_LISTS, rows, strict=True))}


def worst(bundle: Bundle, entries: Mapping[str, Any], held: Sequence[Case]) -> dict[str, bytes]:
    """Return the pictures of the cases that the entries of a card name as its worst."""
    named = {case.name: case for case in held}
    rows = [named[row["case"]] for row in entries.get("failures") or ()]
    answers = [(case, predict(bundle, case.volume).labels.data) for case in rows]
    return {f"failure_{rank}.png": picture(bundle, *one) for rank, one in enumerate(answers, start=1)}


def main() -> None:
    """Measure, write and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=sorted(SETTINGS))
    parser.add_argument("bundle")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--validate", type=int, default=10)
    parser.add_argument("--time", type=int, default=0)
    given = parser.parse_args()
    draw = SETTINGS[given.method].subject.draw
    seeds = range(given.cases), range(1000, 1000 + given.validate)
    cases, held = ([*Phantoms(draw, row)] for row in seeds)
    bundle = load(given.bundle)
    entries = measured(bundle, cases, held)
    made = origin(entries.get("provenance", bundle.card["provenance"]), cases, held)
    if given.time:
        took = {"seconds": seconds(given.bundle, held[: given.time]), "cases": given.time, "device": "cpu, one thread"}
        made["prediction"] = {**made.get("prediction", {}), **took}
    annotate(given.bundle, {**entries, "provenance": made})  # rules of post-processing and the like first
    pictures = worst(load(given.bundle), entries, held)
    annotate(given.bundle, {"failures": pictured(entries, pictures)["failures"]} if pictures else {}, pictures or None)
    print({name: value for name, value in entries.items() if name not in ("metrics", "provenance")})


if __name__ == "__main__":
    main()
