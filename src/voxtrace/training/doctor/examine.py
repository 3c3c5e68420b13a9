"""The doctor's look at a dataset: every file is read once, and everything that is wrong is listed together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voxtrace.errors import Cancelled
from voxtrace.training.dataset import CHOSEN, CaseFiles, Dataset
from voxtrace.training.dataset_cache import stored_folds
from voxtrace.training.doctor.check_dataset import check_duplicates, check_files, check_outliers, check_splits
from voxtrace.training.doctor.check_labels import check_declared, check_values
from voxtrace.training.doctor.examine_case import ExaminedCase, examine_case, examine_test
from voxtrace.training.doctor.faults import Fault
from voxtrace.training.layouts import FoundCase, FoundDataset, find_dataset
from voxtrace.training.planning import CaseMeasures
from voxtrace.training.progress import TrainProgress
from voxtrace.training.split import SPLITS, Fold, folds_of, held_back, subjects_of


@dataclass(frozen=True)
class Examination:
    """What was found of a dataset.

    Attributes
    ----------
    path
        The dataset's folder or CSV.
    found
        What its layout says.
    cases
        Every case of training and validation; test cases have faults alone.
    faults
        Everything that is wrong or worth a look, the dataset's own first.
    folds
        Those that the dataset states; empty where it states none.
    to_background
        Whether a copy has background in place of label values without a name that it cannot re-map.
    """

    path: Path
    found: FoundDataset
    cases: tuple[ExaminedCase, ...]
    faults: tuple[Fault, ...]
    folds: tuple[Fold, ...]
    to_background: bool = False

    @property
    def bad(self) -> tuple[Fault, ...]:
        """The faults that are no notes."""
        return tuple(fault for fault in self.faults if fault.level == "fault")

    @property
    def usable(self) -> tuple[ExaminedCase, ...]:
        """The cases that nothing is wrong with."""
        wrong = {fault.case for fault in self.bad}
        return tuple(one for one in self.cases if one.measures and one.case.name not in wrong)

    @property
    def measures(self) -> tuple[CaseMeasures, ...]:
        """What the fingerprint takes from the usable cases."""
        return tuple(one.measures for one in self.usable if one.measures)

    def dataset(self) -> Dataset:
        """Return the dataset of the usable cases."""
        found, cases = self.found, [one.case for one in self.usable]
        names = [case.name for case in cases]
        subjects = subjects_of(names, {case.name: case.subject for case in cases if case.subject})
        held = {case.name: case.fold for case in cases if case.fold is not None}
        stated = held_back(held, names) if held else _within(self.folds, names)
        return Dataset(
            name=found.name,
            channels=found.channels,
            labels=found.labels,
            files=tuple(
                CaseFiles(one.name, one.images, one.labels, {}, len(found.channels)) for one in cases if one.labels
            ),
            folds=stated or folds_of(subjects, stored_folds(self.path, subjects.values())),
            licence=found.licence,
            subjects=subjects,
            source=str(self.path if held else found.folder / SPLITS) if stated else "",
            ignore=found.ignore is not None,
            path=self.path,
            regions=found.regions,
        )


def examine(
    path: Path, labels: str = "", cancel: Callable[[], bool] = lambda: False, to_background: bool = False
) -> Generator[TrainProgress, None, Examination]:
    """Yield progress while every file of a dataset is read once; return all that is wrong with it.

    ``labels`` names a folder inside with other labels, as for :func:`~voxtrace.training.dataset.open_dataset`. With
    ``to_background`` label values without a name become background in a copy; else their cases are left out of it.

    Raises
    ------
    DatasetError
        There is no dataset, or its description has a wrong structure.
    """
    found = find_dataset(path)
    found = _with_labels(found, labels) if labels else _with_chosen(found)
    every, examined = (*found.cases, *found.tests), list[ExaminedCase]()
    for number, case in enumerate(every):
        examined.append((examine_case if number < len(found.cases) else examine_test)(case, found))
        yield TrainProgress("plan", len(examined), len(every))
        if cancel():
            raise Cancelled("stopped while reading the dataset; nothing was written.")
    cases = examined[: len(found.cases)]
    subjects = subjects_of([case.name for case in found.cases], {c.name: c.subject for c in found.cases if c.subject})
    folds, wrong_folds = check_splits(found, subjects)
    own = [fault for one in examined for fault in one.faults]
    whole = [*check_declared(found), *check_files(found), *wrong_folds, *check_values(found, cases, to_background)]
    others = [*check_duplicates(examined), *check_outliers(cases, found.channels)]
    faults = sorted([*whole, *own, *others], key=lambda fault: (fault.level, fault.case))
    return Examination(path, found, tuple(cases), tuple(faults), folds, to_background)


def _with_labels(found: FoundDataset, labels: str) -> FoundDataset:
    """Return the dataset with the label maps of another folder in it."""
    inside = found.folder / labels
    cases = (replace(case, labels=inside / f"{case.name}{found.ending}") for case in found.cases)
    return replace(found, cases=tuple(cases))


def _with_chosen(found: FoundDataset) -> FoundDataset:
    """Return the dataset with chosen labels for cases without reference labels."""

    def chosen(case: FoundCase) -> FoundCase:
        other = found.folder / CHOSEN / f"{case.name}{found.ending}"
        missing = case.labels is None or not case.labels.is_file()
        return replace(case, labels=other) if missing and other.is_file() else case

    return replace(found, cases=tuple(map(chosen, found.cases)))


def _within(folds: Sequence[Fold], names: Sequence[str]) -> tuple[Fold, ...]:
    """Return folds without the cases that are not among these."""
    kept = set(names)
    return tuple(
        (tuple(n for n in training if n in kept), tuple(n for n in validation if n in kept))
        for training, validation in folds
    )
