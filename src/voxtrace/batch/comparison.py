"""Two sets of predictions of the same cases: where they differ, and which is nearer to a reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxtrace.batch.against import against_reference, mean_difference
from voxtrace.batch.evaluation import Scored, match, scores_of, summarise
from voxtrace.batch.paired import Paired, worse
from voxtrace.errors import InputError, VoxTraceError
from voxtrace.plan.regions import LabelRegion
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
    """Cases by name: those in both folders (and among the references), and those that were left out.

    ``lost`` are those of them that the first has, and the reference where there is one, and the other lacks.
    """

    cases: tuple[Triplet, ...]
    left_out: tuple[str, ...] = field(default=())
    lost: tuple[str, ...] = field(default=())


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
    left_out, lost = {*both.missing, *both.extra}, set(both.extra)
    references: Mapping[str, Path] = {}
    if reference is not None:
        found = match(one, reference).pairs
        # two files belong together whatever they are called
        case_of = {pair.case: both.pairs[0].case if one.is_file() else pair.case for pair in found}
        references = {case_of[pair.case]: pair.reference for pair in found}
        lost &= references.keys()
        left_out |= {pair.case for pair in both.pairs if pair.case not in references}
    cases = tuple(
        Triplet(pair.case, pair.prediction, pair.reference, references.get(pair.case))
        for pair in both.pairs
        if reference is None or pair.case in references
    )
    if not cases:
        raise InputError(f"no case of {one} is in both {other} and {reference}; expected CASE.nii.gz in all three.")
    return Triplets(cases, tuple(sorted(left_out)), tuple(sorted(lost)))


def compare_cases(
    cases: Sequence[Triplet], tolerance_mm: float = 1.0, ignored: int | None = None, parts: Sequence[LabelRegion] = ()
) -> Iterator[Compared]:
    """Yield how the predictions of each case differ; a case that cannot be compared has an error instead.

    Voxels where the reference has the value ``ignored`` are left out of the scores against it. With ``parts``, regions
    that may overlap, these are scored in place of labels, numbered from 1; places are of labels.
    """
    for case in cases:
        try:
            yield _compared(case, tolerance_mm, ignored, parts)
        except VoxTraceError as error:
            yield Compared(case.case, Scored(case.case, error=str(error)))


def summary(compared: Sequence[Compared], names: Mapping[int, str], titles: tuple[str, str]) -> dict[str, Any]:
    """Return the comparison as JSON values.

    ``agreement`` has the scores of the first against the second as in ``voxtrace evaluate``; ``cases`` the mL on which
    they differ and the largest places of each case; with a reference, ``reference`` has what
    :func:`voxtrace.batch.against.against_reference` returns.
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
    if pairs := _pairs(good):
        document["reference"] = against_reference(pairs, names)
    return document


def verdict(compared: Sequence[Compared], limit: float, lost: Sequence[str] = ()) -> dict[str, Any]:
    """Return as JSON values whether the other predictions are worse than the first, and why, in a sentence.

    They are worse where the mean Dice fell by more than ``limit`` and the 95 % interval of the fall lies above 0; also
    where a case is ``lost``, that only the first have, or could not be compared, or none has a Dice: nothing shows that
    they are no worse.
    """
    found = mean_difference(_pairs([one for one in compared if not one.error]), "dice")
    fell, unknown = worse(found, limit), [*lost, *(one.case for one in compared if one.error)]
    return {
        "worse": fell or bool(unknown),
        "limit": limit,
        "lost": unknown,
        "sentence": " ".join(_sentences(found, fell, limit, unknown)),
    }


def _sentences(found: Paired, fell: bool, limit: float, unknown: Sequence[str]) -> Iterator[str]:
    if found.count:
        change, low, high = (0.0 - value for value in (found.difference, found.high, found.low))
        yield f"mean Dice of B minus A: {change:+.4f} (95 % {low:+.4f} to {high:+.4f}, {found.count} cases)."
        yield f"B is worse by more than {limit:g}." if fell else f"A fall by more than {limit:g} is not shown."
    else:
        yield "No case has a Dice in both A and B, so nothing shows that B is no worse."
    if unknown:
        yield f"B has no score for {len(unknown)} cases that A has, and counts as worse: {', '.join(unknown[:5])}."


def _pairs(good: Sequence[Compared]) -> list[tuple[Scored, Scored]]:
    return [(one.one, one.other) for one in good if one.one is not None and one.other is not None]


def _compared(case: Triplet, tolerance_mm: float, ignored: int | None, parts: Sequence[LabelRegion]) -> Compared:
    one, other, reference = _maps(case)

    def scored(made: LabelMap, true: LabelMap, left_out: int | None = None) -> Scored:
        return Scored(case.case, scores_of(made, true, tolerance_mm, left_out, parts))

    agreement = scored(one, other)
    against = [None if reference is None else scored(made, reference, ignored) for made in (one, other)]
    return Compared(case.case, agreement, regions(of_label_maps([one, other])), *against)


def _maps(case: Triplet) -> tuple[LabelMap, LabelMap, LabelMap | None]:
    """Return both predictions and the reference, in which a name has one value: that of the reference."""
    one, other = _read(case.one, "A"), _read(case.other, "B")
    if case.reference is None:
        one, other = with_common_values([one, other])
        return one, other, None
    true, one, other = with_common_values([_read(case.reference, "the reference"), one, other])
    return one, other, true


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
