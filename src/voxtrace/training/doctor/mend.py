"""A copy of a dataset in nnU-Net's raw layout without its faults: headers copied, labels re-mapped, cases left out.

Only what is harmless is changed; everything that was done is written into the copy's ``fix.json``. The dataset itself
is never touched.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.atomic import atomic_folder
from voxtrace.errors import DatasetError, OutputError
from voxtrace.io import write
from voxtrace.io.child.guarded import read, read_labels
from voxtrace.io.contents import parts_of
from voxtrace.plan.regions import ORDER
from voxtrace.safe_text import read_json
from voxtrace.training.dataset import CHOSEN, REFERENCE, SCORES
from voxtrace.training.doctor.check_labels import mapping_of, not_drawn, renumbering, undeclared
from voxtrace.training.doctor.examine import Examination
from voxtrace.training.doctor.examine_case import ExaminedCase
from voxtrace.training.doctor.faults import Fault
from voxtrace.training.doctor.grids import on_grid_of
from voxtrace.training.layouts import FoundCase
from voxtrace.training.layouts.record import FILE, IGNORE
from voxtrace.training.split import SPLITS, held_back
from voxtrace.volume import LabelMap, Volume

REPORT = "fix.json"
_LISTS = ("training", "test", "dataset", "modality", "numTest", "tensorImageSize")  # of the layout before


def mend(examined: Examination, out: Path) -> tuple[str, ...]:
    """Write a copy of a dataset without its faults; return the names of the cases that were left out.

    Raises
    ------
    DatasetError
        No case would be left.
    OutputError
        There is something at ``out``, or the system refuses.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} exists already; choose another folder for the copy.")
    dropped = {fault.case for fault in examined.bad if fault.mending == "leave out"}
    kept = [one for one in examined.cases if one.case.name not in dropped]
    if not kept:
        raise DatasetError(f"every case of {examined.found.name} would be left out; nothing was written.")
    table = _table(examined)
    with atomic_folder(out) as folder:
        for one in kept:
            _copy_case(one, examined, table, folder)
        _write_record(examined, table, len(kept), folder)
        _write_folds(examined, [one.case.name for one in kept], folder)
        _copy_beside(examined.found.folder, folder)
        left_out = _copy_tests(examined, dropped, table, folder)
        _dump(folder / REPORT, [fault.to_json() for fault in (*examined.faults, *left_out) if fault.mending])
    return tuple(sorted(dropped & {case.name for case in (*examined.found.cases, *examined.found.tests)}))


def _table(examined: Examination) -> Mapping[int, int]:
    """Return declared value -> value in the copy, without labels that are drawn in no case of the dataset.

    A label that is drawn only in cases that are left out stays, for a person to decide.
    """
    found = examined.found
    mapped = [replace(one, values=_after(one, _mapping(one, examined))) for one in examined.cases]
    return renumbering(found, not_drawn(found, mapped))


def _mapping(one: ExaminedCase, examined: Examination) -> dict[int, int]:
    return mapping_of(one, examined.found, examined.cases, examined.to_background)


def _after(one: ExaminedCase, mapping: Mapping[int, int]) -> dict[int, int]:
    return {mapping.get(value, value): count for value, count in one.values.items()}


def _copy_case(one: ExaminedCase, examined: Examination, table: Mapping[int, int], folder: Path) -> None:
    """Copy the files of a case; those that stay as they are byte by byte."""
    found, case = examined.found, one.case
    assert case.labels is not None  # a case without labels is left out
    first = _copy_images(one, examined, folder / "imagesTr")
    kind = CHOSEN if case.labels.parent.name == CHOSEN else REFERENCE
    target = folder / kind / f"{case.name}{found.ending}"
    target.parent.mkdir(exist_ok=True)
    mapping = _mapping(one, examined)
    final = {value: table[mapping.get(value, value)] for value in one.values}
    _copy_labels(case.labels, target, first, final, _names(examined, table))


def _copy_labels(
    source: Path, target: Path, image: Volume, values: Mapping[int, int], names: Mapping[int, str]
) -> None:
    """Copy a label map with other values on its image's grid; byte by byte where it stays as it is."""
    labels = read_labels(source)
    same = all(old == new for old, new in values.items()) and labels.geometry.is_close(image.geometry)
    if same and _ending(source) == _ending(target) and _is_whole(source):
        shutil.copyfile(source, target)
    else:
        write(_mended_labels(labels, image, values, names), target)


def _is_whole(path: Path) -> bool:
    """Return whether a file holds its voxels, too; a header names others by names that the copy does not have."""
    return not any(parts_of(path))


def _ending(path: Path) -> str:
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def _copy_images(one: ExaminedCase, examined: Examination, folder: Path) -> Volume:
    """Copy the images of a case, a file a channel on the grid of the first; return the first as it was read."""
    images, ending, count = one.case.images, examined.found.ending, len(examined.found.channels)
    names = [f"{one.case.name}_{channel:04d}{ending}" for channel in range(count)]
    volumes = [read(path, channels=count if len(images) == 1 else 1) for path in images]
    on_one_grid = all(volume.geometry.is_close(volumes[0].geometry) for volume in volumes)
    as_they_are = on_one_grid and all(path.name.endswith(ending) and _is_whole(path) for path in images)
    folder.mkdir(exist_ok=True)
    if len(images) == count and as_they_are:
        for path, name in zip(images, names, strict=True):
            shutil.copyfile(path, folder / name)
    else:
        for volume, name in zip(_channels(volumes), names, strict=True):
            write(volume, folder / name)
    return volumes[0]


def _channels(volumes: list[Volume]) -> list[Volume]:
    """Return each channel as a volume on the grid of the first."""
    first = volumes[0]
    return [
        replace(first, data=_moved(volume, first)[c : c + 1], channels=())
        for volume in volumes
        for c in range(volume.data.shape[0])
    ]


def _moved(volume: Volume, first: Volume) -> Any:
    same = volume.geometry.is_close(first.geometry)
    return volume.data if same else on_grid_of(volume.data, volume.geometry, first.geometry)


def _mended_labels(labels: LabelMap, image: Volume, values: Mapping[int, int], names: Mapping[int, str]) -> LabelMap:
    """Return labels with other values, on the grid of their image."""
    table = np.arange(max([*values, 0]) + 1, dtype=np.uint16)
    for old, new in values.items():
        table[old] = new
    data = table[labels.data]
    if not labels.geometry.is_close(image.geometry):
        data = on_grid_of(data, labels.geometry, image.geometry)
    shown = {value: name for value, name in names.items() if value}
    return LabelMap(data.astype(np.uint8 if data.max() < 256 else np.uint16), image.geometry, shown, {}, labels.name)


def _names(examined: Examination, table: Mapping[int, int]) -> dict[int, str]:
    """Return value in the copy -> name; a name that occurs before gets its value."""
    names: dict[int, str] = {}
    for value, name in {0: "background", **examined.found.labels}.items():
        if value in table and value != examined.found.ignore:
            taken = {other.casefold() for other in names.values()}
            names[table[value]] = f"{name} {value}" if name.casefold() in taken else name
    return names


def _write_record(examined: Examination, table: Mapping[int, int], count: int, folder: Path) -> None:
    found = examined.found
    beside = found.folder / FILE
    before = read_json(beside) if beside.is_file() else {}
    labels: dict[str, int | list[int]] = {name: value for value, name in _names(examined, table).items()}
    if found.regions:
        regions = {region.name: sorted(table[value] for value in region.values) for region in found.regions}
        labels = {name: value for name, value in labels.items() if value == 0} | regions
        before |= {ORDER: [table[region.paints] for region in found.regions]}
    if found.ignore is not None:
        labels[IGNORE] = table[found.ignore]
    record = {
        **{key: value for key, value in before.items() if key not in _LISTS},
        "name": found.name,
        "channel_names": {str(number): name for number, name in enumerate(found.channels)},
        "labels": labels,
        "numTraining": count,
        "file_ending": found.ending,
    }
    if subjects := {case.name: case.subject for case in found.cases if case.subject}:
        record["subjects"] = subjects
    _dump(folder / FILE, record)


def _write_folds(examined: Examination, names: list[str], folder: Path) -> None:
    """Write the folds that the dataset states, unless something is wrong with them that the copy leaves out."""
    held = {one.case.name: one.case.fold for one in examined.cases if one.case.fold is not None}
    folds = held_back({name: fold for name, fold in held.items() if name in names}, names) if held else examined.folds
    wrong = any(fault.kind == "folds" and fault.mending == "not copied" for fault in examined.faults)
    if folds and not wrong:
        splits = [{"train": [n for n in a if n in names], "val": [n for n in b if n in names]} for a, b in folds]
        _dump(folder / SPLITS, splits)


def _copy_beside(source: Path, folder: Path) -> None:
    if (source / SCORES).is_file():
        shutil.copyfile(source / SCORES, folder / SCORES)
    if (source / "provenance").is_dir():
        shutil.copytree(source / "provenance", folder / "provenance")


def _copy_tests(examined: Examination, dropped: set[str], table: Mapping[int, int], folder: Path) -> list[Fault]:
    """Copy test cases, their labels numbered as the others; return a fault for each whose labels cannot be."""
    faults = []
    for case in examined.found.tests:
        if case.name in dropped:
            continue
        for path in case.images:
            target = _beside(path, folder)
            for file in (path, *parts_of(path)):  # under their names, by which a header finds its voxels
                part = target.parent / os.path.relpath(file, path.parent)
                part.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, part)
        if case.labels is not None and case.labels.is_file():
            faults += _copy_test_labels(case, case.labels, examined, table, folder)
    return faults


def _copy_test_labels(
    case: FoundCase, source: Path, examined: Examination, table: Mapping[int, int], folder: Path
) -> list[Fault]:
    """Copy the labels of a test case, unless a value of them has no number in the copy; tell what became background."""
    labels, count = read_labels(source), len(examined.found.channels)
    one = ExaminedCase(case, values=dict.fromkeys(labels.values, 1), names=labels.names)
    mapping = _mapping(one, examined)
    lost = [value for value in one.values if mapping.get(value, value) not in table]
    if lost:
        what = f"{source} holds the value {lost[0]}, which no label of the copy has."
        remedy = "Its labels are not copied; number them as dataset.json of the copy does."
        return [Fault("label values", case.name, what, remedy, "not copied")]
    image = read(case.images[0], channels=count if len(case.images) == 1 else 1)
    final = {value: table[mapping.get(value, value)] for value in one.values}
    _copy_labels(source, _beside(source, folder), image, final, _names(examined, table))
    cleaned = [value for value in undeclared(one, examined.found) if mapping[value] == 0]
    counts = ", ".join(f"{value} ({np.count_nonzero(labels.data == value):,} voxels)" for value in cleaned)
    what, remedy = f"{source} holds {counts}, which no name belongs to.", "In the copy it is background."
    return [Fault("label values", case.name, what, remedy, "re-map labels")] if cleaned else []


def _beside(path: Path, folder: Path) -> Path:
    """Return where a file of a test case lies in the copy, in a folder of the same name."""
    (folder / path.parent.name).mkdir(exist_ok=True)
    return folder / path.parent.name / path.name


def _dump(file: Path, values: Any) -> None:
    file.write_text(json.dumps(values, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
