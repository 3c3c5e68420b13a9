"""What fine-tuning does to labels that the bundle knew: whether they are there to be learned, and what they lost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtrace.errors import DatasetError
from voxtrace.metrics import finite_mean
from voxtrace.plan import Plan
from voxtrace.training.preprocessed import PreprocessedCase
from voxtrace.training.takeover import Takeover
from voxtrace.training.validation import ROUNDED, Validation

TOLERATED = 0.02  # of Dice


def check_drawn(cases: Sequence[PreprocessedCase], plan: Plan, takeover: Takeover) -> list[str]:
    """Return sentences of new labels, or regions, that are not drawn in every case, where they are learned as absent.

    Raises
    ------
    DatasetError
        A label that the bundle knows is drawn in no case: it would be unlearned, as background.
    """
    drawn = [set(np.unique(case.foreground[:, 0]).tolist()) for case in cases]
    numbers = {k: k + 1 for k in range(len(plan.regions))} or {k: k for k in plan.labels if k}  # as they are drawn
    counts = {k: sum(number in each for each in drawn) for k, number in numbers.items()}
    if lost := [plan.outputs[k] for k, n in counts.items() if n == 0 and k in takeover.labels]:
        raise DatasetError(
            f"{', '.join(lost)} of {takeover.initial.name} would be unlearned: drawn in none of the {len(cases)} "
            "cases, training takes them for background. Draw them, too, e.g. on what `voxtrace predict -m "
            f"{takeover.initial.name}` finds, or take them out of the labels in dataset.json."
        )
    return [
        f"{plan.outputs[k]} is drawn in {n} of {len(cases)} cases, and learned as absent in the others"
        for k, n in counts.items()
        if n < len(cases) and k not in takeover.labels
    ]


def gain_of(
    takeover: Takeover | None, plan: Plan, before: Validation | None, after: Validation | None
) -> dict[str, Any]:
    """Return the Dice before and after of the labels that were taken over, on the same cases; {} where not known.

    Both are of the networks' answers, without post-processing.

    ``labels`` has both for each label, ``dice_before`` and ``dice_after`` the mean over cases of their mean.
    """
    if takeover is None or before is None or after is None:
        return {}
    cases = len(before.cases)
    taken = {plan.outputs[k] for k in takeover.labels}
    known = {column: name for column, name in enumerate(after.scored.values()) if name in taken}
    # (cases, labels known); of the networks' answers, as no post-processing was chosen before
    each = [np.asarray([case.network_dice for case in one.cases[:cases]])[:, list(known)] for one in (before, after)]
    means = [round(finite_mean(finite_mean(row) for row in scores), ROUNDED) for scores in each]
    if not all(map(math.isfinite, means)):
        return {}
    per_label = {
        name: [round(finite_mean(scores[:, k]), ROUNDED) for scores in each] for k, name in enumerate(known.values())
    }
    finite = {name: pair for name, pair in per_label.items() if all(map(math.isfinite, pair))}
    return {"cases": cases, "dice_before": means[0], "dice_after": means[1], "labels": finite}


def gain_in_words(gain: Mapping[str, Any]) -> str:
    """Return a sentence of what became of the labels that the bundle knew; "" where that is not known."""
    if not gain:
        return ""
    each = ", ".join(f"{name} {was:.3f} before, {now:.3f} after" for name, (was, now) in gain["labels"].items())
    lost = [name for name, (was, now) in gain["labels"].items() if was - now > TOLERATED]
    warned = (
        f"; {', '.join(lost)} lost more than {TOLERATED:g}: train for longer or with a smaller --rate" if lost else ""
    )
    return f"Dice on {gain['cases']} held-back case(s): {each}{warned}"
