"""How well a choice between networks is made, from the score of every choice on every slice.

Numbers are tensors: ``scores`` (A, N) of A actions on N slices, the first of which skips; ``actions`` (N,) what was
chosen; ``shown`` (N,) whether there is anything to segment. Scores are Dice, 1 for an absent label that is not
predicted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

LEAST_GAIN = 0.001  # of Dice, by which another way to decide is worth naming
LEAST_FOUND = 0.5  # by the best network, of what skipping misses
_REMEDY = (
    "Train longer (--iterations) or with more cases, or always use one network: `voxtrace predict --set force=expert1` "
    "to expert4."
)


class BankQuality(NamedTuple):
    """Whether networks, the cheapest first, are worth choosing between.

    Attributes
    ----------
    dice
        Mean score of each on the slices that show something; () where there is none.
    correlation
        Least correlation of the errors of two of them over these slices; NaN where it is not known.
    found
        What the best of them gains over skipping all these slices, as a fraction of what could be gained; 0 where there
        is none.
    slices
        How many slices show something.
    """

    dice: tuple[float, ...]
    correlation: float
    found: float
    slices: int

    def is_ordered(self, tolerance: float) -> bool:
        """Return whether no network is worse than a cheaper one by more than ``tolerance``; False without slices."""
        pairs = combinations(self.dice, 2)
        return bool(self.dice) and all(cheap - dear <= tolerance for cheap, dear in pairs)


class ChoiceQuality(NamedTuple):
    """What choices are worth, as mean scores over all slices.

    Attributes
    ----------
    chosen, random, best_constant, best_possible
        Of the choices made; of choices drawn at random, as often each; of always the best single network; of the best
        choice on each slice.
    constant
        Which network that is, from 1.
    shares
        Fraction of the slices with each action; the first skips.
    skip_precision, skip_recall
        Fraction of the skipped slices that show nothing, and of those that show nothing that are skipped; NaN of none.
    skill_between
        Chosen minus random, over the slices that show something and are not skipped; NaN where there is none.
    """

    chosen: float
    random: float
    best_constant: float
    best_possible: float
    constant: int
    shares: tuple[float, ...]
    skip_precision: float
    skip_recall: float
    skill_between: float

    @property
    def skill(self) -> float:
        """Chosen minus random: above 0 where the choice depends on the slice to good purpose."""
        return self.chosen - self.random


def bank_quality(scores: Tensor, shown: Tensor) -> BankQuality:
    """Return the quality of the networks; ``scores`` (A, N) has the skip first, which is left out."""
    of_shown = scores[1:, shown].double()  # (A − 1, slices shown)
    n = of_shown.shape[1]
    if not n:
        return BankQuality((), float("nan"), 0.0, 0)
    known = n > 1 and bool((of_shown.std(1) > 0).all())
    least = float(torch.corrcoef(of_shown).min()) if known else float("nan")
    means, skipped = of_shown.mean(1), float(scores[0, shown].double().mean())
    found = (float(means.max()) - skipped) / (1.0 - skipped)  # skipping misses what is shown: below 1
    return BankQuality(tuple(means.tolist()), least, found, n)


def choice_quality(scores: Tensor, actions: Tensor, shown: Tensor) -> ChoiceQuality:
    """Return what choices are worth; at least one slice."""
    scores = scores.double()
    means = scores.mean(1)  # (A,)
    shares = _shares(actions, len(scores))
    chosen = scores.gather(0, actions[None])[0]  # (N,)
    run = shown & (actions > 0)
    between = float("nan")
    if bool(run.any()):
        by_chance = _shares(actions[run], len(scores)) @ scores[:, run].mean(1)
        between = float(chosen[run].mean() - by_chance)
    skipped = actions == 0
    right = float((skipped & ~shown).sum())
    return ChoiceQuality(
        chosen=float(chosen.mean()),
        random=float(shares @ means),
        best_constant=float(means[1:].max()),
        best_possible=float(scores.max(0).values.mean()),
        constant=1 + int(means[1:].argmax()),
        shares=tuple(shares.tolist()),
        skip_precision=right / float(skipped.sum()) if bool(skipped.any()) else float("nan"),
        skip_recall=right / float((~shown).sum()) if bool((~shown).any()) else float("nan"),
        skill_between=between,
    )


def bank_report(quality: BankQuality, names: Sequence[str], tolerance: float, correlation: float) -> dict[str, Any]:
    """Return as JSON values, with a ``sentence``, whether networks of these names are worth choosing between.

    They are where none is worse than a cheaper one by more than ``tolerance``, the errors of any two correlate above
    ``correlation``, and the best gains half of what is to be gained: untrained networks are alike, too. ``passed`` is
    None where no slice shows anything. The tolerance is ours, so whether they rise without it is told beside.
    """
    if not quality.slices:
        return not_examined(names)
    ordered, together = quality.is_ordered(tolerance), quality.correlation > correlation  # NaN is not above
    passed = ordered and together and quality.found >= LEAST_FOUND
    values = {
        "passed": passed,
        "slices": quality.slices,
        "dice": {name: round(dice, 4) for name, dice in zip(names, quality.dice, strict=True)},
        "tolerance": tolerance,
        "rises_without_tolerance": quality.is_ordered(0.0),
        "error_correlation": _known(quality.correlation),
        "least_correlation": correlation,
        "found": round(quality.found, 4),
        "least_found": LEAST_FOUND,
    }
    measured = (
        f"on {quality.slices} held-back slices with a label the mean Dice of {names[0]} to {names[-1]} is "
        f"{', '.join(f'{dice:.3f}' for dice in quality.dice)} ({_order_words(quality, tolerance)}), the best "
        f"gains {quality.found:.2f} of what skipping misses (expected {LEAST_FOUND:g}), "
        f"and their errors correlate {quality.correlation:.2f} or more (expected above {correlation:g})"
    )
    if passed:
        return {**values, "sentence": f"The networks are worth choosing between: {measured}."}
    return {**values, "sentence": f"The networks are NOT worth choosing between yet: {measured}. {_REMEDY}"}


def _order_words(quality: BankQuality, tolerance: float) -> str:
    if quality.is_ordered(0.0):
        return "rising"
    how = "rising only" if quality.is_ordered(tolerance) else "not rising"
    return f"{how} within a tolerance of {tolerance:g}, ours"


def choice_report(quality: ChoiceQuality, names: Sequence[str], cost: float) -> dict[str, Any]:
    """Return as JSON values, with a ``sentence``, what choices between networks of these names are worth.

    ``cost`` is that of the choices, as a fraction of always running the last network.
    """
    q, best = quality, names[quality.constant - 1]
    values = {
        "dice": round(q.chosen, 4),
        "dice_of_chance": round(q.random, 4),
        "skill": round(q.skill, 4),
        "skill_between_networks": _known(q.skill_between),
        "dice_of_best_constant": round(q.best_constant, 4),
        "best_constant": best,
        "dice_of_best_choices": round(q.best_possible, 4),
        "shares": {name: round(share, 4) for name, share in zip(("skip", *names), q.shares, strict=True)},
        "skip_precision": _known(q.skip_precision),
        "skip_recall": _known(q.skip_recall),
        "cost_fraction": round(cost, 4),
    }
    between = f"{q.skill_between:+.3f} between networks where a label is shown"
    if math.isnan(q.skill_between):
        between = "all slices with a label are skipped"
    sentence = (
        f"Choices on held-back slices: mean Dice {q.chosen:.3f}, drawn at random as often each {q.random:.3f} (skill "
        f"{q.skill:+.3f}; {between}), always {best} "
        f"{q.best_constant:.3f}; cost {cost:.2f} of always {names[-1]}."
    )
    if q.skill <= 0:
        sentence += f" Without skill there is nothing to gain from choosing. {_REMEDY}"
    return {**values, "sentence": sentence}


def choices_report(
    ways: Mapping[str, Tensor], way: str, scores: Tensor, shown: Tensor, cost: Tensor, names: Sequence[str]
) -> dict[str, Any]:
    """Return what choices are worth that are made in one ``way``, and which other way gives more Dice, if any does.

    ``ways`` are actions (B,) by the value of the option ``decide``, ``scores`` the Dice (1 + n, B) of each action,
    ``shown`` (B,) which slices have a label, ``cost`` (n + 2,) that of each action and, last, of deciding.
    """
    reports = {}
    for name, a in ways.items():
        fraction = float((cost[a].mean() + cost[-1]) / cost[-2])
        reports[name] = choice_report(choice_quality(scores, a, shown), names, fraction)
    return with_better_way(reports, way)


def with_better_way(reports: Mapping[str, Mapping[str, Any]], way: str) -> dict[str, Any]:
    """Return the report of the ``way`` to decide, whose sentence names another one that gives more Dice, if any does.

    ``reports`` are those of :func:`choice_report` by the value of the option ``decide``; more is 0.001 or above.
    """
    report = dict(reports[way])
    best = max(reports, key=lambda name: float(reports[name]["dice"]))
    if reports[best]["dice"] >= report["dice"] + LEAST_GAIN:
        other = reports[best]
        report["sentence"] += (
            f" Decided otherwise (`--set decide={best}`) it is {other['dice']:.3f} (skill {other['skill']:+.3f}; cost "
            f"{other['cost_fraction']:.2f})."
        )
        report["better_way"] = {"decide": best, **{key: other[key] for key in ("dice", "skill", "cost_fraction")}}
    return report


def not_examined(names: Sequence[str]) -> dict[str, Any]:
    """Return, as JSON values with a ``sentence``, that no held-back slice tells anything about networks."""
    return {
        "passed": None,
        "sentence": f"No held-back slice shows whether {names[0]} to {names[-1]} are worth choosing between: hold "
        "cases back with --fold. Without it, five cases or more show it after the bank, not after the choices.",
    }


def _known(value: float) -> float | None:
    """Return a number with four decimals; None where it is not known, which JSON writes as null."""
    return None if math.isnan(value) else round(value, 4)


def _shares(actions: Tensor, n: int) -> Tensor:
    """Return the fraction of each of ``n`` actions, (n,) float64."""
    return torch.bincount(actions, minlength=n).double() / len(actions)
