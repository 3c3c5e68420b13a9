"""Add a case to a dataset in nnU-Net's raw layout, or begin one: a scan and its labels, e.g. corrected by hand."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.atomic import atomic_folder, output_error, remove_folder
from voxtrace.errors import DatasetError
from voxtrace.io import write
from voxtrace.safe_text import brief, read_json
from voxtrace.training.dataset import REFERENCE
from voxtrace.training.dataset_listing import DatasetListing, read_listing
from voxtrace.training.split import SPLITS, read_splits, subject_of, subjects_of
from voxtrace.volume import LabelMap, Volume

PROVENANCE = "provenance"
_IMAGES, _RECORD = "imagesTr", "dataset.json"
_FOLDERS = (PROVENANCE, REFERENCE, _IMAGES)
_STAGED = ".added"  # in the dataset's folder, while a case is written


@dataclass(frozen=True, eq=False)
class NewCase:
    """A case for a dataset.

    Attributes
    ----------
    name
        Of its files; letters, digits, ``.``, ``-`` and ``_``.
    volumes
        One volume a channel, or one with all channels, in the dataset's order.
    labels
        On the volumes' grid; its names decide which label of the dataset each value is.
    provenance
        Where the labels come from, as JSON values; it is written beside the case.
    channel_names
        What a new dataset calls the channels, e.g. as the model that segmented them does; unset, the volumes' own names
        or modality.
    """

    name: str
    volumes: tuple[Volume, ...]
    labels: LabelMap
    provenance: Mapping[str, Any] = field(default_factory=dict)
    channel_names: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[Volume, ...]:
        """One volume a channel."""
        return tuple(_channel(volume, c) for volume in self.volumes for c in range(volume.data.shape[0]))


@dataclass(frozen=True)
class AddedCase:
    """A receipt: where the case is, and how many cases the dataset has now."""

    folder: Path
    name: str
    dataset: str
    cases: int
    is_new: bool
    in_splits: bool

    @property
    def sentence(self) -> str:
        """The receipt as a sentence."""
        what = f"Began the dataset {self.dataset} with" if self.is_new else f"Added to {self.dataset}:"
        count = "1 case" if self.cases == 1 else f"{self.cases} cases"
        splits = " It is trained on in every fold." if self.in_splits else ""
        return f"{what} {self.name}; {count} now, in {self.folder}.{splits}"


def add_case(folder: str | Path, case: NewCase, *, replace_case: bool = False) -> AddedCase:
    """Write a case into a dataset's folder, which is begun where there is none, and return the receipt.

    Labels are numbered as the dataset numbers them. A case that cannot be written whole leaves the dataset as it was.

    Raises
    ------
    DatasetError
        The dataset has other labels or channels, or a case of this name; or the labels lack names.
    GeometryError
        Scan and labels lie on different grids.
    OutputError
        The system refuses to write there.
    """
    folder = Path(folder)
    _check(case)
    is_new = not (folder / _RECORD).is_file()
    listing = _begun(folder, case) if is_new else read_listing(folder)
    if listing.layout != "raw":
        raise DatasetError(
            f"{folder} lists its cases in dataset.json; cases are added to nnU-Net's raw layout. Write a copy in that "
            "layout with `voxtrace plan DATASET --fix OUT`, or begin a dataset in an empty folder."
        )
    labels = _renumbered(case.labels, listing)
    _check_channels(case, listing)
    if case.name in listing.images and not replace_case:
        raise DatasetError(f"{listing.name} has a case {case.name} already. Choose another name, or replace it.")
    if (folder / SPLITS).is_file():
        read_splits(folder / SPLITS)  # refused before anything is written
    names = sorted({*listing.images, case.name})
    with _moved_whole(folder) as staged:
        _write(staged, case, labels, listing)
        in_splits = _add_to_splits(folder, staged, case.name, subjects_of(names, listing.subjects))
        _write_record(folder, staged, listing, len(names))
    return AddedCase(folder, case.name, listing.name, len(names), is_new, in_splits)


def case_name(text: str) -> str:
    """Return a text as the name of a case.

    >>> case_name("Abdomen CT · 5 mm/1")
    'Abdomen_CT_5_mm_1'
    """
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip("_.") or "case"


def _check(case: NewCase) -> None:
    if case.name != case_name(case.name):
        raise DatasetError(f"{case.name!r} is no name for a case; use letters, digits, '.', '-' and '_'.")
    if not case.volumes:
        raise DatasetError("the labels belong to no open scan. Open the scan they were drawn on.")
    for volume in case.volumes:
        if not volume.geometry.is_close(case.labels.geometry):
            raise DatasetError(f"{volume.name} and the labels lie on different grids; they must be one case.")
    unnamed = [value for value in case.labels.values if value not in case.labels.names]
    if unnamed:
        raise DatasetError(f"label {unnamed[0]} has no name, by which it would be matched. Name it, or remove it.")


def _begun(folder: Path, case: NewCase) -> DatasetListing:
    if folder.exists() and any(folder.iterdir()):
        raise DatasetError(
            f"{folder} has files but no dataset.json. Choose a dataset in nnU-Net's raw layout, or an empty folder."
        )
    names = [name for value, name in sorted(case.labels.names.items()) if value]
    if not names:
        raise DatasetError("the labels have no names, and a dataset is begun with them. Give each label a name.")
    labels = {0: "background", **dict(enumerate(names, 1))}
    channels = tuple(name or f"channel {i}" for i, name in enumerate(_channel_names(case)))
    return DatasetListing(folder.name, channels, labels, ".nii.gz", {}, "")


def _channel_names(case: NewCase) -> tuple[str, ...]:
    """Return the channels' names, as the case states them or its volumes do, or a modality; else ``""``."""
    names: list[str] = []
    if len(case.channel_names) == len(case.channels):
        return case.channel_names
    for volume in case.volumes:
        count = volume.data.shape[0]
        names += list(volume.channels) if len(volume.channels) == count else [volume.modality] * count
    return tuple(names)


def _renumbered(labels: LabelMap, listing: DatasetListing) -> LabelMap:
    """Return labels with the dataset's values, matched by name."""
    theirs = {name.casefold(): value for value, name in listing.labels.items() if value}
    ours = {value: name for value, name in labels.names.items() if value}
    if {name.casefold() for name in ours.values()} != set(theirs):
        raise DatasetError(
            f"{listing.name} has the labels {_listed(listing.labels)}, the corrected ones are {_listed(ours)}; "
            "they must be the same. Choose another dataset, or begin one in an empty folder."
        )
    table = np.zeros(max(ours, default=0) + 1, np.uint16 if max(theirs.values(), default=0) > 255 else np.uint8)
    for value, name in ours.items():
        table[value] = theirs[name.casefold()]
    names = {value: name for value, name in listing.labels.items() if value}
    return replace(labels, data=table[labels.data], names=names, colours={})


def _check_channels(case: NewCase, listing: DatasetListing) -> None:
    names = _channel_names(case)
    if len(names) != len(listing.channels):
        raise DatasetError(
            f"{listing.name} has {len(listing.channels)} channel(s), {', '.join(listing.channels)}; the scan has "
            f"{len(names)}. Choose a dataset of such scans."
        )
    for ours, theirs in zip(names, listing.channels, strict=True):
        if {_kind(ours), _kind(theirs)} == {"CT", "MR"}:
            raise DatasetError(f"{listing.name} holds {theirs}, the scan is {ours}. Choose a dataset of such scans.")


def _kind(channel: str) -> str:
    """Return CT or MR where a channel's name says so; else the empty string."""
    plain = channel.casefold()
    return "CT" if plain == "ct" else "MR" if plain.startswith("mr") or plain in ("t1", "t2", "flair", "t1ce") else ""


def _write(folder: Path, case: NewCase, labels: LabelMap, listing: DatasetListing) -> None:
    """Write the files of a case into a folder that has the dataset's."""
    write(labels, folder / REFERENCE / f"{case.name}{listing.ending}")
    for number, volume in enumerate(case.channels):
        write(volume, folder / _IMAGES / f"{case.name}_{number:04d}{listing.ending}")
    _write_json(folder / PROVENANCE / f"{case.name}.json", case.provenance)


@contextmanager
def _moved_whole(folder: Path) -> Iterator[Path]:
    """Yield a folder whose files move into the dataset when the block succeeds, so that all are written, or none."""
    with atomic_folder(folder / _STAGED) as new:
        for name in _FOLDERS:
            (new / name).mkdir()
        yield new
    staged = folder / _STAGED
    try:
        # the first channel, by which cases are found, is the last file of a case; dataset.json and folds follow
        for name in (*_FOLDERS, _RECORD, SPLITS):
            path = staged / name
            for file in sorted(path.iterdir(), reverse=True) if path.is_dir() else [path] if path.is_file() else []:
                target = folder / file.relative_to(staged)
                target.parent.mkdir(exist_ok=True)
                os.replace(file, target)
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        remove_folder(staged)


def _add_to_splits(folder: Path, staged: Path, name: str, subjects: Mapping[str, str]) -> bool:
    """Write folds with a case, unless it is in one already; tell whether it is trained on in all of them.

    It joins the validation cases of a fold that holds another case of its subject back.
    """
    file = folder / SPLITS
    if not file.is_file():
        return False
    try:
        splits, subject = read_json(file), subjects[name]
        known = any(name in split[part] for split in splits for part in ("train", "val"))
        for split in () if known else splits:
            held = any(subjects.get(other, subject_of(other)) == subject for other in split["val"])
            split["val" if held else "train"].append(name)
        if not known:
            _write_json(staged / SPLITS, splits)
        return not any(name in split["val"] for split in splits)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DatasetError(f"{file} holds no folds ({brief(error)}); correct or remove it.") from error


def _write_record(folder: Path, staged: Path, listing: DatasetListing, count: int) -> None:
    file = folder / _RECORD
    if file.is_file():
        record = read_json(file)
    else:
        record = {
            "name": listing.name,
            "channel_names": {str(i): name for i, name in enumerate(listing.channels)},
            "labels": {name: value for value, name in listing.labels.items()},
            "file_ending": listing.ending,
        }
    _write_json(staged / _RECORD, {**record, "numTraining": count})


def _write_json(file: Path, values: Any) -> None:
    file.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _channel(volume: Volume, channel: int) -> Volume:
    names = volume.channels[channel : channel + 1] if volume.channels else ()
    return replace(volume, data=volume.data[channel : channel + 1], channels=names)


def _listed(labels: Mapping[int, str]) -> str:
    names: Sequence[str] = [name for value, name in labels.items() if value]
    return ", ".join(names) or "none"
