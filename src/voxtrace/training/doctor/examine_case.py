"""One case, read once: what is wrong with it, and what the checks over all cases need to know of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from voxtrace.errors import VoxTraceError
from voxtrace.io.child.guarded import read, read_labels
from voxtrace.training.doctor.faults import Fault, note
from voxtrace.training.doctor.grids import difference, header_fits
from voxtrace.training.layouts import FoundCase, FoundDataset
from voxtrace.training.planning import CaseMeasures, measure_case
from voxtrace.volume import Array, Case, LabelMap, Shape, Triple, Volume

NO_LABELS = "no labels"
_SAMPLES = 50_000  # voxels of a channel for its percentiles


@dataclass(frozen=True)
class ExaminedCase:
    """What was found of one case.

    Attributes
    ----------
    case
        Its files.
    faults
        What is wrong with it alone.
    shape, spacing_mm
        Of its first channel (Z, Y, X); None when that could not be read.
    digests
        Of the voxels of each channel.
    label_digest
        Of the voxels of its labels; ``""`` without any.
    values
        Label value -> voxels, the background left out.
    names
        Label value -> name, as the label file's own header has it.
    percentiles
        5 %, 50 % and 95 % of the voxels of each channel that are not 0.
    measures
        What the fingerprint takes from the case; None when it cannot be trained on.
    """

    case: FoundCase
    faults: tuple[Fault, ...] = ()
    shape: Shape | None = None
    spacing_mm: Triple | None = None
    digests: tuple[str, ...] = ()
    label_digest: str = ""
    values: Mapping[int, int] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    percentiles: tuple[Triple, ...] = ()
    measures: CaseMeasures | None = None


def examine_case(case: FoundCase, found: FoundDataset) -> ExaminedCase:
    """Read the files of a case and return what is wrong with it."""
    faults = _missing(case, found)
    volumes, damaged = _images(case, len(found.channels))
    labels, damage = _labels(case)
    faults += damaged + damage
    if volumes:
        faults += _grids(case, volumes, labels) + _constant(case, volumes, found)
    values = _values(labels)
    usable = volumes and labels and not faults
    return ExaminedCase(
        case=case,
        faults=tuple(faults + ([_empty(case)] if labels and not values else [])),
        shape=volumes[0].geometry.shape if volumes else None,
        spacing_mm=volumes[0].geometry.spacing_mm if volumes else None,
        digests=tuple(digest(one) for volume in volumes for one in volume.data),
        label_digest=digest(labels.data) if labels and values else "",
        values=values,
        names=dict(labels.names) if labels else {},
        percentiles=tuple(_percentiles(one) for volume in volumes for one in volume.data),
        measures=_measured(case, volumes, labels, found) if usable and labels else None,
    )


def examine_test(case: FoundCase, found: FoundDataset) -> ExaminedCase:
    """Read the files of a test case, which may lack labels, and return what is wrong with it."""
    if case.labels is None or not case.labels.is_file():
        examined = examine_case(replace(case, labels=None), found)
        return replace(examined, faults=tuple(one for one in examined.faults if one.kind != NO_LABELS))
    return examine_case(case, found)


def digest(voxels: Array) -> str:
    """Return a digest of voxels (Z, Y, X), the same for the same numbers whatever their type."""
    plain = np.ascontiguousarray(voxels, dtype=np.float32)
    return hashlib.sha256(repr(plain.shape).encode() + plain.tobytes()).hexdigest()


def _missing(case: FoundCase, found: FoundDataset) -> list[Fault]:
    faults = [
        Fault(
            "missing channel",
            case.name,
            f"{path} is missing{_channel(number, case, found)}.",
            "Add the file, or leave the case out.",
            "leave out",
        )
        for number, path in enumerate(case.images)
        if not path.is_file()
    ]
    if case.labels is None or not case.labels.is_file():
        where = f"{case.labels} is missing" if case.labels else "the dataset names no label file for it"
        remedy = "Add the labels, or leave the case out."
        faults.append(Fault(NO_LABELS, case.name, f"{where}.", remedy, "leave out"))
    return faults


def _channel(number: int, case: FoundCase, found: FoundDataset) -> str:
    return f": channel {number}, {found.channels[number]}" if len(case.images) > 1 else ""


def _images(case: FoundCase, channels: int) -> tuple[list[Volume], list[Fault]]:
    """Return the volumes that can be read, all or none, and a fault for each of the others."""
    volumes, faults = [], []
    for path in case.images:
        if path.is_file():
            try:
                volumes.append(read(path, channels=channels if len(case.images) == 1 else 1))
            except VoxTraceError as error:
                faults.append(_damaged(case, path, error))
    return (volumes if len(volumes) == len(case.images) else []), faults


def _labels(case: FoundCase) -> tuple[LabelMap | None, list[Fault]]:
    if case.labels is None or not case.labels.is_file():
        return None, []
    try:
        return read_labels(case.labels), []
    except VoxTraceError as error:
        return None, [_damaged(case, case.labels, error)]


def _damaged(case: FoundCase, path: Path, error: VoxTraceError) -> Fault:
    text = " ".join(str(error).split())
    what = text if str(path) in text else f"{path}: {text}"
    return Fault("damaged", case.name, what, "Copy or export the file again, or leave the case out.", "leave out")


def _grids(case: FoundCase, volumes: list[Volume], labels: LabelMap | None) -> list[Fault]:
    first = volumes[0].geometry
    others = [(path, volume.geometry) for path, volume in zip(case.images, volumes, strict=True)][1:]
    others += [(case.labels, labels.geometry)] if labels and case.labels else []
    faults = []
    for path, geometry in others:
        if not geometry.is_close(first):
            copy = header_fits(geometry, first)
            remedy = (
                f"Copy the header of {case.images[0].name}, if the voxels lie over one another."
                if copy
                else f"Resample or export it on the grid of {case.images[0].name}, or leave the case out."
            )
            what = f"{path} lies on another grid than {case.images[0].name}: {difference(geometry, first)}."
            faults.append(Fault("grid", case.name, what, remedy, "copy header" if copy else "leave out"))
    return faults


def _constant(case: FoundCase, volumes: list[Volume], found: FoundDataset) -> list[Fault]:
    channels = [one for volume in volumes for one in volume.data]
    return [
        Fault(
            "constant",
            case.name,
            f"channel {number}, {name}, has the value {float(one.flat[0]):g} in every voxel.",
            "Export the image again, or leave the case out.",
            "leave out",
        )
        for number, (name, one) in enumerate(zip(found.channels, channels, strict=False))
        if one.min() == one.max()
    ]


def _empty(case: FoundCase) -> Fault:
    what = f"{case.labels} has no labelled voxel."
    return note("nothing drawn", case.name, what, "Nothing to do if the scan shows nothing; else draw it or remove it.")


def _values(labels: LabelMap | None) -> dict[int, int]:
    if labels is None:
        return {}
    values, counts = np.unique(labels.data, return_counts=True)
    return {int(value): int(n) for value, n in zip(values, counts, strict=True) if value}


def _percentiles(channel: Array) -> Triple:
    """Return 5 %, 50 % and 95 % of the voxels that are not 0, from evenly spaced ones."""
    flat = channel.ravel()
    shown = flat[:: max(1, flat.size // _SAMPLES)]
    shown = shown[shown != 0]
    low, middle, high = np.percentile(shown, [5, 50, 95]) if shown.size else (0.0, 0.0, 0.0)
    return float(low), float(middle), float(high)


def _measured(case: FoundCase, volumes: list[Volume], labels: LabelMap, found: FoundDataset) -> CaseMeasures:
    return measure_case(Case(case.name, Volume.stack(volumes), labels), ignored=found.ignore)
