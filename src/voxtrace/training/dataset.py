"""Datasets in nnU-Net's raw layout: ``dataset.json``, ``imagesTr/<case>_0000.nii.gz``, ``labelsTr/<case>.nii.gz``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import DatasetError
from voxtrace.io import read, read_labels
from voxtrace.volume import Case

FOLDS = 5


@dataclass(frozen=True)
class CaseFiles:
    """Where one case lies: an image file for each channel, in order, and its reference labels."""

    name: str
    images: tuple[Path, ...]
    labels: Path

    def load(self) -> Case:
        """Read the case."""
        return Case(self.name, read(self.images), read_labels(self.labels))


class CaseFolder(Sequence[Case]):
    """Cases that are read when they are asked for; ``len`` and names are known before."""

    def __init__(self, files: Sequence[CaseFiles]) -> None:
        self.files = tuple(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        """Return one case, read now, or a slice that reads nothing yet."""
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


def open_dataset(folder: str | Path) -> Dataset:
    """Return what a dataset folder holds; no voxel is read.

    Raises
    ------
    DatasetError
        The folder lacks ``dataset.json`` or cases, a channel or a label file is missing, or labels are regions.
    """
    folder = Path(folder)
    record = _record(folder)
    channels = record.get("channel_names") or record.get("modality")
    if not isinstance(channels, dict) or not channels:
        raise DatasetError(f"{folder / 'dataset.json'} names no channels; expected channel_names, e.g. {{'0': 'CT'}}.")
    ending = str(record.get("file_ending", ".nii.gz"))
    files = _case_files(folder, ending, len(channels))
    return Dataset(
        name=str(record.get("name") or folder.name),
        channels=tuple(str(channels[key]) for key in sorted(channels, key=int)),
        labels=_labels(record, folder),
        files=files,
        folds=_folds(folder, [f.name for f in files]),
        licence=str(record.get("licence") or record.get("license") or ""),
    )


def fold(dataset: Dataset, number: int) -> tuple[CaseFolder, CaseFolder]:
    """Return (training cases, validation cases) of a fold, 0-based, from ``splits_final.json`` or a seeded 5-fold."""
    if not 0 <= number < len(dataset.folds):
        raise DatasetError(f"fold {number} was asked for; {dataset.name} has folds 0 to {len(dataset.folds) - 1}.")
    training, validation = dataset.folds[number]
    return dataset.cases(training), dataset.cases(validation)


def _record(folder: Path) -> dict[str, Any]:
    file = folder / "dataset.json"
    if not file.is_file():
        raise DatasetError(
            f"{folder} has no dataset.json; expected nnU-Net's raw layout: dataset.json, imagesTr, labelsTr."
        )
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{file} is not JSON ({error}); correct it.") from error
    if not isinstance(record, dict):
        raise DatasetError(f"{file} holds {type(record).__name__}; expected a JSON object.")
    return record


def _labels(record: dict[str, Any], folder: Path) -> dict[int, str]:
    raw = record.get("labels")
    if not isinstance(raw, dict) or not raw:
        raise DatasetError(f"{folder / 'dataset.json'} names no labels; expected e.g. {{'background': 0, 'liver': 1}}.")
    try:
        pairs = [(int(k), str(v)) if str(k).isdigit() else (int(v), str(k)) for k, v in raw.items()]
    except (TypeError, ValueError) as error:
        raise DatasetError(
            f"{folder / 'dataset.json'}: labels must be whole numbers, not regions ({error})."
        ) from error
    labels = dict(sorted(pairs))
    if sorted(labels) != list(range(len(labels))):
        raise DatasetError(
            f"{folder / 'dataset.json'}: label values {sorted(labels)} are not 0, 1, 2 …; renumber them."
        )
    return labels


def _case_files(folder: Path, ending: str, n_channels: int) -> tuple[CaseFiles, ...]:
    first = f"_0000{ending}"
    names = sorted(f.name.removesuffix(first) for f in (folder / "imagesTr").glob(f"*{first}"))
    if not names:
        raise DatasetError(f"{folder / 'imagesTr'} holds no *{first}; expected one file a case and channel.")
    files = []
    for name in names:
        images = tuple(folder / "imagesTr" / f"{name}_{c:04d}{ending}" for c in range(n_channels))
        labels = folder / "labelsTr" / f"{name}{ending}"
        for path in (*images, labels):
            if not path.is_file():
                raise DatasetError(f"case {name}: {path} is missing; add it or remove the case.")
        files.append(CaseFiles(name, images, labels))
    return tuple(files)


def _folds(folder: Path, names: list[str]) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    file = folder / "splits_final.json"
    if file.is_file():
        splits = json.loads(file.read_text(encoding="utf-8"))
        return tuple((tuple(split["train"]), tuple(split["val"])) for split in splits)
    shuffled = [names[i] for i in np.random.default_rng(12345).permutation(len(names))]
    held = [tuple(sorted(shuffled[k::FOLDS])) for k in range(min(FOLDS, len(names)))]
    return tuple((tuple(n for n in names if n not in out), out) for out in held)
