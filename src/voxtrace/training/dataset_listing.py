"""Names, channels, labels and image files of a dataset, checked; label files need not exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxtrace.errors import DatasetError
from voxtrace.plan.regions import ORDER, LabelRegion, painted_over
from voxtrace.training.layouts import FoundCase, FoundDataset, find_dataset

SMALLER_LAST = f"name the larger region first in labels, and in {ORDER}"
SEE_ALL = "`voxtrace plan` lists every fault of a dataset, `--fix OUT` writes a copy without them."


@dataclass(frozen=True)
class DatasetListing:
    """Names and image files of a dataset.

    Attributes
    ----------
    name
        From ``dataset.json``, else the folder's name.
    channels
        A name for each input channel, e.g. ``("CT",)``.
    labels
        Label value -> name, background included.
    ending
        Of every image and label file, e.g. ``.nii.gz``.
    images
        Case -> its files, one a channel, in order, or one with every channel; sorted by case.
    licence
        As ``dataset.json`` states it.
    layout
        As :class:`~voxtrace.training.layouts.FoundDataset` has it.
    label_files
        Case -> its label map; cases of which the layout names none are left out.
    subjects
        Case -> who was scanned, where the dataset states it.
    held_in
        Case -> the fold that holds it back, where the dataset states it.
    ignore
        Whether the label value after the last one marks voxels that are neither learned nor scored.
    regions
        What is learned where labels overlap; empty where every voxel has one label.
    """

    name: str
    channels: tuple[str, ...]
    labels: dict[int, str]
    ending: str
    images: dict[str, tuple[Path, ...]]
    licence: str
    layout: str = "raw"
    label_files: Mapping[str, Path] = field(default_factory=dict)
    subjects: Mapping[str, str] = field(default_factory=dict)
    held_in: Mapping[str, int] = field(default_factory=dict)
    ignore: bool = False
    regions: tuple[LabelRegion, ...] = ()


def read_listing(path: Path) -> DatasetListing:
    """Return names, channels, labels and image files of a dataset's folder, or CSV, whether or not it has label files.

    Raises
    ------
    DatasetError
        The dataset has no known layout, a channel is missing, values or names of labels are not unique, or not
        0, 1, 2 …, or a region is painted over.
    """
    found = find_dataset(path)
    _check_labels(found)
    _check_files(found.cases)
    return DatasetListing(
        name=found.name,
        channels=found.channels,
        labels=found.labels,
        ending=found.ending,
        images={case.name: case.images for case in found.cases},
        licence=found.licence,
        layout=found.layout,
        label_files={case.name: case.labels for case in found.cases if case.labels},
        subjects={case.name: case.subject for case in found.cases if case.subject},
        held_in={case.name: case.fold for case in found.cases if case.fold is not None},
        ignore=found.ignore is not None,
        regions=found.regions,
    )


def repeated(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that occur more than once, whatever their case, sorted."""
    return tuple(sorted(name for name, n in Counter(map(str.casefold, names)).items() if n > 1))


def _check_labels(found: FoundDataset) -> None:
    values = [value for _, value in found.declared]
    if 0 not in values:
        raise DatasetError(f"{found.source} names no background; add 'background': 0 to its labels. {SEE_ALL}")
    if twice := sorted({value for value in values if values.count(value) > 1}):
        names = ", ".join(name for name, value in found.declared if value == twice[0])
        raise DatasetError(f"{found.source} has two names for the label value {twice[0]}: {names}; keep one. {SEE_ALL}")
    if same := repeated(name for name, _ in found.declared):
        raise DatasetError(f"{found.source} gives the name {same[0]!r} to several label values; rename one. {SEE_ALL}")
    if sorted(values) != list(range(len(values))):
        raise DatasetError(f"{found.source}: label values {sorted(values)} are not 0, 1, 2 …; renumber them. {SEE_ALL}")
    if found.ignore not in (None, len(values)):
        raise DatasetError(
            f"{found.source}: the ignore label has the value {found.ignore}; expected {len(values)}, the one after the "
            f"last label. Renumber it. {SEE_ALL}"
        )

    if lost := painted_over(found.regions):
        raise DatasetError(f"{found.source}: {lost}; {SMALLER_LAST}. {SEE_ALL}")


def _check_files(cases: Iterable[FoundCase]) -> None:
    for case in cases:
        for path in case.images:
            if not path.is_file():
                raise DatasetError(f"case {case.name}: {path} is missing; add it or remove the case. {SEE_ALL}")
