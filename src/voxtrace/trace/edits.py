"""A person's edits of a trace's answer: corrected labels and a log, in the folder ``edits`` of the trace.

::

    case.trace/edits/
    ├── edits.json     what was done when, to which label, and how many voxels changed
    └── labels.zarr    (Z, Y, X), the corrected labels
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.atomic import atomic_folder
from voxtrace.errors import ReadError
from voxtrace.safe_text import brief, read_json
from voxtrace.trace.plane_writer import PlaneWriter, chunk_depth
from voxtrace.trace.stored_array import StoredArray
from voxtrace.volume import Array

EDITS, LOG, LABELS = "edits", "edits.json", "labels.zarr"
_FORMAT = "voxtrace edits 1"
_MOST_STEPS = 1 << 16
_LONGEST = 1000  # letters
_REMEDY = "Remove it to open the trace without edits."


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
        (Z, Y, X) on the trace's grid; a :class:`StoredArray` where they lie on disk.
    edits
        The log.
    began
        The step that was copied, counted from 0 among those whose labels were kept.
    """

    labels: Array | StoredArray
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
    try:
        record = read_json(source / LOG)
        if record["format"] != _FORMAT:
            raise ValueError(f"format {record['format']!r}, expected {_FORMAT!r}")
        edits, began = from_json(record["edits"]), int(record["began"])
        if not 0 <= began < _MOST_STEPS:
            raise ValueError(f"began is {began}; expected the number of a step")
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise ReadError(f"{source} is damaged ({brief(error)}). {_REMEDY}") from error
    return EditedLabels(_stored_labels(source), edits, began)


def _stored_labels(source: Path) -> StoredArray:
    if not Path(os.path.realpath(source / LABELS)).is_relative_to(os.path.realpath(source)):
        raise ReadError(f"{source / LABELS} leads elsewhere; expected a folder in it. {_REMEDY}")
    labels = StoredArray(source / LABELS, _REMEDY)
    if labels.ndim != 3 or labels.dtype.kind != "u":
        raise ReadError(
            f"{labels.folder} holds numbers of type {labels.dtype} along {labels.ndim} axes; expected whole numbers "
            f"along 3. {_REMEDY}"
        )
    return labels


def read_edits(folder: str | Path) -> EditedLabels | None:
    """Return what :func:`load_edits` does, with the labels read into memory."""
    found = load_edits(folder)
    return None if found is None else replace(found, labels=np.asarray(found.labels[:]))


def as_json(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    """Return edits as JSON values."""
    return [asdict(edit) for edit in edits]


def from_json(values: Sequence[Mapping[str, Any]]) -> tuple[Edit, ...]:
    """Return the edits that :func:`as_json` described.

    Raises
    ------
    ValueError
        One is not as that writes it.
    """
    edits = tuple(Edit(**value) for value in values)
    for edit in edits:
        texts, numbers = (edit.time, edit.what, edit.name, edit.station), (edit.label, edit.voxels)
        if not all(isinstance(one, str) and len(one) <= _LONGEST for one in texts):
            raise ValueError(f"an edit has a text that is none, or of more than {_LONGEST} letters")
        if not all(type(one) is int and one >= 0 for one in numbers):
            raise ValueError(f"an edit has the label {edit.label!r} and {edit.voxels!r} voxels; expected whole numbers")
    return edits


def counted(edits: Sequence[Edit]) -> str:
    """Return how many edits there are, in words: ``12 edits on cycle 7``; ``""`` for none."""
    if not edits:
        return ""
    number = "1 edit" if len(edits) == 1 else f"{len(edits)} edits"
    return f"{number} on {edits[0].station}" if edits[0].station else number
