"""Datasets whose ``dataset.json`` lists the files of its cases, relative to its folder.

``training`` is the Medical Segmentation Decathlon's list, with every channel in the fourth dimension of one file::

    "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}, …]

``dataset`` is nnU-Net's, with a file for each channel::

    "dataset": {"a": {"images": ["t1/a.nii.gz", "t2/a.nii.gz"], "label": "labels/a.nii.gz"}, …}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtrace.errors import DatasetError
from voxtrace.io.suffixes import stem_of
from voxtrace.training.layouts.found import FoundCase, FoundDataset
from voxtrace.training.layouts.raw import hidden_files
from voxtrace.training.layouts.record import DatasetRecord

TRAINING, LISTING = "training", "dataset"


def read_decathlon(record: DatasetRecord) -> FoundDataset:
    """Return the cases of the list ``training``.

    Raises
    ------
    DatasetError
        An entry does not name an image and a label file, or two entries have one name.
    """
    entries = record.raw[TRAINING]
    cases = [_decathlon_case(number, entry, record) for number, entry in enumerate(entries)]
    return _found("decathlon", cases, record)


def read_listed(record: DatasetRecord) -> FoundDataset:
    """Return the cases of the object ``dataset``.

    Raises
    ------
    DatasetError
        An entry does not name a file for each channel and a label file.
    """
    entries = record.raw[LISTING]
    if not isinstance(entries, dict):
        raise DatasetError(
            f"{record.file}: dataset must be an object, e.g. {{'case': {{'images': [...], 'label': …}}}}."
        )
    return _found("listing", [_listed_case(name, entry, record) for name, entry in entries.items()], record)


def _decathlon_case(number: int, entry: Any, record: DatasetRecord) -> FoundCase:
    expected = f"{record.file}: entry {number} of training must be {{'image': FILE, 'label': FILE}}; correct it."
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise DatasetError(expected)
    image = record.file.parent / entry["image"]
    return _case(stem_of(image), (image,), entry.get("label"), record, expected)


def _listed_case(name: str, entry: Any, record: DatasetRecord) -> FoundCase:
    n = len(record.channels)
    expected = f"{record.file}: case {name} of dataset must have images, a list of {n} file(s), and label; correct it."
    images = entry.get("images") if isinstance(entry, dict) else None
    if not isinstance(images, list) or len(images) != n or not all(isinstance(one, str) for one in images):
        raise DatasetError(expected)
    return _case(name, tuple(record.file.parent / one for one in images), entry.get("label"), record, expected)


def _case(name: str, images: tuple[Path, ...], label: Any, record: DatasetRecord, expected: str) -> FoundCase:
    if label is not None and not isinstance(label, str):
        raise DatasetError(expected)
    labels = None if label is None else record.file.parent / label
    return FoundCase(name, images, labels, record.subjects.get(name, ""))


def _found(layout: str, cases: list[FoundCase], record: DatasetRecord) -> FoundDataset:
    names = [case.name for case in cases]
    if not names:
        raise DatasetError(f"{record.file} lists no cases; expected image and label files of each.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DatasetError(f"{record.file} lists the case {twice[0]} twice; give each case a name of its own.")
    folders = sorted(
        {path.parent for case in cases for path in (*case.images, *([case.labels] if case.labels else []))}
    )
    return FoundDataset(
        layout,
        record.file.parent,
        record.file,
        record.name,
        record.channels,
        record.declared,
        tuple(sorted(cases, key=lambda case: case.name)),
        record.ignore,
        record.ending,
        record.licence,
        hidden=tuple(file for folder in folders for file in hidden_files(folder)),
        stated_cases=record.stated_cases,
        subjects=record.subjects,
        regions=record.regions,
    )
