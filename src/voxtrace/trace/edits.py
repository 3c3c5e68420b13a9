"""A person's edits of a trace's answer: corrected labels and a log, in the folder ``edits`` of the trace.

::

    case.trace/edits/
    ├── edits.json     what was done when, to which label, and how many voxels changed
    └── labels.zarr    (Z, Y, X), the corrected labels
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.atomic import atomic_folder
from voxtrace.errors import ReadError
from voxtrace.safe_text import read_json
from voxtrace.trace.plane_writer import PlaneWriter, chunk_depth
from voxtrace.volume import Array

if TYPE_CHECKING:
    import zarr

EDITS, LOG, LABELS = "edits", "edits.json", "labels.zarr"
_FORMAT = "voxtrace edits 1"


@dataclass(frozen=True)
class Edit:
    """One thing that a person changed.

    Attributes
    ----------
    time
        When, in ISO 8601 with the offset from UTC.
    what
        What was done: ``paint``, ``erase``, ``fill``, ``smooth 1 mm`` …
    label, name
        The label that was drawn or corrected, and its name; label 0 is background.
    voxels
        How many voxels changed.
    station
        The step that the correction began from, e.g. ``cycle 7``; ``""`` where there are no steps.
    """

    time: str
    what: str
    label: int
    name: str
    voxels: int
    station: str = ""

    @property
    def sentence(self) -> str:
        """The edit as one line: ``14:02 paint liver, 132 voxels``."""
        return f"{self.time[11:16]} {self.what} {self.name or 'background'}, {self.voxels:,} voxels"


@dataclass(frozen=True, eq=False)
class EditedLabels:
    """Corrected labels, and how they came about.

    Attributes
    ----------
    labels
        (Z, Y, X) on the trace's grid; a zarr array where they lie on disk.
    edits
        The log.
    began
        The step that was copied, counted from 0 among those whose labels were kept.
    """

    labels: Array | zarr.Array[Any]
    edits: tuple[Edit, ...]
    began: int = 0


def save_edits(folder: str | Path, labels: Array, edits: Sequence[Edit], began: int) -> Path:
    """Write corrected labels (Z, Y, X) and their log into a trace's folder, whole or not at all.

    ``began`` is the step that was copied, counted from 0.

    Raises
    ------
    OutputError
        The system refuses to write there.
    """
    target = Path(folder) / EDITS
    with atomic_folder(target) as temporary:
        depth, height, width = labels.shape
        writer = PlaneWriter(temporary / LABELS, labels.shape, labels.dtype, chunk_depth((depth, height, width)))
        writer.add(labels)
        writer.flush()
        record = {"format": _FORMAT, "began": began, "edits": as_json(edits)}
        (temporary / LOG).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def load_edits(folder: str | Path) -> EditedLabels | None:
    """Return a trace's corrected labels, still on disk, and their log; None where nothing was edited.

    Raises
    ------
    ReadError
        The files are damaged.
    """
    source = Path(folder) / EDITS
    if not source.is_dir():
        return None
    import zarr  # here: a tenth of a second that the window does not wait for where there are no edits

    try:
        record = read_json(source / LOG)
        if record["format"] != _FORMAT:
            raise ValueError(f"format {record['format']!r}, expected {_FORMAT!r}")
        labels = zarr.open_array(source / LABELS, mode="r")
        return EditedLabels(labels, from_json(record["edits"]), int(record["began"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(f"{source} is damaged ({error}). Remove it to open the trace without edits.") from error


def read_edits(folder: str | Path) -> EditedLabels | None:
    """Return what :func:`load_edits` does, with the labels read into memory."""
    found = load_edits(folder)
    return None if found is None else replace(found, labels=np.asarray(found.labels[:]))


def as_json(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    """Return edits as JSON values."""
    return [asdict(edit) for edit in edits]


def from_json(values: Sequence[Mapping[str, Any]]) -> tuple[Edit, ...]:
    """Return the edits that :func:`as_json` described."""
    return tuple(Edit(**value) for value in values)


def counted(edits: Sequence[Edit]) -> str:
    """Return how many edits there are, in words: ``12 edits on cycle 7``; ``""`` for none."""
    if not edits:
        return ""
    number = "1 edit" if len(edits) == 1 else f"{len(edits)} edits"
    return f"{number} on {edits[0].station}" if edits[0].station else number
