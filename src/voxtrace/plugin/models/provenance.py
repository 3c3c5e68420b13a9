"""What is on screen of a labels layer, in words, and where it comes from, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from voxtrace.atomic import atomic_file
from voxtrace.io.dicom import DicomGrid
from voxtrace.plugin.layers.display import LabelSource
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models.formats import ending
from voxtrace.trace.edits import Edit, as_json, counted
from voxtrace.version import __version__

SUFFIX = ".provenance.json"
_EDITED = "the edited labels"


@dataclass(frozen=True)
class ShownLabels:
    """Which labels of a layer are meant.

    Attributes
    ----------
    station
        Counted from 0; of a layer without steps, 0.
    words
        ``cycle 3 of 7``, ``the edited labels (12 edits on cycle 7)``; ``""`` for plain labels.
    edits
        What a person changed in them.
    """

    station: int = 0
    words: str = ""
    edits: tuple[Edit, ...] = ()

    @property
    def is_edited(self) -> bool:
        """Whether a person changed them."""
        return bool(self.edits) or self.words.startswith(_EDITED)


def shown_labels(
    data: Any, source: LabelSource | None, station: int | None = None, edits: tuple[Edit, ...] = ()
) -> ShownLabels:
    """Return which labels of a layer's data are meant: those of a station, by default the last one.

    ``edits`` are those of a layer without steps; an array of steps knows its own.
    """
    if not isinstance(data, StepArray):
        return ShownLabels(0, f"the labels ({counted(edits)})" if edits else "", edits)
    last = data.stations - 1
    index = last if station is None else max(0, min(station, last))
    if data.is_edited(index):
        words = counted(data.edits) or "no edits yet"
        return ShownLabels(index, f"{_EDITED} ({words})", data.edits)
    trace = source.trace if source is not None else None
    if trace is None or trace.n_steps == 1:
        return ShownLabels(index)
    number = trace.n_steps - data.n_steps + index + 1
    return ShownLabels(index, f"{trace.step_word} {number} of {trace.n_steps}")


def record(shown: ShownLabels, source: LabelSource | None, layer: str, files: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return where labels come from, as JSON values: step, run and edits.

    A DICOM scan is not named: it goes by its folder, whose name may be the patient's.
    """
    trace = source.trace if source is not None else None
    run = json.loads(json.dumps(asdict(trace.provenance), default=str)) if trace is not None else None
    if source is not None and isinstance(source.geometry.stored, DicomGrid):
        layer, run = "", run and {**run, "scan": ""}
    return {
        "format": "voxtrace provenance 1",
        "version": __version__,
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "layer": layer,
        "labels": shown.words or "labels",
        "files": list(files),
        "run": run,
        "edits": as_json(shown.edits),
    }


def description(shown: ShownLabels, source: LabelSource | None) -> str:
    """Return one short line for a file: ``RecycleNet, cycle 3 of 7``; ``""`` where nothing is known."""
    trace = source.trace if source is not None else None
    made = (trace.provenance.bundle or trace.provenance.method_title) if trace is not None else ""
    warning = "demonstration model" if trace is not None and trace.provenance.demonstration else ""
    return ", ".join(filter(None, (warning, shown.words.removeprefix("the "), made)))


def sidecar(path: Path) -> Path:
    """Return the file beside another that tells where its labels come from.

    >>> sidecar(Path("liver.seg.nrrd")).name
    'liver.provenance.json'
    """
    known = ending(path)
    return path.with_name((path.name[: -len(known)] if known else path.name) + SUFFIX)


def write_record(path: Path, values: dict[str, Any]) -> Path:
    """Write a record of provenance, whole or not at all, and return its path."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
