"""Datasets in any of the layouts, with scores and chosen labels where ``voxtrace score`` wrote them.

In nnU-Net's raw layout::

    dataset.json
    imagesTr/<case>_0000.nii.gz     a file for each channel
    labelsTr/<case>.nii.gz          reference labels
    labelsChosen/<case>.nii.gz      read for cases without reference labels
    scores.json                     scores of each case, by which training samples cases
    splits_final.json               folds; drawn by subject where it is missing

:mod:`voxtrace.training.layouts` has the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtrace.errors import DatasetError
from voxtrace.io.child.guarded import read, read_labels
from voxtrace.plan.regions import LabelRegion
from voxtrace.safe_text import brief, read_json
from voxtrace.training.dataset_cache import stored_folds
from voxtrace.training.dataset_listing import SEE_ALL, DatasetListing, read_listing
from voxtrace.training.split import SPLITS, Fold, check_apart, folds_of, held_back, read_splits, subjects_of
from voxtrace.volume import Case, Volume

REFERENCE, CHOSEN = "labelsTr", "labelsChosen"
SCORES = "scores.json"


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case: an image for each channel, in order, and its labels; and its scores for sampling.

    One image may hold every channel in its fourth dimension; ``channels`` is their number. ``subject`` is whose scan
    it is, where a dataset says so.
    """

    name: str
    images: tuple[Path, ...]
    labels: Path
    scores: Mapping[str, float] = field(default_factory=dict)
    channels: int = 1
    subject: str = ""

    def load(self) -> Case:
        """Read the case."""
        return Case(self.name, read_image(self.images, self.channels), read_labels(self.labels), self.scores)


class CaseFolder(Sequence[Case]):
    """Cases that are read when they are indexed; their number, names and subjects are known before."""

    def __init__(self, files: Sequence[CaseFiles]) -> None:
        self.files = tuple(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        """Return one case, read now; a slice reads nothing."""
        return CaseFolder(self.files[index]) if isinstance(index, slice) else self.files[index].load()

    def __iter__(self) -> Iterator[Case]:
        return (files.load() for files in self.files)


def case_subjects(cases: Sequence[Case], names: Sequence[str]) -> list[str]:
    """Return the subject of each case: as its dataset has it; of cases in memory by their ``names``."""
    stated = {files.name: files.subject for files in cases.files} if isinstance(cases, CaseFolder) else {}
    subjects = subjects_of(names, stated)
    return [subjects[name] for name in names]


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
    subjects
        Case -> who was scanned.
    source
        The file that has the folds; ``""`` where they were drawn.
    ignore
        Whether the label value after the last one marks voxels that are neither learned nor scored.
    path
        The folder or CSV.
    regions
        What is learned where labels overlap; empty where every voxel has one label.
    """

    name: str
    channels: tuple[str, ...]
    labels: dict[int, str]
    files: tuple[CaseFiles, ...]
    folds: tuple[Fold, ...]
    licence: str = ""
    subjects: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    ignore: bool = False
    path: Path = Path()
    regions: tuple[LabelRegion, ...] = ()

    @property
    def ignored(self) -> int | None:
        """The label value of voxels that are neither learned nor scored, or None."""
        return len(self.labels) if self.ignore else None

    def cases(self, names: Sequence[str]) -> CaseFolder:
        """Return the named cases, unread."""
        by_name = {files.name: files for files in self.files}
        missing = [name for name in names if name not in by_name]
        if missing:
            first = brief(repr(missing[0]))
            raise DatasetError(f"{self.name} has no case {first}, which its splits name; correct the splits.")
        return CaseFolder([by_name[name] for name in names])


def read_image(images: Sequence[Path], channels: int) -> Volume:
    """Return the volume (C, Z, Y, X) of a case: a file a channel, or one file with every channel.

    Raises
    ------
    ReadError
        A file cannot be read, or one file holds another number of channels.
    GeometryError
        The channels lie on different grids.
    """
    return read(images[0], channels=channels) if len(images) == 1 else read(images)


def open_dataset(folder: str | Path, labels: str = "") -> Dataset:
    """Return what a dataset's folder, or CSV, holds; no image is read.

    ``labels`` names the folder inside with the labels to learn. Unset, these are in ``labelsTr`` and, for cases that it
    lacks, in ``labelsChosen``; in other layouts where the dataset says. Folds are those of ``splits_final.json``, or of
    the column ``fold``; otherwise five are drawn by subject, see :mod:`voxtrace.training.split`.

    Raises
    ------
    DatasetError
        There is no dataset of a known layout, a channel or a label file is missing, labels are not numbered 0, 1, 2 …,
        or ``scores.json`` or ``splits_final.json`` have another structure.
    """
    path = Path(folder)
    listing = read_listing(path)
    inside = path if path.is_dir() else path.parent
    scores = _scores(inside)
    subjects, channels = subjects_of(list(listing.images), listing.subjects), len(listing.channels)
    files = tuple(
        CaseFiles(
            name, images, _label_file(inside, labels, name, listing), scores.get(name, {}), channels, subjects[name]
        )
        for name, images in listing.images.items()
    )
    folds, source = _folds(path, inside, listing, subjects)
    return Dataset(
        name=listing.name,
        channels=listing.channels,
        labels=listing.labels,
        files=files,
        folds=folds,
        licence=listing.licence,
        subjects=subjects,
        source=source,
        ignore=listing.ignore,
        path=path,
        regions=listing.regions,
    )


def fold(dataset: Dataset, number: int) -> tuple[CaseFolder, CaseFolder]:
    """Return (training cases, validation cases) of a fold, 0-based.

    Raises
    ------
    DatasetError
        There is no such fold, it names cases that the dataset lacks, or it trains and validates on one subject.
    """
    if not 0 <= number < len(dataset.folds):
        raise DatasetError(f"fold {number} was asked for; {dataset.name} has folds 0 to {len(dataset.folds) - 1}.")
    training, validation = dataset.folds[number]
    check_apart(dataset.folds[number], dataset.subjects, number, dataset.source or dataset.name)
    return dataset.cases(training), dataset.cases(validation)


def _folds(
    path: Path, inside: Path, listing: DatasetListing, subjects: Mapping[str, str]
) -> tuple[tuple[Fold, ...], str]:
    """Return the folds, and the file that they are from; ``""`` where they are drawn."""
    if listing.held_in:
        return held_back(listing.held_in, list(listing.images)), str(path)
    if (inside / SPLITS).is_file():
        return read_splits(inside / SPLITS), str(inside / SPLITS)
    return folds_of(subjects, stored_folds(path, subjects.values())), ""


def _label_file(folder: Path, labels: str, name: str, listing: DatasetListing) -> Path:
    if labels:
        candidates = [folder / labels / f"{name}{listing.ending}"]
    else:
        stated = listing.label_files.get(name)
        candidates = [*([stated] if stated else []), folder / CHOSEN / f"{name}{listing.ending}"]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise DatasetError(f"case {name}: {candidates[0]} is missing; add it or remove the case. {SEE_ALL}")
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
