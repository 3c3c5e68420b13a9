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

    def to_json(self) -> dict[str, Any]:
        """Return means with 95 % intervals: overall, per label at the last step, and overall per step."""
        last = self.scores[:, -1]
        return {
            "cases": len(self.names),
            "dice": _mean(np.nanmean(last, axis=1)),
            "dice_per_label": {name: _mean(last[:, k]) for k, name in enumerate(self.labels.values())},
            "dice_per_step": [_mean(np.nanmean(step, axis=1))["mean"] for step in self.scores.transpose(1, 0, 2)],
        }


def quick_dice(bundle: Bundle, cases: Sequence[Case], device: str) -> float:
    """Return the mean foreground Dice of a few whole cases, without mirroring."""
    scores = [_scores(bundle, case, device, mirror=False)[-1] for case in cases]
    return float(np.nanmean(np.asarray(scores)))


def validate_cases(
    bundle: Bundle, cases: Sequence[Case], device: str, cancel: Callable[[], bool]
) -> Generator[TrainProgress, None, Validation | None]:
    """Yield progress while every case is segmented as a user would; return all scores, or None without cases."""
    names, scores = [], []
    for case in cases:
        if cancel():
            raise Cancelled("stopped while validating; the weights are in the checkpoint, resume validates again.")
        names.append(case.name)
        scores.append(_scores(bundle, case, device, mirror=None))
        yield TrainProgress("validate", len(names), len(cases))
    foreground = {value: name for value, name in bundle.plan.labels.items() if value}
    return Validation(tuple(names), foreground, np.asarray(scores)) if names else None


def _scores(bundle: Bundle, case: Case, device: str, mirror: bool | None) -> Array:
    """Return Dice (steps, foreground labels)."""
    trace = predict(bundle, case.volume, keep="labels", device=device, mirror=mirror).trace
    foreground = [value for value in bundle.plan.labels if value]
    maps = [LabelMap(step, case.labels.geometry) for step in np.asarray(trace.labels[:])]
    return np.asarray([[dice(m, case.labels, value) for value in foreground] for m in maps])


def _mean(values: Array) -> dict[str, Any]:
    interval = mean_interval(values[np.isfinite(values)])
    return {"mean": round(interval.mean, 4), "ci95": [round(interval.low, 4), round(interval.high, 4)]}
