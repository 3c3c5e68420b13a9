"""The ledger: a line of JSON for each change of a case's status, in ``ledger.jsonl`` beside the outputs.

A case is ``started``, then ``done`` or ``failed``; a case that was only started was interrupted. Lines are appended and
flushed to the disk one by one, so the ledger is correct after any interruption.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, get_args

from voxtrace.atomic import output_error
from voxtrace.errors import OutputError
from voxtrace.inference.options import PredictOptions
from voxtrace.safe_text import parse_json

NAME = "ledger.jsonl"

Status = Literal["started", "done", "failed"]


@dataclass(frozen=True)
class Entry:
    """One change of status of one case.

    Attributes
    ----------
    case
        Name of the case.
    status
        ``started``, ``done`` or ``failed``.
    bundle, bundle_digest
        Name of the bundle, and the SHA-256 of its contents; of several one after another, with a plus between.
        Of a cross-validation, that of its pooled rules and intervals comes last.
    options
        The options of the prediction, as JSON.
    time_s
        Wall time in seconds.
    error
        Why it failed, in one sentence.
    steps
        Number of steps in the trace.
    run
        Where and how it ran: windows, runtime, device, precision, seconds by stage, as ``Result.facts``.
    passport
        What was checked and corrected while the input was read, as ``Passport.as_json``.
    inputs
        Files or folders that the case was read from; none of cases with anonymous names.
    files
        Their number, bytes and SHA-256, as :func:`voxtrace.batch.sources.describe_sources`.
    choice
        What was chosen of them: ``timepoint`` and ``series``.
    killed
        How many runs were killed while they had the case in hand, where it was given up for that.
    volumes_ml
        Name of a label, or of a region -> its volume in the last step.
    features
        Name -> number of the last step, where it is known: ``changed_fraction`` (of the scan's voxels), ``entropy``
        (nat, mean over windows, which tells nothing of how good the answer is: it grows with the empty space around)
        and ``entropy_per_found`` (nat, the same for each voxel that has a label).
    fit
        Whether the model fits the scan, with reasons, as ``Fit.to_json``; of several bundles the most severe.
    demonstration
        Whether a bundle was trained on made-up scans alone, so that its answer on a patient means nothing.
    intervals_ml
        Name of a label, or of a region -> the interval in mL of its true volume, where the bundle has one.
    usual
        Whether the prediction came about like those of the validation cases, in words; ``""`` where that is not known.
    expected_dice
        What is expected of it, where the bundle foretells it.
    predicted_dice
        The same with interval, level, rank correlation and number of held-back cases, or ``{"unknown": reason}``.
    time_utc
        When the entry was written, ISO 8601.
    """

    case: str
    status: Status
    bundle: str = ""
    bundle_digest: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    time_s: float = 0.0
    error: str = ""
    steps: int = 0
    run: Mapping[str, Any] = field(default_factory=dict)
    passport: Sequence[Mapping[str, str]] = field(default_factory=list)
    inputs: Sequence[str] = field(default_factory=list)
    files: Sequence[Mapping[str, Any]] = field(default_factory=list)
    choice: Mapping[str, Any] = field(default_factory=dict)
    killed: int = 0
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    demonstration: bool = False
    intervals_ml: Mapping[str, Sequence[float]] = field(default_factory=dict)
    usual: str = ""
    expected_dice: float | None = None
    predicted_dice: Mapping[str, Any] = field(default_factory=dict)
    time_utc: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def same_settings(self, other: Entry) -> bool:
        """Return whether both come from the same bundle with the same options.

        An option that the version which wrote an entry did not have yet counts as its default.
        """
        before = PredictOptions().to_json()
        return self.bundle_digest == other.bundle_digest and ({**before, **self.options} == {**before, **other.options})


@dataclass(frozen=True)
class Ledger:
    """The ledger of an output folder; the file is created with the first entry."""

    folder: Path

    @property
    def path(self) -> Path:
        """The file with the entries."""
        return self.folder / NAME

    def append(self, entry: Entry) -> None:
        """Add an entry and flush it to the disk.

        Raises
        ------
        OutputError
            The file cannot be written: no space, no permission, or a file where the folder should be.
        """
        line = json.dumps(asdict(entry), ensure_ascii=False) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and not self.path.is_file():
                raise OutputError(f"{self.path} is a device, a pipe or a folder; expected a file. Remove it.")
            # "a" writes at the end wherever the file is read, "+" allows to read its last byte
            with self.path.open("ab+") as file:
                # a byte of a name that is no UTF-8 becomes an escape of JSON, and is the same byte when it is read
                file.write(_line_end(file) + line.encode("utf-8", "backslashreplace"))
                file.flush()
                # a power cut after this line cannot lose the entry
                os.fsync(file.fileno())
        except OSError as error:
            raise output_error(self.path, error) from error

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries in order; an incomplete line is skipped."""
        if not self.path.is_file():
            return ()
        # names may hold line ends of Unicode, so only those of JSON Lines count
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        return tuple(entry for line in lines if (entry := _parsed(line)) is not None)

    def latest(self) -> dict[str, Entry]:
        """Return the last entry of each case, in the order of the cases' first entries."""
        return {entry.case: entry for entry in self.entries()}

    def summary(self) -> dict[str, Any]:
        """Return counts by status and the last entry of each case, as JSON values."""
        latest = self.latest().values()
        counts = {status: sum(e.status == status for e in latest) for status in ("done", "failed", "started")}
        return {**counts, "cases": [asdict(entry) for entry in latest]}


def _line_end(file: IO[bytes]) -> bytes:
    """Return the line end that is missing where the last line is incomplete, so that a new line starts."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"


def _parsed(line: str) -> Entry | None:
    """Return the entry in a line; None where it is none, whatever else it may be."""
    if len(line) > _LONGEST_LINE:
        return None
    try:
        # names of files may hold bytes that are no UTF-8, and are compared with those of the next run
        content = parse_json(line, allow_nan=True, keep_bytes=True)
        return Entry(**content) if _is_entry(content) else None
    except (ValueError, TypeError, AttributeError):
        return None


def _is_entry(content: Any) -> bool:
    """Return whether every field is of its kind, so that nobody who reads the ledger stumbles."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("case"), str)
        and content.get("status") in get_args(Status)
        and all(_fits(content[name], kind) for name, kind in _KINDS.items() if name in content)
        and all(_fits(value, float) for name in _NUMBERS for value in content.get(name, {}).values())
        and all(isinstance(path, str) for path in content.get("inputs", ()))
        and all(isinstance(one, dict) for name in ("files", "passport") for one in content.get(name, ()))
        and all(isinstance(value, str) for one in content.get("passport", ()) for value in one.values())
        and (content.get("expected_dice") is None or _fits(content["expected_dice"], float))
        and _is_fit(content.get("fit", {}))
    )


def _fits(value: Any, kind: type) -> bool:
    if kind is float:  # JSON allows whole numbers that no float can hold
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < _LARGEST)
    return isinstance(value, kind)


def _is_fit(fit: Mapping[str, Any]) -> bool:
    reasons = fit.get("reasons", [])
    return (
        isinstance(fit.get("verdict", ""), str)
        and ("verdict" in fit or not reasons)
        and isinstance(reasons, list)
        and all(isinstance(reason, dict) and isinstance(reason.get("sentence"), str) for reason in reasons)
    )


def _kind_of(value: Any) -> type:
    return object if value is None else float if isinstance(value, int) else type(value)


_LONGEST_LINE = 1 << 24
_LARGEST = 1e300
_NUMBERS = ("volumes_ml", "features")
_KINDS = {name: _kind_of(value) for name, value in vars(Entry("", "started")).items() if name not in ("case", "status")}
