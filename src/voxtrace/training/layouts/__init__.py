"""Layouts of datasets: nnU-Net's raw one, the Decathlon's, lists in ``dataset.json``, BraTS names, a plain CSV."""

from __future__ import annotations

from pathlib import Path

from voxtrace.errors import DatasetError
from voxtrace.training.layouts.brats import is_brats, read_brats
from voxtrace.training.layouts.found import FoundCase, FoundDataset
from voxtrace.training.layouts.lists import LISTING, TRAINING, read_decathlon, read_listed
from voxtrace.training.layouts.raw import IMAGES, read_raw
from voxtrace.training.layouts.record import FILE, DatasetRecord, read_record
from voxtrace.training.layouts.table import read_table

__all__ = ["FoundCase", "FoundDataset", "find_dataset"]


def find_dataset(path: Path) -> FoundDataset:
    """Return what a dataset's folder, or a CSV, says of its cases; files need not exist.

    Raises
    ------
    DatasetError
        There is no dataset, it has no known layout, or its description has a wrong structure.
    """
    if path.is_file():
        if path.name == FILE:
            return find_dataset(path.parent)
        if path.suffix.lower() != ".csv":
            raise DatasetError(f"{path} is no dataset; expected a folder, a dataset.json or a .csv.")
        return read_table(path)
    tables = sorted(file for file in path.glob("*.csv") if not file.name.startswith("."))
    if (path / FILE).is_file():
        record = read_record(path / FILE)
        # a dataset.json may only name the labels of a table
        return read_table(tables[0]) if len(tables) == 1 and not _has_cases(record) else _described(record)
    if is_brats(path):  # before tables: some years came with tables of other things
        return read_brats(path)
    if len(tables) == 1:
        return read_table(tables[0])
    if len(tables) > 1:
        raise DatasetError(f"{path} holds {len(tables)} tables; give the one to use, e.g. {tables[0]}.")
    raise DatasetError(
        f"{path} has no dataset.json; expected nnU-Net's raw layout (dataset.json, imagesTr, labelsTr), the Medical "
        "Segmentation Decathlon's, a CSV with columns image and label, or folders with BraTS names."
    )


def _described(record: DatasetRecord) -> FoundDataset:
    if isinstance(record.raw.get(LISTING), (dict, list)):
        return read_listed(record)
    if isinstance(record.raw.get(TRAINING), list) and record.raw[TRAINING] and not _has_channels(record):
        return read_decathlon(record)
    return read_raw(record)


def _has_cases(record: DatasetRecord) -> bool:
    listed = any(isinstance(record.raw.get(name), (dict, list)) for name in (LISTING, TRAINING))
    return listed or (record.file.parent / IMAGES).is_dir()


def _has_channels(record: DatasetRecord) -> bool:
    """Tell whether there are images with a channel number, as nnU-Net names them."""
    return any((record.file.parent / IMAGES).glob(f"[!.]*_0000{record.ending}"))
