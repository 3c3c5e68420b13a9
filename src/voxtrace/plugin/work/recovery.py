"""Edits that were not saved: kept in the user's cache, so that they survive a crash or a closed window."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from voxtrace.atomic import remove_folder
from voxtrace.errors import OutputError, ReadError
from voxtrace.plugin.layers.display import LabelSource
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.trace.edits import Edit, EditedLabels, counted, load_edits, read_edits, save_edits
from voxtrace.volume import Array, Volume


@dataclass(frozen=True, eq=False)
class Unsaved:
    """Edits to keep: where, of which labels, and how many there were when they were taken."""

    folder: Path
    data: StepArray | Array
    edits: tuple[Edit, ...]


def root() -> Path:
    """Return the folder in the user's cache that holds edits that were not saved."""
    return platformdirs.user_cache_path("voxtrace", appauthor=False) / "edits"


def recovery_folder(source: LabelSource, scan: Volume | None) -> Path | None:
    """Return where edits of a result are kept: the same place for the same scan and model; None without a trace.

    The scan is known by its grid and its middle slice. Nothing in the path tells of the patient.
    """
    if source.trace is None:
        return None
    made, geometry = source.trace.provenance, source.geometry
    key = [geometry.shape, geometry.affine, made.bundle, made.weights_sha256, source.trace.n_steps]
    return _folder(key, scan)


def drawn_folder(scan: Volume) -> Path:
    """Return where labels without steps that lie on a scan are kept: the same place for the same scan."""
    return _folder(["drawn", scan.geometry.shape, scan.geometry.affine], scan)


def _folder(key: list[Any], scan: Volume | None) -> Path:
    digest = hashlib.sha256(json.dumps(key).encode())
    if scan is not None:
        digest.update(scan.data[:, scan.geometry.shape[0] // 2].tobytes())
    return root() / digest.hexdigest()[:32]


def keep(unsaved: Unsaved) -> int:
    """Write edits into their folder, and return how many there were; called in a thread."""
    data = unsaved.data
    labels, began = (data.edited, data.edited_from) if isinstance(data, StepArray) else (narrowed(data), 0)
    if labels is None or began is None:
        return 0
    save_edits(unsaved.folder, np.ascontiguousarray(labels[::-1]), unsaved.edits, began)
    return len(unsaved.edits)


def narrowed(labels: Array) -> Array | None:
    """Return labels in 8 or 16 bits; None where a value is negative or needs more."""
    least, most = int(labels.min(initial=0)), int(labels.max(initial=0))
    if least < 0 or most > np.iinfo(np.uint16).max:
        return None
    return labels.astype(np.uint8 if most <= np.iinfo(np.uint8).max else np.uint16)


def kept(folder: Path) -> EditedLabels | None:
    """Return edits that were not saved, labels still on disk; None where there are none or they are damaged."""
    try:
        return load_edits(folder)
    except ReadError:
        return None  # a recovery file is a copy; without it the work goes on


def recovered(folder: Path) -> EditedLabels:
    """Return edits that were not saved, read into memory.

    Raises
    ------
    ReadError
        They are not there any more, or damaged.
    """
    found = read_edits(folder)
    if found is None:
        raise ReadError("The edits that were not saved are gone; another window may have saved or discarded them.")
    return found


def forget(folder: Path) -> None:
    """Remove edits that were saved or are not wanted."""
    remove_folder(folder)


def offer(found: EditedLabels) -> str:
    """Return the sentence that offers edits that were not saved."""
    last = found.edits[-1].time if found.edits else ""
    when = f" of {last[:10]} {last[11:16]}" if last else ""
    return f"Edits{when} were not saved ({counted(found.edits) or 'no edits'}). Restore them?"


def try_keep(unsaved: Unsaved) -> int:
    """Write edits as :func:`keep`, and return -1 where the system refuses: a recovery file never disturbs the work."""
    try:
        return keep(unsaved)
    except OutputError:
        return -1
