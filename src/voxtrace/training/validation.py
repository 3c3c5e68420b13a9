"""Validation on whole cases, with the engine that users run: measures with intervals, volumes, features of traces.

Means are those of ``voxtrace evaluate``: of a case over the labels that it or its prediction has, then over cases
(:mod:`voxtrace.metrics`). Cases are segmented as the network answers; then post-processing is chosen on all of them
(:mod:`voxtrace.fit.piece_choice`), and what is recorded is what predictions with the bundle give: with it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voxtrace.bundle import Bundle
from voxtrace.errors import Cancelled
from voxtrace.fit import (
    PredictionCost,
    case_features,
    facts_of,
    measured_dice_prediction,
    measured_features,
    measured_intervals,
)
from voxtrace.fit.calibration import VoxelSample, calibration_record, near_labels
from voxtrace.fit.cost import RUN, RUN_WINDOWS
from voxtrace.fit.piece_choice import piece_record, tried_rules
from voxtrace.fit.pieces import NONE
from voxtrace.fit.pooled_cases import BY_RULE
from voxtrace.fit.volume_match import MarginVolumes, without_bias
from voxtrace.inference import Result, predict
from voxtrace.inference.probabilities import Probe
from voxtrace.metrics import (
    MEASURES,
    WIDE_MM,
    Interval,
    Scores,
    case_mean,
    dice,
    evaluate_label,
    evaluate_regions,
    finite_mean,
    in_either,
    mean_interval,
    region_maps,
    region_ml,
    volume_ml,
    without_ignored,
)
from voxtrace.plan import Plan
from voxtrace.trace.places import spent_gflop
from voxtrace.training.failures import failures
from voxtrace.training.held_back import TOLERANCE_MM, ValidatedCase, packed, scores_by_rule
from voxtrace.training.progress import TrainProgress
from voxtrace.volume import Array, Case, LabelMap

ROUNDED = 4  # decimals in the card
BIAS = "volume_bias_ml"  # among the measures
DIGITS = 6  # significant ones of volumes: a tumour may have 0.0004 mL


@dataclass(frozen=True, eq=False)
class Validation:
    """Every held-back case, label value -> name of the foreground, and number -> name of the regions if there are any.

    Regions are scored in place of labels; volumes and their intervals are of both. ``post_processing`` is what a bundle
    records of it; {} where it was not looked for. ``step_choice`` has entries of the card in place of those of the
    steps at hand, where more were compared: see :mod:`voxtrace.training.step_choice`. ``volumes_matched`` is what the
    card says of volumes that were matched on these cases (:mod:`voxtrace.training.match_volumes`); their bias here is
    no finding then and is left out.
    """

    cases: tuple[ValidatedCase, ...]
    labels: Mapping[int, str]
    regions: Mapping[int, str] = field(default_factory=dict)
    post_processing: Mapping[str, Any] = field(default_factory=dict)
    step_choice: Mapping[str, Any] = field(default_factory=dict)
    volumes_matched: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def processed(cls, cases: Sequence[ValidatedCase], labels: Mapping[int, str]) -> Validation:
        """Return the validation with the post-processing that is best on these cases."""
        tried = {
            name: rows
            for value, name in labels.items()
            if (rows := tried_rules([case.pieces[value] for case in cases if value in case.pieces]))
        }
        record = piece_record(tried)
        words = {value: record["labels"].get(name, NONE) for value, name in labels.items()}
        processed = tuple(case.with_rules(words) for case in cases)
        return cls(processed, labels, post_processing=record)

    @property
    def scored(self) -> Mapping[int, str]:
        """Number -> name of what is scored: regions, or labels."""
        return self.regions or self.labels

    @property
    def scores(self) -> Array:
        """Dice of every case, (cases, steps, foreground labels or regions)."""
        return np.asarray([case.dice for case in self.cases])

    def mean_dice(self, cases: int | None = None) -> float:
        """Return the mean Dice of the network's answers, of the first cases or of all; NaN where none has a label.

        It is that before post-processing, so that trainings can be compared.
        """
        return round(finite_mean(finite_mean(case.network_dice) for case in self.cases[:cases]), ROUNDED)

    @property
    def step_dice(self) -> list[float | None]:
        """Mean Dice of the network's answer after each step; None where no case has a label."""
        network = [[*case.dice[:-1], case.network_dice] for case in self.cases]  # what rules remove, no step did
        return [_mean([finite_mean(row) for row in step])["mean"] for step in zip(*network, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Return means with 95 % intervals: overall, per label at the last step, overall per step; and each case.

        ``dice_per_step`` is of the network's answers, before rules of post-processing act on the last.
        ``measures`` and ``measures_per_label`` hold every measure of ``voxtrace evaluate``, each with the number of
        finite values in its mean.
        """
        last = self.scores[:, -1]
        return {
            "cases": len(self.cases),
            "dice": _mean([case.mean_dice for case in self.cases]),
            "dice_per_label": {name: _mean(last[:, k]) for k, name in enumerate(self.scored.values())},
            "dice_per_step": self.step_dice,
            **self.step_choice,
            **self._measures(),
            "per_case": [self._row(case) for case in self.cases],
            **({BY_RULE: [self._by_rule(case) for case in self.cases]} if self.post_processing else {}),
        }

    def _measures(self) -> dict[str, Any]:
        """Return the means of every measure, over cases of the mean over labels, and for each label."""
        measures = self._told_measures
        means = {m: _mean([case_mean(case.scores, m) for case in self.cases]) for m in measures}
        per_label = {
            name: {m: _mean([getattr(case.scores[k], m) for case in self.cases if k in case.scores]) for m in measures}
            for k, name in self.scored.items()
        }
        tolerances = {"nsd": TOLERANCE_MM, "nsd_2mm": WIDE_MM}
        return {"tolerance_mm": tolerances, "absent": "left out", "measures": means, "measures_per_label": per_label}

    @property
    def _told_measures(self) -> list[str]:
        """The measures that tell something: not the bias of volumes that were matched on these cases."""
        return [measure for measure in MEASURES if measure != BIAS or not self.volumes_matched]

    def measured(self) -> dict[str, Any]:
        """Return what the card records beside the scores; None for what there are not cases enough for.

        ``intervals``, ``expected``, ``predicted_dice``, ``calibration``, ``post_processing`` and ``failures``.
        """
        predicted = {value: [case.predicted_ml[value] for case in self.cases] for value in self.labels}
        reference = {value: [case.reference_ml[value] for case in self.cases] for value in self.labels}
        volumes = {name: [case.regions_ml[name] for case in self.cases] for name in self.regions.values()}
        regions = {name: ([p for p, _ in pairs], [r for _, r in pairs]) for name, pairs in volumes.items()}
        mean_dice, features = [case.mean_dice for case in self.cases], [case.features for case in self.cases]
        intervals = measured_intervals(predicted, reference, self.labels, regions)
        return {
            "intervals": without_bias(intervals) if self.volumes_matched else intervals,
            "expected": measured_features(features, mean_dice),
            "predicted_dice": measured_dice_prediction(features, mean_dice),
            "calibration": calibration_record([case.voxels for case in self.cases if case.voxels is not None]),
            "post_processing": self.post_processing or None,
            "failures": failures(self.cases) or None,
        }

    def prediction(self) -> dict[str, Any]:
        """Return what predictions of the held-back cases took: median seconds, and the largest estimated memory."""
        device = self.cases[0].device
        seconds = float(np.median([case.seconds for case in self.cases]))
        most = max(case.gigabytes for case in self.cases)
        return {"seconds": _short(seconds), "gigabytes": round(most, 2), "cases": len(self.cases), "device": device}

    def run_cost(self) -> dict[str, Any]:
        """Return what a card's cost says of what was run: GFLOP of the mean window; {} of a method that says none."""
        told = [(case.gflop, case.windows) for case in self.cases if case.gflop is not None and case.windows]
        windows = sum(n for _, n in told)
        return {RUN: _short(sum(gflop for gflop, _ in told) / windows), RUN_WINDOWS: windows} if told else {}

    def _row(self, case: ValidatedCase) -> dict[str, Any]:
        names = self.scored
        return {
            "name": case.name,
            "dice": {name: _known(v) for name, v in zip(names.values(), case.dice[-1], strict=True)},
            "predicted_ml": self._volumes(case.predicted_ml, {name: ml[0] for name, ml in case.regions_ml.items()}),
            "reference_ml": self._volumes(case.reference_ml, {name: ml[1] for name, ml in case.regions_ml.items()}),
            "measures": {
                names[k]: {m: _known(getattr(scores, m)) for m in self._told_measures if m != "dice"}
                for k, scores in case.scores.items()
            },
            "features": {name: float(f"{value:.5g}") for name, value in case.features.items()},
        }

    def _by_rule(self, case: ValidatedCase) -> dict[str, Any]:
        """Return label name -> what rules of post-processing make of it, where one removes any; alike ones together."""
        found = {}
        for value, by_word in case.pieces.items():
            alike: dict[int, tuple[Scores, list[str]]] = {}
            for word, scores in by_word.items():
                alike.setdefault(id(scores), (scores, []))[1].append(word)
            if len(alike) > 1:
                found[self.labels[value]] = [self._rule_entry(scores, words) for scores, words in alike.values()]
        return found

    def _rule_entry(self, scores: Scores, words: list[str]) -> dict[str, Any]:
        """Return what the row of a case tells of a label with rules of post-processing that come to the same."""
        told = in_either({1: scores})  # empty where neither map has the label then
        measures = {m: _known(getattr(scores, m)) for m in self._told_measures if m != "dice"} if told else {}
        dice = _known(scores.dice) if told else None
        return {"rules": words, "dice": dice, "predicted_ml": _short(scores.volume_ml), "measures": measures}

    def _volumes(self, labels: Mapping[int, float], regions: Mapping[str, float]) -> dict[str, float]:
        """Return volumes by name; a label that is a region by itself has the region's name and volume."""
        named = {self.labels[value]: ml for value, ml in labels.items()} | dict(regions)
        return {name: _short(ml) for name, ml in named.items()}


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
    found = [_validated(bundle, case, device, mirror=False, only_dice=True) for case in cases]
    scores = np.asarray([case.dice[-1] for case, _ in found])  # (cases, labels)
    names = list(_scored(bundle).values())
    per_case = {case.name: case.mean_dice for case, _ in found}
    overall = finite_mean(per_case.values())
    per_label = {name: finite_mean(scores[:, k]) for k, name in enumerate(names)}
    return QuickValidation(overall if np.isfinite(overall) else None, per_label, per_case, found[0][1])


def validate_cases(
    bundle: Bundle,
    cases: Sequence[Case],
    device: str,
    cancel: Callable[[], bool],
    phase: str = "validate",
    only_dice: bool = False,
    margins: bool = False,
    rules: bool = True,
) -> Generator[TrainProgress, None, Validation | None]:
    """Yield progress while every case is segmented as a user would; return all scores, or None without cases.

    ``only_dice`` leaves surface distances, which take seconds for a large scan, calibration and post-processing out.
    ``margins`` keeps what matches volumes; without ``rules`` none of post-processing is looked for.
    """
    done: list[ValidatedCase] = []
    for case in cases:
        if cancel():
            raise Cancelled("stopped while validating; the weights are in the checkpoint, resume validates again.")
        done.append(_validated(bundle, case, device, mirror=None, only_dice=only_dice, margins=margins)[0])
        yield TrainProgress(phase, len(done), len(cases))
    foreground = {value: name for value, name in bundle.plan.labels.items() if value}
    if not done:
        return None
    if only_dice or bundle.plan.regions or not rules:
        return Validation(tuple(done), foreground, _scored(bundle) if bundle.plan.regions else {})
    return Validation.processed(done, foreground)


def _scored(bundle: Bundle) -> dict[int, str]:
    """Return number -> name of what is scored: each region, from 1, or each label but the background."""
    regions = {number: region.name for number, region in enumerate(bundle.plan.regions, 1)}
    return regions or {value: name for value, name in bundle.plan.labels.items() if value}


def _validated(
    bundle: Bundle, case: Case, device: str, mirror: bool | None, only_dice: bool, margins: bool = False
) -> tuple[ValidatedCase, LabelMap]:
    """Segment a case as the network answers; return its scores, and the labels of the last step."""
    plan = bundle.plan
    voxels = None if only_dice or plan.regions else _sample(case, plan.ignored)
    near = margins_of(case, plan.ignored) if margins else None
    plain: dict[str, Any] = {"post_processing": NONE, "calibrate": False, "probe": _each(voxels, near)}
    result = predict(bundle, case.volume, keep="labels", device=device, mirror=mirror, **plain)
    trace = result.trace
    names = {value: name for value, name in plan.labels.items() if value}
    steps = [LabelMap(step, case.labels.geometry, names, name=case.name) for step in np.asarray(trace.labels[:])]
    # voxels that nobody annotated count neither in Dice nor in volumes
    pairs = [without_ignored(step, case.labels, plan.ignored) for step in steps]
    maps, reference = [step for step, _ in pairs], pairs[-1][1]
    scores = {} if only_dice else _scores(maps[-1], reference, plan)
    pieces = {} if plan.regions else scores_by_rule(steps[-1], case.labels, scores, plan.ignored)
    validated = ValidatedCase(
        name=case.name,
        dice=np.asarray([foreground_dice(one, reference, plan) for one in maps]),
        predicted_ml={value: volume_ml(maps[-1], value) for value in names},
        reference_ml={value: volume_ml(reference, value) for value in names},
        features=case_features(trace),
        scores=scores,
        regions_ml={one.name: (region_ml(maps[-1], one), region_ml(reference, one)) for one in plan.regions},
        pieces=pieces,
        voxels=voxels,
        margins=near,
        trace=packed(trace) if any(len(found) > 1 for found in pieces.values()) else None,
        **({} if only_dice else _taken(bundle, case, result)),
    )
    return validated, steps[-1]


def _taken(bundle: Bundle, case: Case, result: Result) -> dict[str, Any]:
    cost = PredictionCost.of(bundle.record, facts_of(case.volume), {"steps": bundle.method.steps})
    took = {"seconds": result.seconds, "gigabytes": cost.gigabytes, "device": str(result.facts["device"])}
    gflop = spent_gflop(result.trace)
    return took if gflop is None else {**took, "gflop": gflop, "windows": len(result.trace.boxes())}


def _each(*probes: Probe | None) -> Probe | None:
    """Return what shows each plane of probabilities to several; None where there is none."""
    asked = [probe for probe in probes if probe is not None]

    def show(z: int, probabilities: Array) -> None:
        for probe in asked:
            probe(z, probabilities)

    return show if asked else None


def margins_of(case: Case, ignored: int | None) -> MarginVolumes:
    """Return what takes the volumes of a case by margin, of annotated voxels alone."""
    known = None if ignored is None else case.labels.data != ignored
    return MarginVolumes(case.labels.geometry.voxel_ml, known)


def _sample(case: Case, ignored: int | None) -> VoxelSample:
    """Return what takes the voxels of a case in which probabilities are compared with the reference."""
    known = None if ignored is None else case.labels.data != ignored
    reference = case.labels.data if known is None else np.where(known, case.labels.data, 0)
    return VoxelSample(reference, near_labels(reference, case.labels.geometry.spacing_mm), known)


def foreground_dice(prediction: LabelMap, reference: LabelMap, plan: Plan) -> list[float]:
    """Return the Dice of each region, or of each label but the background; NaN where neither map has it."""
    if plan.regions:
        pairs = zip(region_maps(prediction, plan.regions), region_maps(reference, plan.regions), strict=True)
        return [dice(*pair, 1, absent=np.nan) for pair in pairs]
    return [dice(prediction, reference, value, absent=np.nan) for value in plan.labels if value]


def _scores(prediction: LabelMap, reference: LabelMap, plan: Plan) -> dict[int, Scores]:
    if plan.regions:
        return in_either(evaluate_regions(prediction, reference, plan.regions, TOLERANCE_MM))
    values = [value for value in plan.labels if value]
    return in_either({value: evaluate_label(prediction, reference, value, TOLERANCE_MM) for value in values})


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _mean(values: Iterable[float]) -> dict[str, Any]:
    interval = mean_interval(values)
    return {"mean": _known(interval.mean), "ci95": _bounds(interval), "n": interval.count}


def _bounds(interval: Interval) -> list[float] | None:
    return [round(interval.low, ROUNDED), round(interval.high, ROUNDED)] if interval.count else None


def _known(value: float) -> float | None:
    return round(float(value), ROUNDED) if np.isfinite(value) else None
