"""Validation on whole cases, with the engine that users run: Dice and volumes with intervals, features of traces."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.bundle import Bundle
from voxtrace.errors import Cancelled
from voxtrace.fit import case_features, measured_features, measured_intervals
from voxtrace.inference import predict
from voxtrace.metrics import dice, mean_interval, volume_ml, without_ignored
from voxtrace.training.progress import TrainProgress
from voxtrace.volume import Array, Case, LabelMap


@dataclass(frozen=True, eq=False)
class ValidatedCase:
    """One held-back case.

    Attributes
    ----------
    name
        Of the case.
    dice
        (steps, foreground labels); NaN where a label is in neither map.
    predicted_ml, reference_ml
        Volume of each foreground label by value, at the last step and in the reference.
    features
        Of the trace; see :func:`voxtrace.fit.case_features`.
    """

    name: str
    dice: Array
    predicted_ml: Mapping[int, float]
    reference_ml: Mapping[int, float]
    features: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Validation:
    """Every held-back case, and label value -> name of the foreground."""

    cases: tuple[ValidatedCase, ...]
    labels: Mapping[int, str]

    @property
    def scores(self) -> Array:
        """Dice of every case, (cases, steps, foreground labels)."""
        return np.asarray([case.dice for case in self.cases])

    def mean_dice(self, cases: int | None = None) -> float:
        """Return the mean foreground Dice at the last step, of the first cases or of all."""
        return round(float(np.nanmean(np.nanmean(self.scores[:cases, -1], axis=1))), 4)

    def to_json(self) -> dict[str, Any]:
        """Return means with 95 % intervals: overall, per label at the last step, overall per step; and each case."""
        last = self.scores[:, -1]
        return {
            "cases": len(self.cases),
            "dice": _mean(np.nanmean(last, axis=1)),
            "dice_per_label": {name: _mean(last[:, k]) for k, name in enumerate(self.labels.values())},
            "dice_per_step": [_mean(np.nanmean(step, axis=1))["mean"] for step in self.scores.transpose(1, 0, 2)],
            "per_case": [self._row(case) for case in self.cases],
        }

    def measured(self) -> dict[str, Any]:
        """Return what the card records as ``intervals`` and ``expected``, where there are cases enough."""
        predicted = {value: [case.predicted_ml[value] for case in self.cases] for value in self.labels}
        reference = {value: [case.reference_ml[value] for case in self.cases] for value in self.labels}
        mean_dice = [float(np.nanmean(case.dice[-1])) for case in self.cases]
        found = {
            "intervals": measured_intervals(predicted, reference, self.labels),
            "expected": measured_features([case.features for case in self.cases], mean_dice),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _row(self, case: ValidatedCase) -> dict[str, Any]:
        names = self.labels
        return {
            "name": case.name,
            "dice": {name: _known(v) for name, v in zip(names.values(), case.dice[-1], strict=True)},
            "predicted_ml": {names[value]: round(ml, 4) for value, ml in case.predicted_ml.items()},
            "reference_ml": {names[value]: round(ml, 4) for value, ml in case.reference_ml.items()},
            "features": {name: float(f"{value:.5g}") for name, value in case.features.items()},
        }


@dataclass(frozen=True, eq=False)
class QuickValidation:
    """A validation during training.

    Attributes
    ----------
    dice
        Mean over the cases of their mean over the foreground labels, as in :class:`Validation`; None where no case has
        a label.
    per_label, per_case
        Mean Dice by name of the label and of the case; NaN where it is not known.
    shown
        Labels of the first case.
    """

    dice: float | None
    per_label: Mapping[str, float]
    per_case: Mapping[str, float]
    shown: LabelMap


def quick_dice(bundle: Bundle, cases: Sequence[Case], device: str) -> QuickValidation:
    """Segment a few whole cases (at least one) without mirroring, and return their Dice."""
    found = [_validated(bundle, case, device, mirror=False) for case in cases]
    scores = np.asarray([case.dice[-1] for case, _ in found])  # (cases, labels)
    names = [name for value, name in bundle.plan.labels.items() if value]
    per_case = {case.name: _nanmean(case.dice[-1]) for case, _ in found}
    overall = _nanmean(np.asarray(list(per_case.values())))
    per_label = {name: _nanmean(scores[:, k]) for k, name in enumerate(names)}
    return QuickValidation(overall if np.isfinite(overall) else None, per_label, per_case, found[0][1])


def _nanmean(values: Array) -> float:
    """Return the mean of the finite values; NaN where there is none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def validate_cases(
    bundle: Bundle, cases: Sequence[Case], device: str, cancel: Callable[[], bool], phase: str = "validate"
) -> Generator[TrainProgress, None, Validation | None]:
    """Yield progress while every case is segmented as a user would; return all scores, or None without cases."""
    done: list[ValidatedCase] = []
    for case in cases:
        if cancel():
            raise Cancelled("stopped while validating; the weights are in the checkpoint, resume validates again.")
        done.append(_validated(bundle, case, device, mirror=None)[0])
        yield TrainProgress(phase, len(done), len(cases))
    foreground = {value: name for value, name in bundle.plan.labels.items() if value}
    return Validation(tuple(done), foreground) if done else None


def _validated(bundle: Bundle, case: Case, device: str, mirror: bool | None) -> tuple[ValidatedCase, LabelMap]:
    """Segment a case; return its scores, and the labels of the last step."""
    trace = predict(bundle, case.volume, keep="labels", device=device, mirror=mirror).trace
    names = {value: name for value, name in bundle.plan.labels.items() if value}
    steps = [LabelMap(step, case.labels.geometry, names, name=case.name) for step in np.asarray(trace.labels[:])]
    # voxels that nobody annotated count neither in Dice nor in volumes
    pairs = [without_ignored(step, case.labels, bundle.plan.ignored) for step in steps]
    maps, reference = [step for step, _ in pairs], pairs[-1][1]
    validated = ValidatedCase(
        name=case.name,
        dice=np.asarray([[dice(one, reference, value) for value in names] for one in maps]),
        predicted_ml={value: volume_ml(maps[-1], value) for value in names},
        reference_ml={value: volume_ml(reference, value) for value in names},
        features=case_features(trace),
    )
    return validated, steps[-1]


def _mean(values: Array) -> dict[str, Any]:
    interval = mean_interval(values[np.isfinite(values)])
    return {"mean": round(interval.mean, 4), "ci95": [round(interval.low, 4), round(interval.high, 4)]}


def _known(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
