"""What a bundle says about how it was made and how well it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from voxtrace.bundle import Bundle
from voxtrace.training.run import Run
from voxtrace.training.validation import Validation


def make_card(
    run: Run,
    n_cases: int,
    validation: Validation | None,
    initial: Bundle | None,
    unmatched: Sequence[str],
    about: dict[str, Any],
) -> dict[str, Any]:
    """Return the card of a finished run; ``about`` adds to it and to its provenance."""
    from voxtrace.version import __version__

    given, described = dict(about), run.method.describe(run.network)
    provenance: dict[str, Any] = {
        "cases": n_cases,
        "iterations": run.total,
        "seed": run.recipe.seed,
        "device": run.device,
        "versions": {"voxtrace": __version__, "torch": str(torch.__version__)},
    }
    if initial is not None:
        provenance["initial"] = {"name": initial.name, "digest": initial.digest}
    if unmatched:
        provenance["initialised_anew"] = list(unmatched)
    return {
        "name": run.out.name,
        "licence": "not stated",
        "intended_use": "Research. Not a medical device: a person must check every result.",
        "mirror": bool(run.plan.mirror_axes),
        **given,
        "provenance": {**provenance, **given.get("provenance", {})},
        **({"network": described} if described else {}),
        "metrics": {**({"validation": validation.to_json()} if validation else {}), "curve": run.history},
    }
