"""Datasets in nnU-Net's raw layout, with scores and chosen labels where ``voxtrace score`` wrote them.

::

    dataset.json
    imagesTr/<case>_0000.nii.gz     a file for each channel
    labelsTr/<case>.nii.gz          reference labels
    labelsChosen/<case>.nii.gz      read for cases without reference labels
    scores.json                     scores of each case, by which training samples cases
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import DatasetError
from voxtrace.io.child.guarded import read, read_labels
from voxtrace.safe_text import read_json
from voxtrace.training.dataset_listing import read_listing
from voxtrace.volume import Case

FOLDS = 5
REFERENCE, CHOSEN = "labelsTr", "labelsChosen"
SCORES = "scores.json"


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case: an image for each channel, in order, and its labels; and its scores for sampling."""

    name: str
    images: tuple[Path, ...]
    labels: Path
    scores: Mapping[str, float] = field(default_factory=dict)

    def load(self) -> Case:
        """Read the case."""
        return Case(self.name, read(self.images), read_labels(self.labels), self.scores)


class CaseFolder(Sequence[Case]):
    """Cases that are read when they are indexed; their number and names are known before."""

    def __init__(self, files: Sequence[CaseFiles]) -> None:
        self.files = tuple(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        """Return one case, read now; a slice reads nothing."""
        return CaseFolder(self.files[index]) if isinstance(index, slice) else self.files[index].load()

    def __iter__(self) -> Iterator[Case]:
        return (files.load() for files in self.files)


@dataclass(frozen=True)
class Dataset:
    """A training set as its folder describes it.

    Attributes
    ----------
    name
        From ``dataset.json``, else the folder's name.
    channels
        A name for each input channel, e.g. ``("CT",)``.
    labels
        Label value -> name, background included.
    files
        Every training case, sorted by name.
    folds
        (training names, validation names) for each fold.
    licence
        As ``dataset.json`` states it.
    """

    name: str
    channels: tuple[str, ...]
    labels: dict[int, str]
    files: tuple[CaseFiles, ...]
    folds: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    licence: str = ""

    def cases(self, names: Sequence[str]) -> CaseFolder:
        """Return the named cases, unread."""
        by_name = {files.name: files for files in self.files}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise DatasetError(f"{self.name} has no case {missing[0]!r}, which its splits name; correct the splits.")
        return CaseFolder([by_name[name] for name in names])


def open_dataset(folder: str | Path, labels: str = "") -> Dataset:
    """Return what a dataset folder holds; no voxel is read.

    ``labels`` names the folder inside with the labels to learn. Unset, these are in ``labelsTr`` and, for cases that it
    lacks, in ``labelsChosen``.

    Raises
    ------
    DatasetError
        The folder lacks ``dataset.json`` or cases, a channel or a label file is missing, labels are regions, or
        ``scores.json`` was not written by ``voxtrace score``.
    """
    folder = Path(folder)
    listing = read_listing(folder)
    scores = _scores(folder)
    files = tuple(
        CaseFiles(name, images, _label_file(folder, labels, name, listing.ending), scores.get(name, {}))
        for name, images in listing.images.items()
    )
    return Dataset(
        name=listing.name,
        channels=listing.channels,
        labels=listing.labels,
        files=files,
        folds=_folds(folder, [f.name for f in files]),
        licence=listing.licence,
    )


def fold(dataset: Dataset, number: int) -> tuple[CaseFolder, CaseFolder]:
    """Return (training cases, validation cases) of a fold, 0-based, from ``splits_final.json`` or a seeded 5-fold."""
    if not 0 <= number < len(dataset.folds):
        raise DatasetError(f"fold {number} was asked for; {dataset.name} has folds 0 to {len(dataset.folds) - 1}.")
    training, validation = dataset.folds[number]
    return dataset.cases(training), dataset.cases(validation)


def _label_file(folder: Path, labels: str, name: str, ending: str) -> Path:
    candidates = [folder / kind / f"{name}{ending}" for kind in ((labels,) if labels else (REFERENCE, CHOSEN))]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise DatasetError(f"case {name}: {candidates[0]} is missing; add it or remove the case.")
    return found


def _scores(folder: Path) -> dict[str, dict[str, float]]:
    """Return the numbers of each case in ``scores.json``; {} without that file."""
    file = folder / SCORES
    if not file.is_file():
        return {}
    try:
        cases = read_json(file, allow_nan=True)["cases"]
        return {
            str(name): {k: float(v) for k, v in score.items() if k != "chosen" and isinstance(v, (int, float))}
            for name, score in cases.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{file} holds no scores of cases; write it again with `voxtrace score`.") from error


def _folds(folder: Path, names: list[str]) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    file = folder / "splits_final.json"
    if file.is_file():
        try:
            splits = [(tuple(split["train"]), tuple(split["val"])) for split in read_json(file)]
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(
                f"{file} holds no folds ({error!r}); expected [{{'train': [...], 'val': [...]}}, ...]."
            ) from error
        if not all(isinstance(name, str) for fold in splits for part in fold for name in part):
            raise DatasetError(f"{file} names cases by something other than text; correct it.")
        return tuple(splits)
    shuffled = [names[i] for i in np.random.default_rng(12345).permutation(len(names))]
    held = [tuple(sorted(shuffled[k::FOLDS])) for k in range(min(FOLDS, len(names)))]
    return tuple((tuple(n for n in names if n not in out), out) for out in held)
