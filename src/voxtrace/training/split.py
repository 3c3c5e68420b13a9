"""The folds of a dataset: by subject, stable when cases are added, and never with a subject on both sides.

A subject's fold follows from a hash of its name, so that every machine draws the same folds and a new subject moves no
other. In small datasets, where chance leaves folds almost empty, some subjects are moved there; the folds drawn first
are kept in the dataset's cache (:mod:`voxtrace.training.dataset_cache`), and later ones only add to them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxtrace.errors import DatasetError
from voxtrace.safe_text import read_json

FOLDS = 5
SPLITS = "splits_final.json"
Fold = tuple[tuple[str, ...], tuple[str, ...]]  # names of training cases, of validation cases

_WHOLE = re.compile(
    r"(sub-[A-Za-z0-9]+)|(BraTS[-_][A-Za-z0-9]+[-_]\d{4,6})-\d{3}|(TCGA[-_.][A-Z0-9]{2}[-_.][A-Z0-9]{4})(?![A-Z0-9])",
    re.I,
)
_COUNTED = (
    "frame|phase|time|timepoint|tp|t|visit|ses|session|scan|series|acq|run|rep|day|week|month|year|echo|mr|ct|pt|fu"
)
_SAID = "ed|es|left|right|l|r|lt|rt|lh|rh|pre|post|baseline|bl|followup|arterial|venous|portal|delayed"
_LAST = re.compile(
    rf"[-_.](?:(?:{_COUNTED})[-_]?\d+|{_SAID}|(?:19|20)\d\d[-_]?\d\d[-_]?\d\d)$", re.I
)  # what tells the scans of one subject apart


def subject_of(name: str) -> str:
    """Return who was scanned, by the common ways to name cases; the case's own name where none applies.

    What is cut off must leave a number, by which subjects are told apart.

    Examples
    --------
    >>> subject_of("patient001_frame01"), subject_of("sub-07_ses-2_T1w"), subject_of("BraTS-GLI-00001-001")
    ('patient001', 'sub-07', 'BraTS-GLI-00001')
    >>> subject_of("hippocampus_004"), subject_of("mri_scan_12"), subject_of("knee012_left_visit2")
    ('hippocampus_004', 'mri_scan_12', 'knee012')
    """
    if whole := _WHOLE.match(name):
        return next(group for group in whole.groups() if group)
    subject = name
    while (last := _LAST.search(subject)) and any(letter.isdigit() for letter in subject[: last.start()]):
        subject = subject[: last.start()]
    return subject


def subjects_of(names: Sequence[str], stated: Mapping[str, str]) -> dict[str, str]:
    """Return the subject of each case: as stated, else by its name; where that leaves one subject, each is its own."""
    found = {name: stated.get(name) or subject_of(name) for name in names}
    alone = len(set(found.values())) == 1 and not stated
    return {name: name for name in names} if alone else found


def draw_folds(subjects: Iterable[str], known: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the fold of each subject, one of five, or as many as there are subjects.

    Subjects of which a fold is known keep it. The others have that of their hash; while a fold has fewer than half of
    its part, one of them moves there from the largest fold.
    """
    everyone = sorted(set(subjects), key=_number)
    count = min(FOLDS, len(everyone))
    kept = {one: fold for one, fold in (known or {}).items() if fold < count}
    folds = {one: kept.get(one, _number(one) % count) for one in everyone}
    least = max(1, len(everyone) // (2 * count)) if count else 0
    for fold in range(count):
        while sum(one == fold for one in folds.values()) < least:
            sizes = Counter(folds.values())
            movable = [one for one in everyone if one not in kept and sizes[folds[one]] > least]
            if not movable:
                break
            folds[max(movable, key=lambda one: (sizes[folds[one]], _number(one)))] = fold
    return folds


def folds_of(subjects: Mapping[str, str], fold_of: Mapping[str, int]) -> tuple[Fold, ...]:
    """Return (training names, validation names) of each fold, given each case's subject and each subject's fold."""
    held = {name: fold_of[subject] for name, subject in subjects.items()}
    return held_back(held, sorted(subjects))


def held_back(held_in: Mapping[str, int], names: Sequence[str]) -> tuple[Fold, ...]:
    """Return every fold, given the fold that holds each case back; a case without one is trained on in all."""
    return tuple(
        (
            tuple(name for name in names if held_in.get(name) != number),
            tuple(name for name in names if held_in.get(name) == number),
        )
        for number in range(max(held_in.values(), default=-1) + 1)
    )


def read_splits(file: Path) -> tuple[Fold, ...]:
    """Return the folds of a ``splits_final.json``.

    Raises
    ------
    DatasetError
        It has another structure than a list of ``{'train': [names], 'val': [names]}``.
    """
    try:
        splits = read_json(file)
    except (ValueError, OSError) as error:
        raise DatasetError(f"{file} is not JSON ({error}); correct or delete it.") from error
    return parse_splits(splits, file)


def parse_splits(splits: Any, file: Path) -> tuple[Fold, ...]:
    """Return the folds of a JSON value; the file is named in messages."""
    if not isinstance(splits, list) or not splits:
        raise _no_folds(file, f"{type(splits).__name__} without folds" if not splits else type(splits).__name__)
    for number, split in enumerate(splits):
        parts: list[Any] = [split.get(part) for part in ("train", "val")] if isinstance(split, dict) else []
        if not parts or not all(isinstance(part, list) for part in parts):
            raise _no_folds(file, f"fold {number} is not such an object")
        if not all(isinstance(name, str) for part in parts for name in part):
            raise DatasetError(f"{file} names cases by something other than text; correct it.")
    return tuple((tuple(split["train"]), tuple(split["val"])) for split in splits)


def check_apart(fold: Fold, subjects: Mapping[str, str], number: int, source: str) -> None:
    """Refuse a fold that trains and validates on one case, or on two cases of one subject.

    Raises
    ------
    DatasetError
        It does; the message names both cases.
    """
    training, validation = fold
    by_subject = {subjects.get(name, name): name for name in training}
    for name in validation:
        other = by_subject.get(subjects.get(name, name))
        if other is not None:
            whose = "it" if other == name else f"{other} of the same subject, {subjects[name]}"
            raise DatasetError(
                f"fold {number} of {source} validates on {name} and trains on {whose}. Keep each subject on one side, "
                "or remove the folds, which are then drawn by subject; `subjects` in dataset.json says who is who."
            )


def _no_folds(file: Path, what: str) -> DatasetError:
    return DatasetError(f"{file} holds no folds ({what}); expected [{{'train': [...], 'val': [...]}}, ...].")


def _number(subject: str) -> int:
    return int.from_bytes(hashlib.sha256(subject.encode("utf-8", "surrogatepass")).digest()[:8], "big")
