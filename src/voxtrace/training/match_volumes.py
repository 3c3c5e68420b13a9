"""Offsets of the last bias with which the total volume of each label over the held-back cases is the true one.

The answer follows its post-processing, as what users get does. Offsets are found by predicting the held-back cases,
solving by the margins between the two likeliest labels (:mod:`voxtrace.fit.volume_match`), and predicting again until
every total is within 0.1 % of the reference's, three times at most.

What they are worth is told by the same on each half of the cases, judged on the other half. The two halves are told
apart: taken together their biases cancel, whatever the offsets, since what one half lacks the other has too much.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from voxtrace.bundle import Bundle, is_half
from voxtrace.errors import Cancelled, DatasetError, UsageError
from voxtrace.fit.step_choice import CHOSEN_STEPS
from voxtrace.fit.volume_match import (
    FEWEST_CASES,
    REACH,
    MarginVolumes,
    matched_words,
    offset_changes,
    total_bias,
)
from voxtrace.inference import predict
from voxtrace.method import Method
from voxtrace.metrics import finite_mean, mean_interval, volume_ml, without_ignored
from voxtrace.training.progress import TrainProgress
from voxtrace.training.validation import Validation, foreground_dice, validate_cases
from voxtrace.volume import Case, LabelMap

PHASE = "match"
CLOSE, MOST_ROUNDS = 0.001, 3

Double = npt.NDArray[np.float64]
Numbers = Sequence[int]


def check_matchable(method: type[Method], regions: Sequence[object], held_back: int) -> None:
    """Refuse to match volumes of a method without one bias a label, of regions, or with too few held-back cases.

    Raises
    ------
    UsageError
        It is one of them.
    """
    if not method.last_bias:
        able = "a method whose answer is one softmax over labels with a bias, as recyclenet and unet"
        raise UsageError(
            f"volumes of {method.key} cannot be matched: its last layer has no bias for each label; use {able}."
        )
    if regions:
        raise UsageError("volumes of regions that overlap cannot be matched, only those of labels; leave it out.")
    if held_back < FEWEST_CASES:
        raise UsageError(
            f"volumes cannot be matched on {held_back} held-back cases; hold back a fold of {FEWEST_CASES} or more."
        )


def match_volumes(
    bundle: Bundle, before: Validation, cases: Sequence[Case], device: str, cancel: Callable[[], bool], seed: int = 0
) -> Generator[TrainProgress, None, Validation]:
    """Yield progress while offsets are found and added to the last bias of the bundle's network, in its place.

    Return the validation of what predictions give then, with what was found out; ``before`` is that without offsets,
    and ``seed`` draws the halves.

    Raises
    ------
    DatasetError
        No label is in as many held-back cases as it takes.
    """
    ruled = replace(bundle, card={**bundle.card, "post_processing": dict(before.post_processing)})
    record = yield from _Matching(ruled, cases, device, cancel).matched(seed)
    after = yield from validate_cases(bundle, cases, device, cancel)
    assert after is not None
    yield TrainProgress("validate", len(cases), len(cases), message=matched_words(record))
    return replace(after, step_choice=_same_choice(before, after), volumes_matched=record)


def _same_choice(before: Validation, after: Validation) -> dict[str, Any]:
    """Return which steps were chosen, with the Dice that they have now where they are as many."""
    choice = dict(before.step_choice)
    if CHOSEN_STEPS in choice and len(choice["dice_per_step"]) == len(after.step_dice):
        choice["dice_per_step"] = after.step_dice
    return choice


@dataclass(frozen=True, eq=False)
class _MatchedCase:
    """One case as some offsets have it: mL of each label predicted and in the reference, both (K,), margins, Dice."""

    predicted_ml: Double
    reference_ml: Double
    margins: MarginVolumes
    dice: float


class _Matching:
    """The search for offsets of one network, on cases by their numbers."""

    def __init__(self, bundle: Bundle, cases: Sequence[Case], device: str, cancel: Callable[[], bool]) -> None:
        self._bundle, self._cases, self._device, self._cancel = bundle, cases, device, cancel
        self._bias = bundle.network.get_parameter(bundle.method.last_bias)
        self._own = self._bias.detach().clone()
        self._half = is_half(bundle.network)
        self._names = {value: name for value, name in bundle.plan.labels.items() if value}

    def matched(self, seed: int) -> Generator[TrainProgress, None, dict[str, Any]]:
        """Yield progress; leave the network with the offsets of all cases and return what the card says of them."""
        everything = range(len(self._cases))
        first = yield from self._predicted(np.zeros(len(self._own)), everything)
        self._names = self._common(first)
        drawn = np.random.default_rng(seed).permutation(len(first))
        halves = [sorted(map(int, half)) for half in np.array_split(drawn, 2)]
        judged, given = [], []
        for fitted_on, other in (halves, halves[::-1]):
            offsets, _ = yield from self._fitted(first, fitted_on)
            judged.append((yield from self._predicted(offsets, other)))
            given.append(offsets)
        offsets, last = yield from self._fitted(first, everything)
        applied = self._apply(offsets)
        after = dict(zip((*halves[1], *halves[0]), (*judged[0], *judged[1]), strict=True))
        return {
            "cases": len(first),
            "seed": seed,
            "labels": {
                name: {
                    "offset": round(float(applied[k]), 5),
                    "before": self._bias_of(first, k, seed),
                    "halves": [self._half_of(found, one, k, seed) for found, one in zip(judged, given, strict=True)],
                    "other_cases": (self._bias_of(last, k, seed) or {})["ci95"],
                }
                for k, name in self._names.items()
            },
            "dice": _dice_change([case.dice for case in first], [after[n].dice for n in everything]),
        }

    def _common(self, found: Sequence[_MatchedCase]) -> dict[int, str]:
        """Return the labels that are in cases enough; others keep an offset of 0."""
        counts = {k: sum(case.reference_ml[k] > 0 for case in found) for k in self._names}
        common = {k: name for k, name in self._names.items() if counts[k] >= FEWEST_CASES}
        if not common:
            raise DatasetError(
                f"volumes cannot be matched: no label is in {FEWEST_CASES} of the {len(found)} held-back cases. "
                "Go on without --match-volumes; a training does with --resume."
            )
        return common

    def _fitted(
        self, first: Sequence[_MatchedCase], which: Numbers
    ) -> Generator[TrainProgress, None, tuple[Double, list[_MatchedCase]]]:
        """Yield progress; return offsets (K,) that match the volumes of some cases, and these cases with them."""
        offsets, found = np.zeros(len(self._own)), [first[n] for n in which]
        for _ in range(MOST_ROUNDS):
            reference, predicted = (
                sum(getattr(case, part) for case in found) for part in ("reference_ml", "predicted_ml")
            )
            missing = {k: float(reference[k] - predicted[k]) for k in self._names if reference[k] > 0}
            if all(abs(ml) <= CLOSE * reference[k] for k, ml in missing.items()):
                break
            margins = MarginVolumes.summed(case.margins for case in found)
            offsets = np.clip(offsets + offset_changes(margins, missing, len(offsets)), -REACH, REACH)
            found = yield from self._predicted(offsets, which)
        return offsets, found

    def _predicted(self, offsets: Double, which: Numbers) -> Generator[TrainProgress, None, list[_MatchedCase]]:
        self._apply(offsets)
        found: list[_MatchedCase] = []
        for n in which:
            if self._cancel():
                raise Cancelled("stopped while matching volumes; the weights are as they were before.")
            found.append(self._one(self._cases[n]))
            yield TrainProgress(PHASE, len(found), len(which))
        return found

    def _one(self, case: Case) -> _MatchedCase:
        ignored, geometry = self._bundle.plan.ignored, case.labels.geometry
        margins = MarginVolumes(geometry.voxel_ml, None if ignored is None else case.labels.data != ignored)
        result = predict(self._bundle, case.volume, keep="labels", device=self._device, probe=margins, calibrate=False)
        answer = LabelMap(np.asarray(result.trace.labels[-1]), geometry, self._bundle.plan.labels, name=case.name)
        pair = without_ignored(answer, case.labels, ignored)
        predicted, reference = ([volume_ml(one, k) for k in range(len(self._own))] for one in pair)
        dice = finite_mean(foreground_dice(*pair, self._bundle.plan))
        return _MatchedCase(np.asarray(predicted), np.asarray(reference), margins, dice)

    def _apply(self, offsets: Double) -> Double:
        """Give the network these offsets and return them as the bundle can store them."""
        bias = self._own + torch.as_tensor(offsets, dtype=self._own.dtype, device=self._own.device)
        with torch.no_grad():
            self._bias.copy_(bias.half() if self._half else bias)
        applied: Double = (self._bias.detach() - self._own).double().cpu().numpy()
        return applied

    def _half_of(self, found: Sequence[_MatchedCase], offsets: Double, k: int, seed: int) -> dict[str, Any] | None:
        bias = self._bias_of(found, k, seed)
        return bias and {"cases": len(found), "offset": round(float(offsets[k]), 5), **bias}

    def _bias_of(self, found: Sequence[_MatchedCase], k: int, seed: int) -> dict[str, Any] | None:
        reference = [case.reference_ml[k] for case in found]
        return total_bias([case.predicted_ml[k] for case in found], reference, seed) if any(reference) else None


def _dice_change(before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
    """Return mean Dice before and after, and the mean difference of the same cases with its interval."""
    change = mean_interval(np.subtract(after, before))
    return {
        "before": round(finite_mean(before), 4),
        "after": round(finite_mean(after), 4),
        "difference": round(change.mean, 5),
        "ci95": [round(change.low, 5), round(change.high, 5)],
    }
