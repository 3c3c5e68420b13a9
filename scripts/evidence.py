"""Test what the papers claim on the held-back cases of a fold: effect, 95 % interval, paired test, verdict in words.

    python scripts/evidence.py steps DATASET BUNDLE [--against UNET] [--arm NAME=BUNDLE ...] [--steps N]
    python scripts/evidence.py route DATASET BUNDLE [--against UNET] [--mirror]
    python scripts/evidence.py windows DATASET BUNDLE [--arm "easy only=BUNDLE" ...]
    python scripts/evidence.py stepping DATASET BUNDLE [BUNDLE ...] [--seeds N]
    python scripts/evidence.py rest DATASET BUNDLE [--steps N]

`steps` is for methods that decide again (RecycleNet's cycles, diffusion's steps, E2ENet's heads), `route` for
Med-DANet, `windows` for CDL-UNet; each arm is another bundle of the same cases. `stepping` measures whether a trace
finds errors (of several bundles, also where they disagree; `--seeds` takes the vote of so many), and `rest` how much
RecycleNet's normalised features still change from cycle to cycle.
DATASET is a folder with a dataset, its fold by `--fold` (0), or `abdomen` or `tumour` for phantoms that no bundle
has seen. Networks are compared as they answer, small pieces included, the cases of a subject averaged first.
`--cases N` takes the first ones; `--json FILE` keeps every case's numbers, from which `figures.py` draws. `route` is
without mirror images, since each is decided for itself; `--mirror` adds the Dice of their mean, as predictions have it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from stepping_measures import case_table, foretelling, look, set_apart, voxel_table, with_the_others

from voxtrace import bundle
from voxtrace.batch.paired import Paired, paired
from voxtrace.bundle import Bundle
from voxtrace.inference import predict
from voxtrace.inference.progress import Result
from voxtrace.methods.recyclenet import RecycleNet
from voxtrace.metrics import dice, finite_mean, without_ignored
from voxtrace.phantoms import abdomen_ct, brain_tumour_mr
from voxtrace.training import open_dataset
from voxtrace.training.dataset import fold
from voxtrace.volume import Array, Case, LabelMap

PHANTOMS = {"abdomen": abdomen_ct, "tumour": brain_tumour_mr}
FIRST_SEED, PHANTOM_CASES = 2000, 10  # neither trained on nor validated on
FEWEST = 6  # cases, below which nothing is tested
CLOSE = 0.002  # of Dice: a fall that does not count
UNET = "the U-Net"  # the arm of --against
SHOWN = ("router", "expert1", "expert2", "expert3", "expert4")


def cases_of(given: argparse.Namespace) -> Iterator[Case]:
    """Yield the held-back cases, or phantoms."""
    if given.dataset in PHANTOMS:
        count = given.cases or PHANTOM_CASES
        yield from (PHANTOMS[given.dataset](seed) for seed in range(FIRST_SEED, FIRST_SEED + count))
    else:
        _, held_back = fold(open_dataset(given.dataset), given.fold)
        yield from held_back[: given.cases or None]


def subjects_of(given: argparse.Namespace) -> list[str]:
    """Return whose scan each case is, in the order of the cases; each phantom is its own subject."""
    if given.dataset in PHANTOMS:
        return [str(number) for number in range(given.cases or PHANTOM_CASES)]
    dataset = open_dataset(given.dataset)
    _, held_back = fold(dataset, given.fold)
    return [dataset.subjects[files.name] for files in held_back.files[: given.cases or None]]


def averaged(values: Sequence[float], subjects: Sequence[str]) -> list[float]:
    """Return the mean over each subject's cases: two frames of one heart are not two hearts."""
    found: dict[str, list[float]] = {}
    for subject, value in zip(subjects, values, strict=True):
        found.setdefault(subject, []).append(value)
    return [finite_mean(of) for of in found.values()]


def mean_dice(labels: Array, case: Case, model: Bundle) -> float:
    """Return the mean Dice of a label map over the model's labels that it or the reference has."""
    names = {value: name for value, name in model.plan.labels.items() if value}
    made, true = without_ignored(LabelMap(labels, case.labels.geometry, names), case.labels, model.plan.ignored)
    return finite_mean(dice(made, true, value, absent=np.nan) for value in names)


def measured(model: Bundle, case: Case, **changes: Any) -> tuple[Result, dict[str, Any]]:
    """Return a prediction, and its Dice and changed voxels at each step, seconds, windows and GFLOP."""
    began = time.perf_counter()
    result = predict(model, case.volume, keep="labels", post_processing="none", **changes)
    seconds, trace = time.perf_counter() - began, result.trace
    changed = [int(row["changed_voxels"]) for row in trace.summary()]
    cost = trace.facts.get("cost_gflop")
    return result, {
        "dice": [mean_dice(np.asarray(step), case, model) for step in trace.labels[:]],
        "changed": changed,
        "seconds": seconds,
        "windows": result.facts["windows"],
        "gflop": None if cost is None else float(np.nansum(cost[-1])),
    }


def verdict(found: Paired, margin: float = 0.0) -> str:
    """Return whether the first exceeds the other, or with a margin falls behind by no more than that, in words."""
    if found.count < FEWEST:
        return f"not testable here: {found.count} cases"
    if found.low > -margin:
        return "seen"
    return "not seen: the opposite" if found.high < -margin else "not seen: the interval holds both"


def told(
    claim: str, one: Sequence[float], other: Sequence[float], margin: float = 0.0, subjects: Sequence[str] = ()
) -> dict[str, Any]:
    """Print and return a claim with its effect, interval, p and verdict; with subjects, values are those of cases."""
    if subjects:
        one, other = averaged(one, subjects), averaged(other, subjects)
    found = paired(one, other)
    words = verdict(found, margin)
    print(
        f"{claim}: {found.one:.4f} against {found.other:.4f}, {found.difference:+.4f} [{found.low:+.4f}, "
        f"{found.high:+.4f}], p {found.p:.3g}, n {found.count}: {words}",
        flush=True,
    )
    return {"claim": claim, **vars(found), "verdict": words}


def arms_of(given: argparse.Namespace) -> dict[str, str]:
    """Return the other bundles by name."""
    arms = dict(arm.split("=", 1) for arm in given.arm)
    return {**({UNET: given.against} if given.against else {}), **arms}


def dice_of_arms(given: argparse.Namespace) -> dict[str, list[float]]:
    """Return the Dice of every case by each other bundle, by its name."""
    models = {name: bundle.load(path) for name, path in arms_of(given).items()}
    return {name: [measured(other, case)[1]["dice"][-1] for case in cases_of(given)] for name, other in models.items()}


def arm_claims(
    arms: Mapping[str, Sequence[float]], last: Sequence[float], subjects: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yield the comparison with each arm."""
    for name, of in arms.items():
        yield told(f"better than {name}", last, of, subjects=subjects)
    if UNET not in arms:
        print("against the U-Net: not testable here, give one with --against")


def steps(given: argparse.Namespace) -> dict[str, Any]:
    """Dice over the steps: does it rise, does it fall, do the steps come to rest, what does one cost."""
    model, rows, first = bundle.load(given.bundle), [], []
    for case in cases_of(given):
        rows.append(measured(model, case, **({"steps": given.steps} if given.steps else {}))[1])
        if model.method.steps > 1 and "steps" in _changeable(model):
            first.append(measured(model, case, steps=1)[1]["seconds"])
    table = np.asarray([row["dice"] for row in rows])
    first_dice, last_dice = table[:, 0].tolist(), table[:, -1].tolist()
    changed = np.asarray([row["changed"] for row in rows])
    subjects = subjects_of(given)
    print("mean Dice at each step: " + " ".join(f"{value:.4f}" for value in np.nanmean(table, axis=0)))
    claims = [
        told("the last step is better than the first", last_dice, first_dice, subjects=subjects),
        told(
            f"Dice does not fall by more than {CLOSE} from the first step on",
            last_dice,
            first_dice,
            CLOSE,
            subjects,
        ),
    ]
    if table.shape[1] > 2:
        come_to_rest = "the steps come to rest: voxels changed by step 2, by the last"
        claims.append(told(come_to_rest, changed[:, 1].tolist(), changed[:, -1].tolist(), subjects=subjects))
    if first:
        print(f"seconds: {np.mean([row['seconds'] for row in rows]):.2f}; of one step alone {np.mean(first):.2f}")
    arms = dice_of_arms(given)
    claims += arm_claims(arms, last_dice, subjects)
    if UNET in arms:
        claims.append(told("the first step is no worse than the U-Net", first_dice, arms[UNET], CLOSE, subjects))
    return {"kind": "steps", "cases": rows, "subjects": subjects, "arms": arms, "claims": claims}


def _changeable(model: Bundle) -> tuple[str, ...]:
    """Return "steps" where the method can take another number of them."""
    try:
        model.method.with_steps(1)
    except Exception:
        return ()
    return ("steps",)


def route(given: argparse.Namespace) -> dict[str, Any]:
    """Routed against each network for everything: Dice, GFLOP, shares, skipped slices, skill."""
    model, cases = bundle.load(given.bundle), list(cases_of(given))
    found: dict[str, list[dict[str, Any]]] = {who: [] for who in SHOWN}
    slices: list[tuple[Array, Array, Array]] = []
    taken: list[Array] = []
    for case in cases:
        made = {}
        for who in SHOWN:
            result, row = measured(model, case, mirror=False, options={"force": who})
            found[who].append(row)
            made[who] = np.asarray(result.labels.data)
            if who == "router":
                chosen, boxes = result.trace.facts["candidate"][-1].astype(int), result.trace.boxes()
        taken.append(chosen)
        slices.append(_slices(case, made, chosen, boxes))
    windows_chosen = np.concatenate(taken)
    chosen = np.concatenate([one for one, _, _ in slices])
    there = np.concatenate([one for _, one, _ in slices])
    table = np.concatenate([one for _, _, one in slices])
    _print_shares(model, windows_chosen)
    _print_routing(chosen, there, table)
    last = {who: [row["dice"][-1] for row in rows] for who, rows in found.items()}
    cost = {who: float(np.mean([row["gflop"] for row in rows])) for who, rows in found.items()}
    for who in SHOWN:
        print(f"{who}: mean Dice {np.nanmean(last[who]):.4f}, {cost[who]:.3g} GFLOP a case")
    subjects = subjects_of(given)
    mirrored = {who: [_mirrored(model, case, who) for case in cases] for who in SHOWN} if given.mirror else {}
    claims = [
        _within(last, subjects=subjects),
        *([_within(mirrored, ", averaged over mirror images", subjects)] if mirrored else []),
        told(
            "routed costs at most half of M4",
            [0.5 * row["gflop"] for row in found["expert4"]],
            [row["gflop"] for row in found["router"]],
            subjects=subjects,
        ),
        *arm_claims(dice_of_arms(given), last["router"], subjects),
    ]
    return {"kind": "route", "cases": found, "claims": claims, "chosen": windows_chosen.tolist()}


def _mirrored(model: Bundle, case: Case, who: str) -> float:
    return float(measured(model, case, mirror=True, options={"force": who})[1]["dice"][-1])


def _within(dice: Mapping[str, Sequence[float]], how: str = "", subjects: Sequence[str] = ()) -> dict[str, Any]:
    """Return the claim that the routed answer is as good as the best network's on every slice."""
    if how:
        print(f"mean Dice{how}: " + ", ".join(f"{who} {np.nanmean(of):.4f}" for who, of in dice.items()))
    best = max(SHOWN[1:], key=lambda who: float(np.nanmean(dice[who])))
    return told(f"routed within 0.01 of the best network ({best}){how}", dice["router"], dice[best], 0.01, subjects)


def _slices(case: Case, made: dict[str, Array], chosen: Array, boxes: Array) -> tuple[Array, Array, Array]:
    """Return what was chosen, whether the reference has a label, and the Dice of each network, slice by slice.

    The slices are those of the scan, once for each window over them. Boxes (W, 6) are the windows on its grid, since
    the network's planes lie elsewhere where it has another spacing.
    """
    reference = np.asarray(case.labels.data)
    over = [(int(z), w) for z in range(len(reference)) for w in np.flatnonzero((boxes[:, 0] <= z) & (z < boxes[:, 3]))]
    there = np.asarray([bool(reference[z].any()) for z, _ in over])
    table = [[_plane_dice(made[who][z], reference[z]) for who in SHOWN[1:]] for z, _ in over]
    return chosen[[w for _, w in over]], there, np.asarray(table)


def _plane_dice(one: Array, other: Array) -> float:
    both = np.count_nonzero(one) + np.count_nonzero(other)
    return 1.0 if not both else 2.0 * np.count_nonzero((one == other) & (one > 0)) / both


def _print_shares(model: Bundle, chosen: Array) -> None:
    names = model.method.value_names["candidate"]
    shares = np.bincount(chosen, minlength=len(names)) / len(chosen)
    print("shares: " + ", ".join(f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True)))


def _print_routing(chosen: Array, there: Array, table: Array) -> None:
    skipped = chosen == 0
    right = int((skipped & ~there).sum())
    print(
        f"skipped slices of the scans without a label: {right} of {skipped.sum()}; of all without a label: "
        f"{(~there).sum()}; skipped with a label: {(skipped & there).sum()} of {there.sum()}"
    )
    seen = ~skipped & there
    if seen.any():
        picked = table[seen, chosen[seen] - 1]
        at_random = table[seen] @ (np.bincount(chosen[seen] - 1, minlength=table.shape[1]) / seen.sum())
        told("skill: slice Dice of the choice against the same shares at random", picked.tolist(), at_random.tolist())


def windows(given: argparse.Namespace) -> dict[str, Any]:
    """Adaptive windows against the regular lattice: Dice, windows, seconds."""
    model = bundle.load(given.bundle)
    rows: dict[str, list[dict[str, Any]]] = {"adaptive": [], "regular": []}
    for case in cases_of(given):
        for how, into in rows.items():
            into.append(measured(model, case, options={"windows": how})[1])
    last = {how: [row["dice"][-1] for row in found] for how, found in rows.items()}
    subjects = subjects_of(given)
    claims = [
        told("adaptive windows lose no more than 0.002 of Dice", last["adaptive"], last["regular"], CLOSE, subjects),
        *(
            told(
                f"regular windows take more {what}",
                [row[what] for row in rows["regular"]],
                [row[what] for row in rows["adaptive"]],
                subjects=subjects,
            )
            for what in ("windows", "seconds")
        ),
        *arm_claims(dice_of_arms(given), last["adaptive"], subjects),
    ]
    return {"kind": "windows", "cases": rows, "claims": claims}


class Listening(RecycleNet):
    """RecycleNet that keeps how much norm(r) changes from cycle to cycle, relative to its length, of each window."""

    changes: ClassVar[list[list[float]]] = []
    last: ClassVar[torch.Tensor | None] = None

    def normalised(self, r: torch.Tensor) -> torch.Tensor:
        """Return norm(r), after comparing it with that of the cycle before; r = 0 begins a window."""
        normed = super().normalised(r)
        if not bool(r.any()):
            Listening.last = None
            Listening.changes.append([])
            return normed
        if Listening.last is not None:
            change = (normed - Listening.last).norm() / normed.norm()
            Listening.changes[-1].append(float(change))
        Listening.last = normed
        return normed


def rest(given: argparse.Namespace) -> dict[str, Any]:
    """Relative change of norm(r) from each cycle to the next: the mean over windows, and the largest."""
    model = bundle.load(given.bundle)
    count = given.steps or 10
    options = {**model.method.to_json()["options"], "cycles": count + 1}  # norm(r) of the last cycle is never asked for
    listening = dataclasses.replace(model, method=Listening(**options))
    for case in cases_of(given):
        predict(listening, case.volume, keep="labels", mirror=False, precision="float32")
    table = np.asarray(Listening.changes)
    for cycle, (mean, most) in enumerate(zip(table.mean(0), table.max(0), strict=True), start=1):
        print(f"norm(r) from cycle {cycle} to {cycle + 1}: {mean:.4f}, at most {most:.4f}, {len(table)} windows")
    return {"kind": "rest", "changes": table.tolist()}


def stepping(given: argparse.Namespace) -> dict[str, Any]:
    """How many of the errors lie where the trace says to look, and what of a trace goes with the Dice of a case."""
    cases, looks = list(cases_of(given)), {}
    for path in (given.bundle, *given.more):
        model = bundle.load(path)
        looks[path] = [look(model, case, given.seeds, partial(mean_dice, case=case, model=model)) for case in cases]
    with_the_others(looks)
    found: dict[str, Any] = {"kind": "stepping", "cases": [case.name for case in cases]}
    for path, own in looks.items():
        print(f"\n{path}, {len(own)} cases, mean Dice {np.nanmean([one.dice for one in own]):.4f}")
        tables = {"voxels": voxel_table(own), "numbers": case_table(own)}
        tables |= {"foretold": foretelling(own), "set_apart": set_apart(own)}
        kept = ("dice", "numbers", "features", "found")
        per_case = [{name: getattr(one, name) for name in kept} for one in own]
        found[path] = {**tables, "per_case": per_case}
    return found


def main() -> None:
    """Print the claims of one kind, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {"steps": steps, "route": route, "windows": windows, "stepping": stepping, "rest": rest}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("dataset")
    parser.add_argument("bundle")
    parser.add_argument("more", nargs="*", metavar="BUNDLE", help="others on the same cases, for stepping")
    parser.add_argument("--seeds", type=int, default=1, help="for stepping, of a method that draws random numbers")
    parser.add_argument("--against", help="the U-Net of the same plan, fold and budget")
    parser.add_argument("--arm", action="append", default=[], metavar="NAME=BUNDLE")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--cases", type=int, default=0)
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = kinds[given.kind](given)
    if given.json:
        given.json.write_text(json.dumps(found, default=float), encoding="utf-8")


if __name__ == "__main__":
    main()
