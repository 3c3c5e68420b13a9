"""A plain CSV with a row a case.

Its columns are ``image`` (``image2``, ``image3`` … for more channels), ``label``, and where wanted ``case``, ``fold``,
``subject``. Paths are relative to the CSV. Names of channels and labels come from a ``dataset.json`` beside it, if
there is one. Otherwise the channels are called ``channel 0`` …, and labels as the label files' headers name them, or
``label 1`` …; for their values every label file is read.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from voxtrace.errors import DatasetError, VoxTraceError
from voxtrace.io.suffixes import stem_of
from voxtrace.training.layouts.found import FoundCase, FoundDataset
from voxtrace.training.layouts.record import FILE, read_record

_LABELS = ("label", "labels")
_MOST_LABELS = 1000


def read_table(file: Path) -> FoundDataset:
    """Return the cases that a CSV lists.

    Raises
    ------
    DatasetError
        A column, name, file or fold is missing or not as expected.
    """
    rows = _rows(file)
    columns = [name for name in rows[0] if name == "image" or (name.startswith("image") and name[5:].isdecimal())]
    label = next((name for name in _LABELS if name in rows[0]), None)
    if not columns or label is None:
        raise DatasetError(f"{file} has the columns {', '.join(rows[0])}; expected image, label, and image2 … if any.")
    columns.sort(key=lambda name: int(name[5:] or 1))
    cases = [_case(file, number, row, columns, label) for number, row in enumerate(rows, start=2)]
    _check_names(file, cases)
    beside = file.parent / FILE
    if beside.is_file():
        record = read_record(beside)
        channels, declared, ignore, regions = record.channels, record.declared, record.ignore, record.regions
    else:
        channels, declared, ignore, regions = _channels(columns), _declared(cases), None, ()
    if len(channels) != len(columns) and len(columns) > 1:
        raise DatasetError(f"{file} has {len(columns)} image columns, {beside} {len(channels)} channels; correct one.")
    ordered = tuple(sorted(cases, key=lambda case: case.name))
    return FoundDataset("csv", file.parent, file, file.stem, channels, declared, ordered, ignore, regions=regions)


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file} cannot be read as UTF-8 text ({error}); save it as CSV in UTF-8.") from error
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    lines = list(csv.reader(text.splitlines(), delimiter=separator))
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    if len(lines) < 2:
        raise DatasetError(f"{file} lists no cases; expected a header with image and label, and a row for each case.")
    header = [name.strip().casefold() for name in lines[0]]
    for number, line in enumerate(lines[1:], start=2):
        if len(line) > len(header):
            raise DatasetError(f"{file}, row {number} has {len(line)} cells under {len(header)} columns; correct it.")
    return [dict(zip(header, [*map(str.strip, line), *[""] * len(header)], strict=False)) for line in lines[1:]]


def _case(file: Path, number: int, row: dict[str, str], columns: Sequence[str], label: str) -> FoundCase:
    if empty := [name for name in columns if not row[name]]:
        raise DatasetError(f"{file}, row {number}: the column {empty[0]} is empty; name a file.")
    images = tuple(file.parent / row[name] for name in columns)
    fold = row.get("fold", "")
    if fold and not fold.isdecimal():
        raise DatasetError(f"{file}, row {number}: fold is {fold!r}; expected a whole number from 0, or nothing.")
    name = row.get("case") or row.get("name") or stem_of(images[0])
    labels = file.parent / row[label] if row[label] else None
    return FoundCase(name, images, labels, row.get("subject", ""), int(fold) if fold else None)


def _check_names(file: Path, cases: Sequence[FoundCase]) -> None:
    names = [case.name for case in cases]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DatasetError(f"{file} lists the case {twice[0]} twice; name the cases in a column `case`.")
    folds = [case.fold for case in cases if case.fold is not None]
    if folds and sorted(set(folds)) != list(range(max(folds) + 1)):
        raise DatasetError(f"{file} has the folds {sorted(set(folds))}; expected 0, 1, 2 … without gaps.")


def _channels(columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"channel {number}" for number in range(len(columns)))


def _declared(cases: Sequence[FoundCase]) -> tuple[tuple[str, int], ...]:
    """Return the labels that occur in the label files; those that cannot be read say nothing."""
    from voxtrace.io.child.guarded import read_labels

    names: dict[int, str] = {}
    for case in cases:
        try:
            labels = read_labels(case.labels) if case.labels else None
        except VoxTraceError:  # the file is named as damaged where it is used
            continue
        for value in labels.values if labels else ():
            names[value] = names.get(value) or (labels.names.get(value, "") if labels else "")
    if len(names) > _MOST_LABELS:
        raise DatasetError(f"the label files hold {len(names)} values; expected a label map, at most {_MOST_LABELS}.")
    return (("background", 0), *((names[value] or f"label {value}", value) for value in sorted(names)))
