"""nnU-Net's raw layout: ``imagesTr/<case>_0000.nii.gz``, a file for each channel, and ``labelsTr/<case>.nii.gz``.

A folder that the window began with corrected cases has this layout; its ``provenance`` folder is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from voxtrace.errors import DatasetError
from voxtrace.io.contents import parts_of
from voxtrace.io.suffixes import TEXT, stem_of, suffix_of
from voxtrace.training.layouts.found import FoundCase, FoundDataset
from voxtrace.training.layouts.record import DatasetRecord

IMAGES, LABELS = "imagesTr", "labelsTr"
TEST_IMAGES, TEST_LABELS = "imagesTs", "labelsTs"
_CHANNEL = re.compile(r"(.+)_(\d{4})")


def read_raw(record: DatasetRecord) -> FoundDataset:
    """Return the cases of a folder in nnU-Net's raw layout: every name of which imagesTr has some channel.

    Raises
    ------
    DatasetError
        There is no image.
    """
    folder = record.file.parent
    images = _visible(folder / IMAGES)
    names, used = _cases_in(images, record)
    if not names:
        raise DatasetError(
            f"{folder / IMAGES} holds no *_0000{record.ending}; expected one file a case and channel, with the "
            f"file_ending of {record.file}."
        )
    cases = tuple(_case(name, record) for name in names)
    used |= {case.labels for case in cases if case.labels}
    others = _belonging_to_none((*images, *_visible(folder / LABELS)), used)
    tests = _cases_in(_visible(folder / TEST_IMAGES), record)[0]
    return FoundDataset(
        "raw",
        folder,
        record.file,
        record.name,
        record.channels,
        record.declared,
        cases,
        record.ignore,
        record.ending,
        record.licence,
        others,
        tuple(file for name in (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS) for file in hidden_files(folder / name)),
        record.stated_cases,
        record.subjects,
        tuple(_case(name, record, TEST_IMAGES, TEST_LABELS) for name in tests),
        record.regions,
    )


def hidden_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder whose names begin with a dot and end like a scan's."""
    found = folder.iterdir() if folder.is_dir() else ()
    return tuple(sorted(f for f in found if f.name.startswith(".") and suffix_of(f) and f.is_file()))


def _visible(folder: Path) -> tuple[Path, ...]:
    found = folder.iterdir() if folder.is_dir() else ()
    return tuple(sorted(f for f in found if not f.name.startswith(".") and (f.is_file() or f.is_symlink())))


def _belonging_to_none(files: Iterable[Path], used: set[Path]) -> tuple[Path, ...]:
    """Return the files that are not used, nor hold the voxels of one that is."""
    others = tuple(file for file in files if file not in used)
    headers = [file for file in used if others and suffix_of(file) in TEXT and file.is_file()]
    beside = {os.path.realpath(part) for header in headers for part in parts_of(header)}
    return tuple(file for file in others if os.path.realpath(file) not in beside)


def _bare(file: Path, ending: str) -> str:
    return stem_of(file) if file.name.endswith(ending) else ""


def _cases_in(images: Sequence[Path], record: DatasetRecord) -> tuple[list[str], set[Path]]:
    """Return the names of the cases of which there is some channel, sorted, and the files that belong to them."""
    names, used = set[str](), set[Path]()
    for file in images:
        match = _CHANNEL.fullmatch(_bare(file, record.ending))
        if match and int(match[2]) < len(record.channels):
            names.add(match[1])
            used.add(file)
    return sorted(names), used


def _case(name: str, record: DatasetRecord, images: str = IMAGES, labels: str = LABELS) -> FoundCase:
    folder, ending = record.file.parent, record.ending
    files = tuple(folder / images / f"{name}_{c:04d}{ending}" for c in range(len(record.channels)))
    shown = name if images == IMAGES else f"{images}/{name}"
    return FoundCase(shown, files, folder / labels / f"{name}{ending}", record.subjects.get(name, ""))
