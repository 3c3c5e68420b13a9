"""The card of a trained bundle: how it was made and how well it segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

from voxtrace.bundle import window_cost
from voxtrace.fit import TrainingScans
from voxtrace.fit.volume_match import MATCHED
from voxtrace.training.config import chosen
from voxtrace.training.curriculum import drawn_by_any, learned_cases
from voxtrace.training.examined import examined_entries
from voxtrace.training.preprocessed import PreprocessedCase
from voxtrace.training.takeover import Takeover
from voxtrace.training.training_run import TrainingRun, versions
from voxtrace.training.validation import Validation

CASE_LISTS = ("training", "held_back")  # of the provenance: name and hashes of each case
ANONYMOUS = "anonymous_names"  # in the provenance, where cases have no names of their own


def make_card(
    run: TrainingRun,
    cases: Sequence[PreprocessedCase],
    validation: Validation | None,
    takeover: Takeover | None,
    about: Mapping[str, Any],
    gain: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the card of a finished run; ``about`` adds to it and to its provenance.

    ``gain`` compares held-back cases before and after fine-tuning, see :func:`voxtrace.training.gain.gain_of`.
    """
    described, scores = run.method.describe(run.network), [case.scores for case in cases]
    learned = learned_cases(run.phases, scores)
    scans = list(compress((case.scan for case in cases), drawn_by_any(run.phases, scores)))
    card = {
        "name": run.out.name,
        "licence": "not stated",
        "intended_use": "Research. Not a medical device: a person must check every result.",
        "mirror": bool(run.plan.mirror_axes),
        **about,
        **measured_entries(scans, validation),
        "cost": {**window_cost(run.method, run.plan, run.network), **(validation.run_cost() if validation else {})},
        "provenance": {
            **_provenance(run, len(cases), takeover),
            **(after_training(validation) if validation else {}),
            **learned,
            **about.get("provenance", {}),
        },
        **({"network": described} if described else {}),
        "metrics": {
            **({"validation": validation.to_json()} if validation else {}),
            **({"fine_tuning": dict(gain)} if gain else {}),
            **examined_entries(run),
            "curve": run.history,
        },
    }
    card = {name: value for name, value in card.items() if value is not None}
    return without_names(card) if run.config.anonymous_names else card


def without_names(card: dict[str, Any]) -> dict[str, Any]:
    """Return a card whose cases are called ``case_0001`` and up; the hashes of their files tell which is which."""
    provenance, metrics = {**card["provenance"], ANONYMOUS: True}, dict(card["metrics"])
    listed = [case for part in CASE_LISTS for case in provenance.get(part, ())]
    names = {case["name"]: f"case_{number:04d}" for number, case in enumerate(listed, start=1)}
    for part in (*CASE_LISTS, "changed_during_training"):
        if part in provenance:
            provenance[part] = [{**case, "name": names[case["name"]]} for case in provenance[part]]
    if "failures" in card:
        card = {**card, "failures": [{**row, "case": names[row["case"]]} for row in card["failures"]]}
    if "validation" in metrics:
        rows = [{**row, "name": names[row["name"]]} for row in metrics["validation"].get("per_case", ())]
        metrics["validation"] = {**metrics["validation"], "per_case": rows}
    return {**card, "provenance": provenance, "metrics": metrics}


def measured_entries(scans: Sequence[TrainingScans], validation: Validation | None) -> dict[str, Any]:
    """Return what a card says of training scans (one entry a learned case) and of held-back cases.

    None stands for what held-back cases are too few for.
    """
    together = TrainingScans.merged(scans) if scans else None
    made_up = together is not None and together.made_up == together.cases
    return {
        **({"demonstration": True} if made_up else {}),
        **({"training_scans": together.to_json()} if together else {}),
        **(validation.measured() if validation else {}),
    }


def after_training(validation: Validation) -> dict[str, Any]:
    """Return what provenance says of held-back cases: how long they took, and whether volumes were matched on them."""
    matched = {MATCHED: dict(validation.volumes_matched)} if validation.volumes_matched else {}
    return {"prediction": validation.prediction(), **matched}


def _provenance(run: TrainingRun, n_cases: int, takeover: Takeover | None) -> dict[str, Any]:
    record = run.record
    provenance: dict[str, Any] = {
        "cases": n_cases,
        "iterations": run.done,
        "seconds": round(run.all_seconds, 1),
        "seed": run.config.seed,
        "device": run.device,
        "precision": run.precision,
        "versions": versions(),
    }
    provenance |= chosen(run.config, run.processes.count)
    if run.config.minutes is not None:
        provenance |= {"minutes": run.config.minutes, "planned_iterations": run.total}
    if arithmetic := run.arithmetic.to_json():
        provenance["arithmetic"] = arithmetic
    if takeover is not None:
        provenance["initial"] = takeover.to_json(run.plan)
        if takeover.anew:
            provenance["initialised_anew"] = list(takeover.anew)
    provenance |= {part: [case.to_json() for case in getattr(record, part)] for part in CASE_LISTS}
    if record.changed:
        provenance["changed_during_training"] = [dict(row) for row in record.changed]
    # a run that computed in one way throughout says so above
    if any(stretch != record.stretches[0] for stretch in record.stretches):
        provenance["stretches"] = [dict(stretch) for stretch in record.stretches]
    return provenance
