"""Put a trained bundle among those that come with the package: name, maker's words, worst cases pictured.

    python scripts/ship_model.py BUNDLE NAME ABOUT.toml [MORE.toml] [--dataset DATASET] [--time N] [--licence WORDS]
        [--use WORDS] [--channel NAME]

BUNDLE stays as it is; where it is the shipped one itself, its card is written anew. Words of a later file go before
those of an earlier one. Weights are stored as they are there; the log of the training is left out. With DATASET, the
one that it was trained on, the three worst held-back cases are segmented once more and pictured beside the card, which
must be allowed by the data's licence, what all of them cost is counted where networks are chosen between, and the cases
of the fold are listed where an older training did not. `--time N` takes the seconds of a prediction anew, from the
first N held-back cases: processor time of one thread, which is what an idle core takes, for machines that other work
kept busy. `--licence` names that of the data, where the dataset states none; `--use` is the line at the top of the
card; `--channel` the one that pictures show.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.bundle import CARD, JSON, SHIPPED, WEIGHTS, annotate, card, load, window_cost
from voxtrace.fit import ABOUT, claim_items, read_about
from voxtrace.fit.cost import CHOICES, RUN, RUN_WINDOWS
from voxtrace.fit.shown_channel import SHOWN_CHANNEL, check_shown_channel
from voxtrace.inference import predict
from voxtrace.trace.places import spent_gflop
from voxtrace.training import open_dataset
from voxtrace.training.card import CASE_LISTS
from voxtrace.training.dataset import CaseFolder, fold
from voxtrace.training.failures import picture, pictured
from voxtrace.training.identity import identify, unread
from voxtrace.volume import Case

MOST_BYTES = 4_000_000


def listed(made: dict[str, Any], sides: tuple[CaseFolder, CaseFolder]) -> dict[str, Any]:
    """Return a provenance with the cases of its fold, where it has none and their number is the one it states."""
    if any(made.get(part) for part in CASE_LISTS) or made.get("cases") != len(sides[0]):
        return made
    rows = [[identify(unread(side, number)).to_json() for number in range(len(side))] for side in sides]
    return {**made, **dict(zip(CASE_LISTS, rows, strict=True))}


def stated(record: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Return the entries of a card that the command line states: intended use, licence of the model and of its data."""
    changes: dict[str, Any] = {"intended_use": given.use} if given.use else {}
    if given.channel:
        check_shown_channel(record, given.channel)
        changes[SHOWN_CHANNEL] = given.channel
    if given.licence:
        changes["licence"] = f"{given.licence} (the training data's)"
        changes["provenance"] = {**record["provenance"], "dataset_licence": given.licence}
    return changes


def cost(folder: Path, held_back: CaseFolder) -> dict[str, Any]:
    """Return what a card says of cost: of a window, and where networks are chosen between, what was run."""
    model = load(folder)
    found = window_cost(model.method, model.plan, model.network)
    if CHOICES not in found:
        return found
    traces = [predict(model, case.volume, keep="labels").trace for case in held_back]
    windows = sum(len(trace.boxes()) for trace in traces)
    spent = sum(spent_gflop(trace) or 0.0 for trace in traces)
    return {**found, RUN: float(f"{spent / windows:.6g}"), RUN_WINDOWS: windows}


def words(files: Sequence[Path]) -> dict[str, str]:
    """Return what the maker says, by name in the order of the card; a later file goes before an earlier one."""
    told = {name: text for file in files for name, text in read_about(file).items()}
    return {name: told[name] for name in ABOUT if name in told}


def worst(folder: Path, record: dict[str, Any], held_back: CaseFolder) -> dict[str, bytes]:
    """Return the pictures of the cases that a card names as its worst."""
    model, found = load(folder), {}
    cases = {files.name: files for files in held_back.files}
    for rank, row in enumerate(record.get("failures", ()), start=1):
        case = cases[row["case"]].load()
        found[f"failure_{rank}.png"] = picture(model, case, predict(model, case.volume).labels.data)
    return found


def seconds(folder: Path | str, cases: Sequence[Case]) -> float:
    """Return the median processor time of a prediction; the first one, which compiles, is not counted."""
    model, found = load(folder), []
    for case in (cases[0], *cases):
        began = time.process_time()
        predict(model, case.volume, keep="labels")
        found.append(time.process_time() - began)
    return round(float(np.median(found[1:])), 2)


def main() -> None:
    """Write the bundle, and print its size and how much of CLAIM its card tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("name")
    parser.add_argument("about", type=Path, nargs="+")
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--time", type=int, default=0)
    parser.add_argument("--licence", default="")
    parser.add_argument("--use", default="")
    parser.add_argument("--channel", default="")
    given = parser.parse_args()
    out = SHIPPED / given.name
    out.mkdir(exist_ok=True)
    for file in given.bundle.iterdir() if given.bundle.resolve() != out.resolve() else ():
        if file.name in (JSON, CARD, WEIGHTS) or file.suffix in (".svg", ".png"):
            shutil.copy2(file, out / file.name)
    record, pictures = card(out), None
    changes: dict[str, Any] = {"name": given.name, "about": words(given.about), **stated(record, given)}
    annotate(out, changes)
    if given.dataset:
        sides = fold(open_dataset(given.dataset), int(record["provenance"]["fold"]))
        changes["provenance"] = listed(changes.get("provenance", record["provenance"]), sides)
        changes["cost"] = cost(out, sides[1])
        if pictures := worst(out, record, sides[1]):
            changes["failures"] = pictured(record, pictures)["failures"]
        if given.time:
            run = changes["provenance"].get("prediction", {})
            took = {"seconds": seconds(out, sides[1][: given.time]), "cases": given.time, "device": "cpu, one thread"}
            changes["provenance"] = {**changes["provenance"], "prediction": {**run, **took}}
    annotate(out, changes, pictures or None)
    size = sum(file.stat().st_size for file in out.iterdir())
    items = claim_items(card(out))
    told, apply = sum(bool(item.where) for item in items), sum(item.applies for item in items)
    print(f"{out}: {size / 1e6:.2f} MB, {told} of {apply} items of CLAIM{'; too large' if size > MOST_BYTES else ''}")


if __name__ == "__main__":
    main()
