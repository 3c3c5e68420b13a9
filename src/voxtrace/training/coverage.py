"""Coverage of the training labels by windows that are skipped by decisions, and the option that follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from voxtrace.bundle import Bundle
from voxtrace.inference.fold_folder import CHOSEN
from voxtrace.method import Method, Phase, changed
from voxtrace.plan import Plan
from voxtrace.training.curriculum import drawn_by_any
from voxtrace.training.preprocessed import PreprocessedCase
from voxtrace.windows import coverage, everything


def drawn_cases(phases: Sequence[Phase], cases: Sequence[PreprocessedCase]) -> list[PreprocessedCase]:
    """Return the cases that a phase learns; labels of those left out by their scores count as wrong."""
    return list(compress(cases, drawn_by_any(phases, [case.scores for case in cases])))


def label_coverage(method: Method, plan: Plan, cases: Sequence[PreprocessedCase]) -> dict[str, Any] | None:
    """Return which part of each label's voxels a method's windows reach on the cases, were its network perfect.

    Windows lie as in a prediction with usual options: over the body of a CT.
    ``"labels"`` has name -> mean over the cases with that label, ``"least"`` the smallest part of any label of any
    case, ``"cases"`` their number. None for windows that do not depend on decisions, and without labelled cases.
    """
    windowing = method.windowing(plan)
    if windowing.keeps is everything:
        return None
    found = [coverage(windowing, _drawn(case, plan), plan.window, plan.overlap, case.body(plan)) for case in cases]
    parts = {name: [row[value] for row in found if value in row] for value, name in plan.labels.items() if value}
    known = {name: values for name, values in parts.items() if values}
    if not known:
        return None
    return {
        "labels": {name: round(float(np.mean(values)), 4) for name, values in known.items()},
        "least": min(min(values) for values in known.values()),  # as it is: 0.99996 is not all
        "cases": len(found),
    }


def covering(method: Method, found: dict[str, Any] | None) -> tuple[Method, dict[str, Any]]:
    """Return the method as it is to be used with such a coverage, and those of its options that follow from it."""
    if found is None:
        return method, {}
    chosen = method.covering(found["least"])
    return chosen, options_before(chosen, method)


def options_before(asked: Method, chosen: Method) -> dict[str, Any]:
    """Return the values that were asked for of options that another choice changed."""
    now = chosen.to_json()["options"]
    return {name: value for name, value in asked.to_json()["options"].items() if now[name] != value}


def with_coverage(
    card: dict[str, Any], found: dict[str, Any] | None, followed: dict[str, Any], asked: dict[str, Any]
) -> dict[str, Any]:
    """Return a card that says what the windows reach, and which options were chosen after training.

    ``followed`` are the options that were chosen because of it, ``asked`` what was asked for of all that were chosen.
    """
    chosen = {"provenance": {**card["provenance"], CHOSEN: asked}} if asked else {}
    told = {"coverage": {**found, **({"chosen": followed} if followed else {})}} if found else {}
    return {**card, **told, **chosen}


def as_asked(bundle: Bundle) -> Method:
    """Return a finished bundle's method with the options that its training was asked for."""
    return before_choice(bundle.method, bundle.card)


def before_choice(made: Method, card: Mapping[str, Any]) -> Method:
    """Return the method of a bundle's card with the options that were asked for, before others were chosen."""
    return changed(made, **card.get("provenance", {}).get(CHOSEN, {}))


def _drawn(case: PreprocessedCase, plan: Plan) -> Any:
    """Return the labels of a case; voxels that nobody annotated are background."""
    labels = np.asarray(case.labels)
    return np.where(labels < plan.n_labels, labels, 0)
