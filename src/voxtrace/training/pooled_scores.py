"""The scores of all held-back cases of a cross-validation together, from the cards of its folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.bundle import card
from voxtrace.fit import coverage_record, measured_intervals
from voxtrace.fit.interval_coverage import identified_cases, volumes_of
from voxtrace.fit.piece_choice import pooled_rules
from voxtrace.fit.pooled_cases import by_pooled_rules, with_own_rules
from voxtrace.fit.volume_match import is_matched, without_bias
from voxtrace.metrics import MEASURES, Interval, finite_mean, mean_interval

NAN = float("nan")


def pooled_scores(folds: Mapping[int, Path]) -> dict[str, Any]:
    """Return n, mean and 95 % interval of Dice and other measures over the held-back cases of folds, as JSON values.

    Parameters
    ----------
    folds
        Number of a fold -> its bundle.

    Returns
    -------
    dict
        ``cases``; ``dice``, over cases of their mean over the labels; ``dice_per_label``, over the cases with that
        label; ``measures_per_label``, the other measures of :data:`voxtrace.metrics.MEASURES` (HD95 in mm, volumes in
        mL); ``per_fold``; ``per_case``. A case that several folds hold back counts once, with its mean.
        ``post_processing``, by the means of all folds; ``intervals``, of the volumes, from all cases, and
        ``interval_coverage``, how often intervals from the other folds held; where there are cases enough. All of it is
        measured with that post-processing, as predictions with all folds have it; ``with_own_rules`` names labels and
        folds of earlier versions that tell of their own alone.

    Raises
    ------
    BundleError
        A bundle is incomplete or was altered.
    """
    cards = {number: card(path) for number, path in folds.items()}
    records, own = by_pooled_rules(cards), with_own_rules(cards)
    labels = _labels(records)
    rows = [row for number, record in records.items() for row in _rows(number, record, labels)]
    together = _by_case(rows)
    cases = [[finite_mean(label) for label in zip(*(row["dice"] for row in same), strict=True)] for same in together]
    return {
        "cases": len(cases),
        "dice": _told(mean_interval(finite_mean(scores) for scores in cases)),
        "dice_per_label": {name: _told(mean_interval(scores[k] for scores in cases)) for k, name in enumerate(labels)},
        "measures_per_label": {name: _measures(together, name) for name in labels},
        "per_fold": [_of_fold(number, record, rows) for number, record in records.items()],
        "per_case": [
            {"fold": row["fold"], "name": row["name"], "dice": dict(zip(labels, map(_known, row["dice"]), strict=True))}
            for row in rows
        ],
        **_of_all(records),
        **({"with_own_rules": own} if own else {}),
    }


def _of_all(records: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what bundles record of held-back cases, from those of all folds, and how often such intervals hold."""
    volumes = volumes_of(records)
    names: dict[int, str] = {}
    regions: dict[str, None] = {}
    for record in records.values():
        names |= {int(value): name for value, name in record["plan"]["labels"].items() if name in volumes}
        regions |= {one["name"]: None for one in record["plan"].get("regions", ()) if one["name"] in volumes}
    predicted, reference = (
        {name: [float(ml) for fold in found for ml in getattr(fold, part)] for name, found in volumes.items()}
        for part in ("predicted_ml", "reference_ml")
    )
    intervals = measured_intervals(
        {value: predicted[name] for value, name in names.items()},
        {value: reference[name] for value, name in names.items()},
        names,
        {name: (predicted[name], reference[name]) for name in regions},
    )
    found = {
        "intervals": without_bias(intervals) if any(map(is_matched, records.values())) else intervals,
        "interval_coverage": coverage_record(records),
        "post_processing": pooled_rules(list(records.values())),
    }
    return {name: value for name, value in found.items() if value is not None}


def score_table(summary: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return columns and rows of what :func:`pooled_scores` returned: each label, and the mean over labels."""
    entries = {**summary["dice_per_label"], "mean of labels": summary["dice"]}
    rows: list[tuple[object, ...]] = [
        (name, told["n"], _shown(told["mean"]), _between(told["ci95"])) for name, told in entries.items()
    ]
    return ("label", "n", "Dice", "95 % interval"), rows


def _labels(records: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """Return the names of the foreground labels, or of the regions; none where no fold is finished."""
    for record in records.values():
        if regions := record["plan"].get("regions"):
            return [region["name"] for region in regions]
        return [name for value, name in record["plan"]["labels"].items() if int(value)]
    return []


def _rows(number: int, record: Mapping[str, Any], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return fold, name, identity and Dice (labels,) of each case that a fold held back."""
    found = []
    for identity, row in identified_cases(record):
        told = row["dice"]
        scores = [NAN if told.get(name) is None else float(told[name]) for name in labels]
        beside = {"measures": row.get("measures", {})}  # cards of earlier versions have none
        found.append({"fold": number, "name": row["name"], "identity": identity, "dice": scores, **beside})
    return found


def _by_case(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the rows of each case, one for each fold that held it back."""
    together: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        together.setdefault(row["identity"], []).append(row)
    return list(together.values())


def _measures(cases: Sequence[Sequence[Mapping[str, Any]]], label: str) -> dict[str, Any]:
    """Return every measure but Dice of a label over cases, each with the number of values in its mean."""
    found = {}
    for measure in MEASURES:
        if measure != "dice":
            told = [[row["measures"].get(label, {}).get(measure) for row in case] for case in cases]
            found[measure] = _told(mean_interval(finite_mean([v for v in case if v is not None]) for case in told))
    return found


def _of_fold(number: int, record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = [finite_mean(row["dice"]) for row in rows if row["fold"] == number]
    return {"fold": number, "cases": len(own), "dice": _known(finite_mean(own)), "digest": record["digest"]}


def _told(interval: Interval) -> dict[str, Any]:
    return {
        "n": interval.count,
        "mean": _known(interval.mean),
        "ci95": [_known(interval.low), _known(interval.high)],
    }


def _known(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _between(ends: Sequence[float | None]) -> str:
    return "–" if None in ends else " to ".join(map(_shown, ends))
