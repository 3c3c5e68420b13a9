"""Two sets of predictions of the same cases: where they differ, and which is nearer to a reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxtrace.batch.evaluation import Pair, Scored, match, score_pairs, summarise
from voxtrace.errors import InputError
from voxtrace.metrics import MEASURES, mean_interval
from voxtrace.trace.disagreement import Disagreement, of_label_maps, regions, with_common_values
from voxtrace.volume import LabelMap

MOST_PLACES = 10  # that are told of one case


@dataclass(frozen=True)
class Triplet:
    """Two predictions of a case, and its reference where there is one."""

    case: str
    one: Path
    other: Path
    reference: Path | None = None


@dataclass(frozen=True, eq=False)
class Compared:
    """How two predictions of a case differ.

    Attributes
    ----------
    agreement
        Scores of the first against the second.
    found
        The regions on which they differ; None where they could not be compared.
    one, other
        Scores of each against the reference; None without one.
    """

    case: str
    agreement: Scored
    found: Disagreement | None = None
    one: Scored | None = None
    other: Scored | None = None

    @property
    def error(self) -> str:
        """Why the case could not be compared, or ``""``."""
        errors = (scored.error for scored in (self.agreement, self.one, self.other) if scored is not None)
        return next(filter(None, errors), "")


@dataclass(frozen=True)
class Triplets:
    """Cases by name: those in both folders (and among the references), and those that were left out."""

    cases: tuple[Triplet, ...]
    left_out: tuple[str, ...] = field(default=())


def triplets(one: Path, other: Path, reference: Path | None = None) -> Triplets:
    """Return which files of two folders, or which two files, belong together, with their references.

    Raises
    ------
    UsageError
        A path does not exist, or a file is compared with a folder.
    InputError
        No case is in all of them.
    """
    both = match(one, other)
    left_out = {*both.missing, *both.extra}
    references: Mapping[str, Path] = {}
    if reference is not None:
        found = match(one, reference).pairs
        # two files belong together whatever they are called
        case_of = {pair.case: both.pairs[0].case if one.is_file() else pair.case for pair in found}
        references = {case_of[pair.case]: pair.reference for pair in found}
        left_out |= {pair.case for pair in both.pairs if pair.case not in references}
    cases = tuple(
        Triplet(pair.case, pair.prediction, pair.reference, references.get(pair.case))
        for pair in both.pairs
        if reference is None or pair.case in references
    )
    if not cases:
        raise InputError(f"no case of {one} is in both {other} and {reference}; expected CASE.nii.gz in all three.")
    return Triplets(cases, tuple(sorted(left_out)))


def compare_cases(cases: Sequence[Triplet], tolerance_mm: float = 1.0) -> Iterator[Compared]:
    """Yield how the predictions of each case differ; a case that cannot be compared has an error instead."""
    for case in cases:
        agreement = _scored(case.case, case.one, case.other, tolerance_mm)
        against = [
            None if case.reference is None else _scored(case.case, path, case.reference, tolerance_mm)
            for path in (case.one, case.other)
        ]
        yield Compared(case.case, agreement, None if agreement.error else _regions(case), *against)


def summary(compared: Sequence[Compared], names: Mapping[int, str], titles: tuple[str, str]) -> dict[str, Any]:
    """Return the comparison as JSON values.

    ``agreement`` has the scores of the first against the second as in ``voxtrace evaluate``; ``cases`` the mL on which
    they differ and the largest places of each case; with a reference, ``reference`` has the means of both and of their
    differences (first minus second) with 95 % bootstrap intervals over cases.
    """
    good = [one for one in compared if not one.error]
    document: dict[str, Any] = {
        "one": titles[0],
        "other": titles[1],
        "agreement": summarise([one.agreement for one in good], names),
        "cases": [_case_record(one) for one in good],
        "failed": [{"case": one.case, "error": one.error} for one in compared if one.error],
        "n": len(good),
    }
    pairs = [(one.one, one.other) for one in good if one.one is not None and one.other is not None]
    if pairs:
        document["reference"] = {
            "one": summarise([one for one, _ in pairs], names)["mean"],
            "other": summarise([other for _, other in pairs], names)["mean"],
            "difference": {measure: _difference(pairs, measure) for measure in MEASURES},
        }
    return document


def _scored(case: str, prediction: Path, reference: Path, tolerance_mm: float) -> Scored:
    [scored] = score_pairs([Pair(case, prediction, reference)], tolerance_mm)
    return scored


def _regions(case: Triplet) -> Disagreement:
    return regions(of_label_maps(with_common_values([_read(case.one, "A"), _read(case.other, "B")])))


def _read(path: Path, name: str) -> LabelMap:
    from voxtrace.io.child.guarded import read_labels

    return replace(read_labels(path), name=name)


def _case_record(one: Compared) -> dict[str, Any]:
    found = one.found
    assert found is not None
    return {
        "case": one.case,
        "differs_ml": found.places_ml + found.calm_ml,
        "undecided": {str(label.value): label.undecided_ml for label in found.labels},
        "places": [
            {
                "ml": place.ml,
                "labels": [place.label, place.other],
                "sentence": place.sentence,
                "voxel": list(place.voxel),
                "box": list(place.box),
                "thin": place.is_thin,
            }
            for place in found.places[:MOST_PLACES]
        ],
        "n_places": len(found.places),
        "calm_ml": found.calm_ml,
    }


def _difference(pairs: Sequence[tuple[Scored, Scored]], measure: str) -> dict[str, Any]:
    interval = mean_interval([one.mean(measure) - other.mean(measure) for one, other in pairs])
    return {"mean": interval.mean, "ci95": [interval.low, interval.high], "n": interval.count}
