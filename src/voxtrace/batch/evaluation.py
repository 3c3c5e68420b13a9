"""Predictions against references: match the files, score each case, and give means with confidence intervals.

A case's score is the mean over its foreground labels (nnU-Net's foreground mean); the mean score is the mean of these
over cases. A label in neither map of a case has no score there and is left out of the means, or counts as found where
that is asked for. Cases without a prediction are listed and left out too: the means are over the cases that were
predicted. Training records the same means of validation cases in the card.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxtrace.batch.cases import find_cases
from voxtrace.errors import InputError, UsageError, VoxTraceError
from voxtrace.metrics import (
    MEASURES,
    Scores,
    case_mean,
    counted_absent,
    evaluate_case,
    evaluate_regions,
    in_either,
    mean_interval,
    without_ignored,
)
from voxtrace.plan.regions import LabelRegion
from voxtrace.volume import LabelMap


@dataclass(frozen=True)
class Pair:
    """A prediction and the reference of the same case."""

    case: str
    prediction: Path
    reference: Path


@dataclass(frozen=True)
class Matched:
    """Files of two folders by case name: pairs, references without a prediction, predictions without a reference."""

    pairs: tuple[Pair, ...]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scored:
    """The scores of one case by label value, or the error that prevented them."""

    case: str
    labels: Mapping[int, Scores] = field(default_factory=dict)
    error: str = ""

    def mean(self, measure: str) -> float:
        """Return the mean of a measure over the labels where it is finite; NaN when there are none."""
        return case_mean(self.labels, measure)


def match(predictions: Path, references: Path) -> Matched:
    """Return which files of two folders (or which two files) belong together.

    Raises
    ------
    UsageError
        A path does not exist, or a file is compared with a folder.
    InputError
        No prediction has the name of a reference.
    """
    if predictions.is_file() and references.is_file():
        return Matched((Pair(find_cases([references])[0].name, predictions, references),))
    made, true = _by_name(predictions), _by_name(references)
    common = sorted(made.keys() & true.keys())
    if not common:
        raise InputError(f"no file in {predictions} has the name of one in {references}; expected CASE.nii.gz in both.")
    pairs = tuple(Pair(name, made[name], true[name]) for name in common)
    return Matched(pairs, tuple(sorted(true.keys() - made.keys())), tuple(sorted(made.keys() - true.keys())))


def score_pairs(
    pairs: Sequence[Pair], tolerance_mm: float = 1.0, ignored: int | None = None, regions: Sequence[LabelRegion] = ()
) -> Iterator[Scored]:
    """Yield the scores of each pair; a pair that cannot be compared has an error in place of scores.

    Voxels where the reference has the value ``ignored`` are left out. With ``regions`` these are scored in place of
    labels, numbered from 1.
    """
    for pair in pairs:
        try:
            yield Scored(pair.case, _scores(pair, tolerance_mm, ignored, regions))
        except VoxTraceError as error:
            yield Scored(pair.case, error=str(error))


def with_absent(scored: Sequence[Scored], names: Mapping[int, str], tolerance_mm: float = 1.0) -> list[Scored]:
    """Return scores in which a label that neither map of a case has counts as rightly not found: 1, HD95 0 mm.

    The labels are those of ``names`` (value -> name, without background and ignore label) and of any case.
    """
    found = {value: one.name for case in scored for value, one in case.labels.items()}
    return [
        case if case.error else replace(case, labels=counted_absent(case.labels, {**found, **names}, tolerance_mm))
        for case in scored
    ]


def summarise(scored: Sequence[Scored], names: Mapping[int, str]) -> dict[str, Any]:
    """Return the scores of every case, of every label over cases, and of all, as JSON values.

    Each mean comes with the number of finite values in it and its 95 % bootstrap interval over cases.
    """
    good = [case for case in scored if not case.error]
    labels = sorted({label for case in good for label in case.labels})
    return {
        "cases": [_case_record(case) for case in good],
        "failed": [{"case": case.case, "error": case.error} for case in scored if case.error],
        # keys of JSON objects are strings
        "labels": {str(label): _label_record(label, good, names) for label in labels},
        "mean": _means({measure: [case.mean(measure) for case in good] for measure in MEASURES}),
        "n": len(good),
    }


def _by_name(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give two folders of label maps, or two files.")
    return {case.name: case.paths[0] for case in find_cases([folder])}


def _scores(pair: Pair, tolerance_mm: float, ignored: int | None, regions: Sequence[LabelRegion]) -> dict[int, Scores]:
    from voxtrace.io.child.guarded import read_labels

    return scores_of(read_labels(pair.prediction), read_labels(pair.reference), tolerance_mm, ignored, regions)


def scores_of(
    prediction: LabelMap,
    reference: LabelMap,
    tolerance_mm: float,
    ignored: int | None = None,
    regions: Sequence[LabelRegion] = (),
) -> dict[int, Scores]:
    """Return the scores of each label, or region, that either map has; see :func:`score_pairs`.

    Raises
    ------
    GeometryError
        The maps do not lie on one grid.
    InputError
        A label value is in no region.
    """
    maps = without_ignored(prediction, reference, ignored)
    found = evaluate_regions(*maps, regions, tolerance_mm) if regions else evaluate_case(*maps, tolerance_mm)
    return in_either(found)


def _case_record(case: Scored) -> dict[str, Any]:
    measures = (*MEASURES, "volume_ml", "reference_ml")
    labels = {str(k): {m: getattr(scores, m) for m in measures} for k, scores in case.labels.items()}
    return {"case": case.case, **{measure: case.mean(measure) for measure in MEASURES}, "labels": labels}


def _label_record(label: int, cases: Iterable[Scored], names: Mapping[int, str]) -> dict[str, Any]:
    rows = [case.labels[label] for case in cases if label in case.labels]
    means = _means({measure: [getattr(row, measure) for row in rows] for measure in MEASURES})
    return {"name": names.get(label) or rows[0].name, **means, "n": len(rows)}


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for measure, given in values.items():
        interval = mean_interval(given)
        record[measure] = interval.mean
        record[f"{measure}_ci95"] = [interval.low, interval.high]
        record[f"{measure}_n"] = interval.count
    return record
