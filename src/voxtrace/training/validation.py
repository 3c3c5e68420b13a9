"""Validation on whole cases, with the engine that users run: mean foreground Dice and its confidence interval."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.bundle import Bundle
from voxtrace.errors import Cancelled
from voxtrace.inference import predict
from voxtrace.metrics import dice, mean_interval
from voxtrace.training.progress import TrainProgress
from voxtrace.volume import Array, Case, LabelMap


@dataclass(frozen=True, eq=False)
class Validation:
    """Dice of every case: ``scores`` (cases, steps, foreground labels); NaN where a label is in neither map."""

    names: tuple[str, ...]
    labels: dict[int, str]
    scores: Array

    def mean_dice(self, cases: int | None = None) -> float:
        """Return the mean foreground Dice at the last step, of the first cases or of all."""
        return round(float(np.nanmean(np.nanmean(self.scores[:cases, -1], axis=1))), 4)

    def to_json(self) -> dict[str, Any]:
        """Return means with 95 % intervals: overall, per label at the last step, and overall per step."""
        last = self.scores[:, -1]
        return {
            "cases": len(self.names),
            "dice": _mean(np.nanmean(last, axis=1)),
            "dice_per_label": {name: _mean(last[:, k]) for k, name in enumerate(self.labels.values())},
            "dice_per_step": [_mean(np.nanmean(step, axis=1))["mean"] for step in self.scores.transpose(1, 0, 2)],
        }


def quick_dice(bundle: Bundle, cases: Sequence[Case], device: str) -> tuple[float, LabelMap | None]:
    """Return the mean foreground Dice of a few whole cases, without mirroring, and the labels of the first of them."""
    answers = [_segmented(bundle, case, device, mirror=False) for case in cases]
    scores = [_scores(steps[-1:], case, bundle)[-1] for steps, case in zip(answers, cases, strict=True)]
    first = answers[0][-1] if answers else None
    return float(np.nanmean(np.asarray(scores))), first


def validate_cases(
    bundle: Bundle, cases: Sequence[Case], device: str, cancel: Callable[[], bool], phase: str = "validate"
) -> Generator[TrainProgress, None, Validation | None]:
    """Yield progress while every case is segmented as a user would; return all scores, or None without cases."""
    names, scores = [], []
    for case in cases:
        if cancel():
            raise Cancelled("stopped while validating; the weights are in the checkpoint, resume validates again.")
        names.append(case.name)
        scores.append(_scores(_segmented(bundle, case, device, mirror=None), case, bundle))
        yield TrainProgress(phase, len(names), len(cases))
    foreground = {value: name for value, name in bundle.plan.labels.items() if value}
    return Validation(tuple(names), foreground, np.asarray(scores)) if names else None


def _segmented(bundle: Bundle, case: Case, device: str, mirror: bool | None) -> list[LabelMap]:
    """Return the label map of every step."""
    trace = predict(bundle, case.volume, keep="labels", device=device, mirror=mirror).trace
    names = {value: name for value, name in bundle.plan.labels.items() if value}
    steps = np.asarray(trace.labels[:])
    return [LabelMap(step, case.labels.geometry, names, name=case.name) for step in steps]


def _scores(steps: Sequence[LabelMap], case: Case, bundle: Bundle) -> Array:
    """Return Dice (steps, foreground labels)."""
    foreground = [value for value in bundle.plan.labels if value]
    return np.asarray([[dice(step, case.labels, value) for value in foreground] for step in steps])


def _mean(values: Array) -> dict[str, Any]:
    interval = mean_interval(values[np.isfinite(values)])
    return {"mean": round(interval.mean, 4), "ci95": [round(interval.low, 4), round(interval.high, 4)]}
