"""Two sets of predictions against references: the difference of every measure, by label and case, the worst first.

A label that only one of the two finds, where the reference has none, counts 0 for that one and 1 for the other, so that
what is newly found in the wrong place is no case that is left out. A label in none of the three maps has no score.
Otherwise the means are those of ``voxtrace evaluate``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from voxtrace.batch.evaluation import Scored, summarise
from voxtrace.batch.paired import Paired, paired
from voxtrace.metrics import MEASURES, counted_absent

Both = tuple[Scored, Scored]  # of one case: the first and the other


def against_reference(pairs: Sequence[Both], names: Mapping[int, str]) -> dict[str, Any]:
    """Return means of both, and their differences, first minus the other, as JSON values.

    ``difference`` has every measure, with interval, p and number of pairs; ``labels`` the Dice of each label, and
    ``cases`` of each case and its labels, those first in which the other is worse by most.
    """
    pairs = [_on_the_same_labels(*pair) for pair in pairs]
    return {
        "one": summarise([one for one, _ in pairs], names)["mean"],
        "other": summarise([other for _, other in pairs], names)["mean"],
        "difference": {m: to_json(mean_difference(pairs, m)) for m in MEASURES},
        "labels": _labels(pairs, names),
        "cases": sorted(map(_case, pairs), key=_fall, reverse=True),
    }


def mean_difference(pairs: Sequence[Both], measure: str) -> Paired:
    """Return how the mean over labels of a measure differs over cases, on the labels that either has."""
    same = [_on_the_same_labels(*pair) for pair in pairs]
    return paired([one.mean(measure) for one, _ in same], [other.mean(measure) for _, other in same])


def to_json(found: Paired) -> dict[str, Any]:
    """Return a paired difference as JSON values."""
    between = [found.low, found.high]
    values = {"one": found.one, "other": found.other, "mean": found.difference, "ci95": between, "p": found.p}
    return {**values, "n": found.count}


def _on_the_same_labels(one: Scored, other: Scored) -> Both:
    names = {value: scores.name for scored in (one, other) for value, scores in scored.labels.items()}
    first, second = (replace(scored, labels=counted_absent(scored.labels, names)) for scored in (one, other))
    return first, second


def _labels(pairs: Sequence[Both], names: Mapping[int, str]) -> dict[str, Any]:
    told = {value: scores.name for one, _ in pairs for value, scores in one.labels.items()}
    records = {str(value): {"name": names.get(value) or told[value], **_label(pairs, value)} for value in sorted(told)}
    return dict(sorted(records.items(), key=lambda item: _known(item[1]["mean"]), reverse=True))


def _label(pairs: Sequence[Both], value: int) -> dict[str, Any]:
    there = [(one.labels[value].dice, other.labels[value].dice) for one, other in pairs if value in one.labels]
    return to_json(paired([one for one, _ in there], [other for _, other in there]))


def _case(pair: Both) -> dict[str, Any]:
    one, other = pair
    labels = {str(k): _dices(scores.dice, other.labels[k].dice) for k, scores in one.labels.items()}
    return {"case": one.case, **_dices(one.mean("dice"), other.mean("dice")), "labels": labels}


def _dices(one: float, other: float) -> dict[str, float]:
    return {"one": one, "other": other, "difference": one - other}


def _fall(case: Mapping[str, Any]) -> float:
    return _known(case["difference"])


def _known(difference: float) -> float:
    return difference if math.isfinite(difference) else -math.inf
