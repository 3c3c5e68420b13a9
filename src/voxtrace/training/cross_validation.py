"""Cross-validation: a training for each fold of one plan and split, and the scores of all held-back cases together.

::

    hippocampus-cv/
    ├── plan.json                the plan and folds that every training takes; none where a bundle is fine-tuned
    ├── prepared/                prepared cases that the folds share; gone when all are finished
    ├── fold_0/, fold_1/, …      a bundle for each fold that is finished
    ├── fold_2.work/             the fold that is being trained
    └── cross_validation.json    how many folds there are, and the pooled scores of those that are finished

Such a folder is a bundle for ``-m``, see :mod:`voxtrace.inference.fold_folder`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxtrace.atomic import atomic_file, remove_folder
from voxtrace.bundle import JSON, load
from voxtrace.errors import DatasetError, OutputError, UsageError
from voxtrace.inference.fold_folder import FOLD, SUMMARY, fold_summary
from voxtrace.training.dataset import Dataset, fold, open_dataset
from voxtrace.training.dataset_plan import DatasetPlan, matching_plan, with_folds
from voxtrace.training.learned import refuse_learned
from voxtrace.training.pooled_scores import pooled_scores
from voxtrace.training.progress import TrainProgress
from voxtrace.training.request import TrainRequest
from voxtrace.training.setup import changed_plan, check_regions, file_name, given_plan, method_key, stored_or_planned

FORMAT, VERSION = "voxtrace cross-validation", 1
PLAN, PREPARED = "plan.json", "prepared"
LEAST_FOLDS = 2


@dataclass(frozen=True)
class CrossValidation:
    """The trainings of a cross-validation.

    Attributes
    ----------
    out, dataset
        Its folder, and the dataset's name.
    requests
        The training of each fold, in order; what is finished is compared and left as it is, what was begun goes on.
    own_cases
        Whether the prepared cases lie in its folder, and go when all folds are finished.
    """

    out: Path
    dataset: str
    requests: tuple[TrainRequest, ...]
    own_cases: bool

    @property
    def finished(self) -> tuple[Path, ...]:
        """The bundles of the folds that are finished, in order."""
        return _finished(self.out, len(self.requests))

    def write_summary(self) -> dict[str, Any]:
        """Write the pooled scores of the folds that are finished, and return them as JSON values.

        Raises
        ------
        BundleError
            The bundle of a fold was altered.
        OutputError
            The system refuses.
        """
        record = _pooled(self.out, self.dataset, len(self.requests))
        if self.own_cases and len(record["finished"]) == len(self.requests):
            remove_folder(self.out / PREPARED)
        return record


def set_up_folds(request: TrainRequest, cancel: Callable[[], bool]) -> Generator[TrainProgress, None, CrossValidation]:
    """Yield progress while the dataset is planned, unless it is already; return the trainings, one for each fold.

    The plan with its folds is written into the output folder and every fold takes it from there, so that a
    cross-validation that goes on later has the same.

    Raises
    ------
    UsageError
        The request has an option that belongs to a single training, or another plan than the one that was begun.
    DatasetError
        The dataset cannot be used, or has fewer than two folds.
    OutputError
        There is one at the output already, and it is not to go on.
    """
    _check_request(request)
    dataset = open_dataset(request.dataset, request.labels)
    check_regions(request, dataset)
    out = request.out or Path(f"{file_name(dataset.name)}-{method_key(request.method, request.initial)}-cv")
    _check_place(out, request)
    if request.initial is not None:
        given_plan(request, dataset)  # refuses a plan beside the bundle's
        _check_start(request.initial, out, dataset)
    else:
        stored = yield from _one_plan(request, dataset, out, cancel)
        dataset = with_folds(dataset, stored)
        _check_folds(dataset)
        stored.write(out / PLAN)
    _check_folds(dataset)
    plan = out / PLAN if request.initial is None else None
    requests = tuple(_of_fold(request, out, number, plan) for number in range(len(dataset.folds)))
    made = CrossValidation(out, dataset.name, requests, own_cases=request.prepared is None)
    made.write_summary()
    return made


def pool_again(folder: Path) -> None:
    """Write the pooled scores of a cross-validation anew, after one of its folds was measured again.

    Of any other folder nothing is written.

    Raises
    ------
    BundleError, OutputError
        As :meth:`CrossValidation.write_summary`.
    """
    if (folder / SUMMARY).is_file():
        before = fold_summary(folder)
        _pooled(folder, str(before.get("dataset", "")), int(before["folds"]))


def _finished(out: Path, count: int) -> tuple[Path, ...]:
    folds = (_fold_folder(out, number) for number in range(count))
    return tuple(folder for folder in folds if (folder / JSON).is_file())


def _pooled(out: Path, dataset: str, count: int) -> dict[str, Any]:
    """Write the summary of the folds that are finished, and return it."""
    folds = {int(path.name.removeprefix(FOLD)): path for path in _finished(out, count)}
    about = {"format": FORMAT, "version": VERSION, "dataset": dataset, "folds": count, "finished": list(folds)}
    record = {**about, **pooled_scores(folds)}
    with atomic_file(out / SUMMARY) as file:
        file.write_text(json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return record


def _fold_folder(out: Path, number: int) -> Path:
    return out / f"{FOLD}{number}"


def _of_fold(request: TrainRequest, out: Path, number: int, plan: Path | None) -> TrainRequest:
    """Return the training of one fold."""
    curves = request.tensorboard / f"{FOLD}{number}" if request.tensorboard else None
    return replace(
        request,
        out=_fold_folder(out, number),
        fold=number,
        name=f"{request.name or out.name}-fold-{number}",
        plan=plan,
        window=None,
        spacing_mm=None,
        prepared=request.prepared or out / PREPARED,
        tensorboard=curves,
    )


def _check_request(request: TrainRequest) -> None:
    if request.fold is not None:
        raise UsageError("--fold does not go with --cv, which trains every fold; leave one of them out.")
    if request.fork is not None:
        raise UsageError("--fork does not go with --cv; fork the run of one fold with --fold and another --out.")
    if request.devices > 1 or request.nodes > 1:
        raise UsageError(
            "--cv trains on one device. Train each fold with --fold N --devices … --out OUT/fold_N; the folder OUT is "
            "a bundle for -m all the same."
        )


def _check_place(out: Path, request: TrainRequest) -> None:
    """Refuse a folder with something in it, unless a cross-validation of it goes on."""
    if (out / JSON).is_file():
        raise OutputError(f"{out} is a bundle; choose another --out for the folder of folds.")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not request.resume):
        raise OutputError(f"{out} exists already; add --resume to go on with it, or choose another --out.")


def _check_start(initial: str | Path, out: Path, dataset: Dataset) -> None:
    """Refuse a bundle that learned a case, before a fold begins: each case is held back once."""
    if not (out.is_dir() and any(out.iterdir())):
        every = dataset.cases([files.name for files in dataset.files])
        refuse_learned(load(initial), every, "train without --from, or from a bundle that learned none of them")


def _check_folds(dataset: Dataset) -> None:
    """Refuse a dataset without folds, and every fold that cannot be trained, before the first begins."""
    if len(dataset.folds) < LEAST_FOLDS:
        raise DatasetError(
            f"{dataset.name} has {len(dataset.folds)} folds; cross-validation needs two at least. State them in "
            "splits_final.json or the column fold, or add cases of other subjects."
        )
    for number in range(len(dataset.folds)):
        fold(dataset, number)


def _one_plan(
    request: TrainRequest, dataset: Dataset, out: Path, cancel: Callable[[], bool]
) -> Generator[TrainProgress, None, DatasetPlan]:
    """Return the plan of the cross-validation at an output, or else the one that is asked for."""
    begun = matching_plan(out / PLAN, dataset) if (out / PLAN).is_file() else None
    given = given_plan(request, dataset)
    if begun is not None and not (given or request.window or request.spacing_mm):
        return begun
    if given is None:
        stored = yield from stored_or_planned(dataset, request.device, request.labels, cancel)
        # the folds that the dataset has now: those in the cache may be of an earlier day
        given = DatasetPlan.of(dataset, stored.device, stored.found, changed_plan(stored, request, dataset))
    if begun is not None and _trained_by(begun) != _trained_by(given):
        raise UsageError(
            f"the cross-validation in {out} was begun with the window {begun.plan.window} at "
            f"{begun.plan.spacing_mm} mm and its own folds in {PLAN}; leave out --plan, --window and --spacing, or "
            "begin another with --out."
        )
    return begun or given


def _trained_by(plan: DatasetPlan) -> Mapping[str, Any]:
    return {"plan": plan.plan, "folds": plan.folds}
