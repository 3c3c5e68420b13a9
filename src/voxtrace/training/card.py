"""The card of a trained bundle: how it was made and how well it segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from voxtrace.bundle import Bundle, window_cost
from voxtrace.fit import TrainingScans
from voxtrace.training.training_run import TrainingRun
from voxtrace.training.validation import Validation


def make_card(
    run: TrainingRun,
    scans: Sequence[TrainingScans],
    validation: Validation | None,
    initial: Bundle | None,
    unmatched: Sequence[str],
    about: Mapping[str, Any],
    before: Validation | None = None,
) -> dict[str, Any]:
    """Return the card of a finished run; ``about`` adds to it and to its provenance.

    ``before`` holds the scores of the first validation cases before fine-tuning.
    """
    described = run.method.describe(run.network)
    return {
        "name": run.out.name,
        "licence": "not stated",
        "intended_use": "Research. Not a medical device: a person must check every result.",
        "mirror": bool(run.plan.mirror_axes),
        **about,
        **measured_entries(scans, validation),
        "cost": window_cost(run.method, run.plan, run.network),
        "provenance": {**_provenance(run, len(scans), initial, unmatched), **about.get("provenance", {})},
        **({"network": described} if described else {}),
        "metrics": {
            **({"validation": validation.to_json()} if validation else {}),
            **({"fine_tuning": _gain(before, validation)} if before and validation else {}),
            "curve": run.history,
        },
    }


def measured_entries(scans: Sequence[TrainingScans], validation: Validation | None) -> dict[str, Any]:
    """Return what a card says of training scans (one entry a case) and of held-back cases; see :mod:`voxtrace.fit`."""
    together = TrainingScans.merged(scans) if scans else None
    made_up = together is not None and together.made_up == together.cases
    return {
        **({"demonstration": True} if made_up else {}),
        **({"training_scans": together.to_json()} if together else {}),
        **(validation.measured() if validation else {}),
    }


def _gain(before: Validation, after: Validation) -> dict[str, Any]:
    """Return the mean Dice of the same cases before and after."""
    cases = len(before.cases)
    return {"cases": cases, "dice_before": before.mean_dice(), "dice_after": after.mean_dice(cases)}


def _provenance(run: TrainingRun, n_cases: int, initial: Bundle | None, unmatched: Sequence[str]) -> dict[str, Any]:
    from voxtrace.version import __version__

    provenance: dict[str, Any] = {
        "cases": n_cases,
        "iterations": run.done,
        "seed": run.config.seed,
        "device": run.device,
        "precision": run.precision,
        "versions": {"voxtrace": __version__, "torch": str(torch.__version__)},
    }
    if run.config.minutes is not None:
        provenance |= {"minutes": run.config.minutes, "planned_iterations": run.total}
    if arithmetic := run.arithmetic.to_json():
        provenance["arithmetic"] = arithmetic
    if initial is not None:
        provenance["initial"] = {"name": initial.name, "digest": initial.digest}
    if unmatched:
        provenance["initialised_anew"] = list(unmatched)
    return provenance
