"""Offsets of the last bias with which the total volume of each label over the held-back cases is the true one.

The answer follows its post-processing, as what users get does. Offsets are found by predicting the held-back cases,
solving by the margins between the two likeliest labels (:mod:`voxtrace.fit.volume_match`), and predicting again until
every total is within 0.2 % of the reference's, three times at most.

What they are worth is told by the same on each half of the cases, judged on the other half. The two halves are told
apart: taken together their biases cancel, whatever the offsets, since what one half lacks the other has too much.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from voxtrace.bundle import Bundle, is_half
from voxtrace.errors import Cancelled, DatasetError, UsageError
from voxtrace.fit.step_choice import CHOSEN_STEPS
from voxtrace.fit.volume_match import (
    FEWEST_SUBJECTS,
    REACH,
    MarginVolumes,
    bias_of_halves,
    matched_words,
    offset_changes,
    total_bias,
)
from voxtrace.inference import predict
from voxtrace.method import Method
from voxtrace.metrics import finite_mean, mean_interval, volume_ml, without_ignored
from voxtrace.training.dataset import case_subjects
from voxtrace.training.identity import case_names
from voxtrace.training.progress import TrainProgress
from voxtrace.training.validation import Validation, foreground_dice, margins_of, validate_cases
from voxtrace.volume import Case, LabelMap

PHASE = "match"
CLOSE, MOST_ROUNDS = 0.002, 3

Double = npt.NDArray[np.float64]


def check_matchable(method: Method, regions: Sequence[object], held_back: Sequence[Case]) -> None:
    """Refuse to match volumes of a method without one bias a label, of regions, or with too few held-back subjects.

    Scans of one subject resemble each other, so that subjects are counted, not cases.

    Raises
    ------
    UsageError
        It is one of them.
    """
    if not method.last_bias:
        raise UsageError(
            f"volumes of {method.key} cannot be matched: it has no one bias per label in a last layer; leave it out."
        )
    if regions:
        raise UsageError("volumes of regions that overlap cannot be matched, only those of labels; leave it out.")
    subjects = len(set(case_subjects(held_back, case_names(held_back))))
    if subjects < FEWEST_SUBJECTS:
        raise UsageError(
            f"volumes cannot be matched on {subjects} held-back subjects ({len(held_back)} cases); hold back a fold of "
            f"{FEWEST_SUBJECTS} or more."
        )


def match_volumes(
    bundle: Bundle, before: Validation, cases: Sequence[Case], device: str, cancel: Callable[[], bool], seed: int = 0
) -> Generator[TrainProgress, None, Validation]:
    """Yield progress while offsets are found and added to the last bias of the bundle's network, in its place.

    Return the validation of what predictions give then, with what was found out; ``before`` is that without offsets,
    with margins, and ``seed`` draws the halves.

    Raises
    ------
    DatasetError
        No label is in as many held-back subjects as it takes.
    """
    subjects = case_subjects(cases, [case.name for case in before.cases])
    first = _matched_cases(before, subjects)
    ruled = replace(bundle, card={**bundle.card, "post_processing": dict(before.post_processing)})
    search = _Search(ruled, cases, device, cancel, _common(first, before.labels))
    halves, swapped = yield from search.halves(first, subjects, seed)
    offsets, found, after = search.none, first, before
    for _ in range(MOST_ROUNDS):
        if (better := search.improved(offsets, found)) is None:
            break
        offsets = search.apply(better)
        validated = yield from validate_cases(bundle, cases, device, cancel, margins=True)
        assert validated is not None
        after, found = validated, _matched_cases(validated, subjects)
    search.apply(offsets)
    record = {
        "cases": len(first),
        "seed": seed,
        "labels": {
            name: {
                "offset": round(float(offsets[k]), 5),
                "before": _bias_of(first, k, seed),
                "halves": [half.to_json(k, seed) for half in halves],
                "random_halves": bias_of_halves(*_volumes(first, k), seed),
                "other_cases": _bias_of(found, k, seed)["ci95"],
            }
            for k, name in search.labels.items()
        },
        "dice": _dice_change(first, swapped),
    }
    yield TrainProgress("validate", len(cases), len(cases), message=matched_words(record))
    return replace(after, step_choice=_same_choice(before, after), volumes_matched=record)


def _common(found: Sequence[_MatchedCase], labels: Mapping[int, str]) -> dict[int, str]:
    """Return the labels that are in subjects enough; others keep an offset of 0."""
    having = {k: {case.subject for case in found if case.reference_ml[k] > 0} for k in labels}
    if common := {k: name for k, name in labels.items() if len(having[k]) >= FEWEST_SUBJECTS}:
        return common
    everyone = len({case.subject for case in found})
    raise DatasetError(
        f"volumes cannot be matched: no label is in {FEWEST_SUBJECTS} of the {everyone} held-back subjects. "
        "Go on without --match-volumes; a training does with --resume."
    )


def _same_choice(before: Validation, after: Validation) -> dict[str, Any]:
    """Return which steps were chosen, with the Dice that they have now where they are as many."""
    choice = dict(before.step_choice)
    if CHOSEN_STEPS in choice and len(choice["dice_per_step"]) == len(after.step_dice):
        choice["dice_per_step"] = after.step_dice
    return choice


@dataclass(frozen=True, eq=False)
class _MatchedCase:
    """One case as some offsets have it: mL by label, predicted and in the reference, margins, and mean Dice."""

    subject: str
    predicted_ml: Mapping[int, float]
    reference_ml: Mapping[int, float]
    margins: MarginVolumes
    dice: float


def _matched_cases(found: Validation, subjects: Sequence[str]) -> list[_MatchedCase]:
    pairs = zip(found.cases, subjects, strict=True)
    return [
        _MatchedCase(subject, case.predicted_ml, case.reference_ml, case.margins or MarginVolumes(), case.mean_dice)
        for case, subject in pairs
    ]


@dataclass(frozen=True, eq=False)
class _JudgedHalf:
    """One half of the cases with the offsets of the other."""

    cases: Sequence[_MatchedCase]
    offsets: Double

    def to_json(self, k: int, seed: int) -> dict[str, Any] | None:
        """Return the bias of a label; None where no case of this half has it."""
        if not any(case.reference_ml[k] for case in self.cases):
            return None
        return {"cases": len(self.cases), "offset": round(float(self.offsets[k]), 5), **_bias_of(self.cases, k, seed)}


class _Search:
    """The search for offsets (K,) of one network's last bias."""

    def __init__(
        self,
        bundle: Bundle,
        cases: Sequence[Case],
        device: str,
        cancel: Callable[[], bool],
        labels: Mapping[int, str],
    ) -> None:
        self._bundle, self._cases, self._device, self._cancel = bundle, cases, device, cancel
        self._bias = bundle.network.get_parameter(bundle.method.last_bias)
        self._own, self._half = self._bias.detach().clone(), is_half(bundle.network)
        self.labels, self.none = labels, np.zeros(len(self._own))

    def halves(
        self, first: Sequence[_MatchedCase], subjects: Sequence[str], seed: int
    ) -> Generator[TrainProgress, None, tuple[list[_JudgedHalf], list[_MatchedCase]]]:
        """Yield progress; return each half of the subjects with the offsets of the other, and all cases in order."""
        everyone = list(dict.fromkeys(subjects))
        drawn = np.array_split(np.random.default_rng(seed).permutation(len(everyone)), 2)
        halves = [[n for n, subject in enumerate(subjects) if everyone.index(subject) in half] for half in drawn]
        judged: list[_JudgedHalf] = []
        swapped: dict[int, _MatchedCase] = {}
        for fitted_on, other in (halves, halves[::-1]):
            offsets, found = self.none, [first[n] for n in fitted_on]
            for _ in range(MOST_ROUNDS):
                if (better := self.improved(offsets, found)) is None:
                    break
                offsets = better
                found = yield from self._predicted(offsets, fitted_on, subjects)
            judged.append(_JudgedHalf((yield from self._predicted(offsets, other, subjects)), offsets))
            swapped |= dict(zip(other, judged[-1].cases, strict=True))
        return judged, [swapped[n] for n in range(len(first))]

    def improved(self, offsets: Double, found: Sequence[_MatchedCase]) -> Double | None:
        """Return better offsets than those that cases were found with; None where their volumes are close enough."""
        missing, close = {}, True
        for k in self.labels:
            reference = sum(case.reference_ml[k] for case in found)
            if reference:
                missing[k] = reference - sum(case.predicted_ml[k] for case in found)
                close &= abs(missing[k]) <= CLOSE * reference
        if close:
            return None
        margins = MarginVolumes.summed(case.margins for case in found)
        changed = offsets + offset_changes(margins, missing, len(offsets))
        return np.asarray(np.clip(changed, -REACH, REACH))

    def apply(self, offsets: Double) -> Double:
        """Give the network these offsets, and return them as the bundle can store them."""
        bias = self._own + torch.as_tensor(offsets, dtype=self._own.dtype, device=self._own.device)
        with torch.no_grad():
            self._bias.copy_(bias.half() if self._half else bias)
        return np.asarray((self._bias.detach() - self._own).double().cpu())

    def _predicted(
        self, offsets: Double, which: Sequence[int], subjects: Sequence[str]
    ) -> Generator[TrainProgress, None, list[_MatchedCase]]:
        self.apply(offsets)
        found: list[_MatchedCase] = []
        for n in which:
            if self._cancel():
                raise Cancelled("stopped while matching volumes; nothing of it was written.")
            found.append(self._one(self._cases[n], subjects[n]))
            yield TrainProgress(PHASE, len(found), len(which))
        return found

    def _one(self, case: Case, subject: str) -> _MatchedCase:
        plan = self._bundle.plan
        margins = margins_of(case, plan.ignored)
        result = predict(self._bundle, case.volume, device=self._device, probe=margins, calibrate=False)
        answer = LabelMap(np.asarray(result.trace.labels[-1]), case.labels.geometry, plan.labels, name=case.name)
        pair = without_ignored(answer, case.labels, plan.ignored)
        predicted, reference = ({k: volume_ml(one, k) for k in self.labels} for one in pair)
        return _MatchedCase(subject, predicted, reference, margins, finite_mean(foreground_dice(*pair, plan)))


def _bias_of(found: Sequence[_MatchedCase], k: int, seed: int) -> dict[str, Any]:
    return total_bias(*_volumes(found, k), seed)


def _volumes(found: Sequence[_MatchedCase], k: int) -> tuple[list[float], list[float]]:
    """Return predicted and true mL of a label, summed over the cases of each subject: what is drawn by chance."""
    summed: dict[str, tuple[float, float]] = {}
    for case in found:
        predicted, reference = summed.get(case.subject, (0.0, 0.0))
        summed[case.subject] = predicted + case.predicted_ml[k], reference + case.reference_ml[k]
    return [predicted for predicted, _ in summed.values()], [reference for _, reference in summed.values()]


def _dice_change(before: Sequence[_MatchedCase], after: Sequence[_MatchedCase]) -> dict[str, Any]:
    """Return mean Dice before and after, and the mean difference of the same cases with its interval."""
    scores = [[case.dice for case in cases] for cases in (before, after)]
    change = mean_interval(np.subtract(scores[1], scores[0]))
    return {
        "before": round(finite_mean(scores[0]), 4),
        "after": round(finite_mean(scores[1]), 4),
        "difference": round(change.mean, 5),
        "ci95": [round(change.low, 5), round(change.high, 5)],
    }
