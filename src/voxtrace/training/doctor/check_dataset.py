"""Checks over all cases: duplicates, outliers, folds, files that belong to no case, disk and memory."""

from __future__ import annotations

import math
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from voxtrace.errors import DatasetError
from voxtrace.plan import Plan
from voxtrace.training.doctor.examine_case import ExaminedCase
from voxtrace.training.doctor.faults import Fault, note
from voxtrace.training.layouts import FoundDataset
from voxtrace.training.split import SPLITS, Fold, check_apart, read_splits
from voxtrace.volume import Array

GB = 1e9
_FAR = 6.0  # times the median absolute deviation, scaled to a standard deviation
_SPACING_FACTOR, _INTENSITY_FACTOR, _HU = 3.0, 10.0, 300.0  # differences below these are never outliers
_FEW = 0.05  # of the cases: more are a group of their own
_COPIES = 3  # of a case in memory while it is prepared: as read, on the network grid, and one in between
_AT_ONCE = 2  # cases that are prepared at the same time


@dataclass(frozen=True)
class Needs:
    """What training needs beside the device's own memory, in GB; and what is free now."""

    disk_gb: float
    memory_gb: float
    free_disk_gb: float
    free_memory_gb: float


def check_files(found: FoundDataset) -> list[Fault]:
    """Return files that belong to no case, and a number of cases that is stated wrongly."""
    faults = []
    for path in found.others:
        if path.parent.name == "labelsTr":
            remedy = "Add its image, or remove it."
            faults.append(Fault("labels without image", "", f"{path} belongs to no image.", remedy, "not copied"))
        else:
            what = f"{path} is no image of a case: expected CASE_0000{found.ending}, and a channel for each number."
            faults.append(note("left out", "", what, "Rename it, or remove it.", "not copied"))
    for path in found.hidden:
        what = f"{path} is left out: files that begin with a dot are no scans; macOS writes ._ files beside others."
        faults.append(note("hidden file", "", what, "Remove it.", "not copied"))
    if found.stated_cases not in (None, len(found.cases)):
        what = f"{found.source} states {found.stated_cases} cases in numTraining; there are {len(found.cases)}."
        faults.append(note("number of cases", "", what, "Correct the number; it is not used.", "rename"))
    return faults


def check_duplicates(cases: Sequence[ExaminedCase]) -> list[Fault]:
    """Return cases whose voxels another case has, and channels that are one image twice."""
    faults, first = [], dict[tuple[str, ...], ExaminedCase]()
    for one in cases:
        if not one.digests:
            continue
        if len(set(one.digests)) < len(one.digests):
            what = f"two channels of {one.case.name} have the same voxels."
            remedy = "Give each channel its own image, or leave the case out."
            faults.append(Fault("duplicate", one.case.name, what, remedy, "leave out"))
        other = first.setdefault(one.digests, one)
        if other is not one:
            same = "and the same labels" if one.label_digest == other.label_digest else "and other labels"
            what = f"{one.case.name} has the same voxels as {other.case.name} {same}."
            remedy = "Keep one of them; a case that is trained on must not be validated on."
            faults.append(Fault("duplicate", one.case.name, what, remedy, "leave out"))
    return faults + _same_labels(cases)


def check_outliers(cases: Sequence[ExaminedCase], channels: Sequence[str]) -> list[Fault]:
    """Return cases whose spacing or intensities lie far from those of the others."""
    known = [one for one in cases if one.spacing_mm and len(one.percentiles) == len(channels)]
    if len(known) < 3:
        return []
    faults, names = list[Fault](), [one.case.name for one in known]
    spacing = np.log(np.asarray([one.spacing_mm for one in known], np.float64))
    for axis, name in enumerate("ZYX"):
        what = f"spacing along {name} in mm"
        remedy = "Look at the header; if the spacing is true, nothing is to be done."
        far = _far(spacing[:, axis], math.log(_SPACING_FACTOR))
        faults += _outliers(names, np.exp(spacing[:, axis]), far, what, remedy)
    for channel, name in enumerate(channels):
        faults += _intensities(known, channel, name)
    return faults


def _outliers(names: Sequence[str], values: Array, far: Sequence[int], what: str, remedy: str) -> list[Fault]:
    """Return a note for each outlier, or a single one where they are so many that they are a group of their own."""
    middle = f"the median of all cases is {np.median(values):.4g}"
    if len(far) <= max(3, _FEW * len(names)):
        return [
            note("outlier", names[number], f"its {what} is {values[number]:.4g}; {middle}.", remedy) for number in far
        ]
    low, high = values[list(far)].min(), values[list(far)].max()
    said = f"{len(far)} cases have a {what} of {low:.4g} to {high:.4g}; {middle}: {', '.join(names[n] for n in far)}."
    return [note("outlier", "", said, remedy)]


def check_splits(found: FoundDataset, subjects: Mapping[str, str]) -> tuple[tuple[Fold, ...], list[Fault]]:
    """Return the folds that the dataset's ``splits_final.json`` has, and what is wrong with them."""
    file = found.folder / SPLITS
    if not file.is_file() or any(case.fold is not None for case in found.cases):
        return (), []
    try:
        folds = read_splits(file)
    except DatasetError as error:
        return (), [Fault("folds", "", str(error), "Correct or delete it; folds are then drawn.", "not copied")]
    faults, names = list[Fault](), set(subjects)
    listed = {name for fold in folds for part in fold for name in part}
    if strange := sorted(listed - names):
        what = f"{file} names {_count(strange)} that the dataset does not have: {', '.join(strange)}."
        faults.append(Fault("folds", "", what, "Remove the names, or add the cases.", "rename"))
    if unlisted := sorted(names - listed):
        what = f"{file} has {_count(unlisted)} in no fold, which --fold leaves out: {', '.join(unlisted)}."
        faults.append(note("folds", "", what, "Add them to the folds."))
    for number, fold in enumerate(folds):
        try:
            check_apart(fold, subjects, number, str(file))
        except DatasetError as error:
            remedy = "Correct or delete the file; folds are then drawn by subject."
            faults.append(Fault("folds", "", str(error), remedy, "not copied"))
    return folds, faults


def needs_of(cases: Sequence[ExaminedCase], plan: Plan, where: Path) -> Needs:
    """Return the disk and memory that preparing the cases takes; ``where`` is the folder of runs."""
    known = [one for one in cases if one.measures and one.shape and one.spacing_mm]
    scale = [math.prod(np.asarray(one.spacing_mm) / plan.spacing_mm) for one in known]
    sizes = [
        (math.prod(one.shape), math.prod(one.shape) * by) for one, by in zip(known, scale, strict=True) if one.shape
    ]
    voxel_bytes = 4 * plan.n_channels + (1 if plan.n_labels + plan.ignore <= 256 else 2)
    disk = sum(network for _, network in sizes) * voxel_bytes
    largest = max((stored + network for stored, network in sizes), default=0.0) * voxel_bytes
    free = shutil.disk_usage(where).free
    available = psutil.virtual_memory().available
    return Needs(*(round(n / GB, 2) for n in (disk, largest * _COPIES / 2 * _AT_ONCE, free, available)))


def check_needs(needs: Needs) -> list[Fault]:
    """Return a fault where disk or memory will not suffice."""
    faults = []
    if needs.disk_gb > needs.free_disk_gb:
        what = f"prepared cases take {needs.disk_gb} GB of disk; {needs.free_disk_gb} GB are free here."
        faults.append(Fault("disk", "", what, "Free some space, or train with --out on another disk."))
    if needs.memory_gb > needs.free_memory_gb:
        what = (
            f"preparing the largest cases takes about {needs.memory_gb} GB of memory; {needs.free_memory_gb} are free."
        )
        faults.append(note("memory", "", what, "Close other programs, or plan a coarser grid with --spacing."))
    return faults


def _count(names: Sequence[str]) -> str:
    return "1 case" if len(names) == 1 else f"{len(names)} cases"


def _same_labels(cases: Sequence[ExaminedCase]) -> list[Fault]:
    """Return cases whose labels another case has, on another image."""
    groups = defaultdict(list)
    for one in cases:
        if one.label_digest:
            groups[one.label_digest].append(one)
    return [
        note(
            "duplicate",
            one.case.name,
            f"{one.case.labels} has the same voxels as {group[0].case.labels}, and the images differ.",
            "Check that each label file belongs to its image.",
        )
        for group in groups.values()
        for one in group[1:]
        if one.digests != group[0].digests
    ]


def _intensities(known: Sequence[ExaminedCase], channel: int, name: str) -> list[Fault]:
    """Return cases whose channel has an unusual median or spread: by difference in CT, else the spread by factor."""
    table, names = np.asarray([one.percentiles[channel] for one in known]), [one.case.name for one in known]
    spread = table[:, 2] - table[:, 0]
    remedy = "Look at the scan and its rescaling."
    if name.upper() != "CT":
        far = _far(np.log(np.maximum(spread, 1e-9)), math.log(_INTENSITY_FACTOR))
        return _outliers(names, spread, far, f"spread (5 to 95 %) of {name}", remedy)
    faults = _outliers(names, table[:, 1], _far(table[:, 1], _HU), f"median of {name} in HU", remedy)
    return faults + _outliers(names, spread, _far(spread, 3 * _HU), f"spread (5 to 95 %) of {name} in HU", remedy)


def _far(values: Array, least: float) -> list[int]:
    """Return where values lie further from their median than ``least`` and six robust standard deviations."""
    off = np.abs(values - np.median(values))
    limit = max(least, _FAR * 1.4826 * float(np.median(off)))
    return [int(number) for number in np.flatnonzero(off > limit)]
