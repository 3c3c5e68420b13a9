"""The ledger: a line of JSON for each thing that happened to a case, in ``ledger.jsonl`` beside the outputs.

A case is ``started``, then ``done`` or ``failed``; a case that was only started met a power cut or a kill. Lines are
appended and flushed to the disk one by one, so the ledger is true after any interruption.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from voxtrace.atomic import output_error
from voxtrace.inference.options import PredictOptions

NAME = "ledger.jsonl"

Status = Literal["started", "done", "failed"]


@dataclass(frozen=True)
class Entry:
    """What happened to one case.

    Attributes
    ----------
    case
        Name of the case.
    status
        ``started``, ``done`` or ``failed``.
    bundle, bundle_digest
        Name of the bundle, and the SHA-256 that names this very model.
    options
        The options of the prediction, as JSON.
    time_s
        How long it took.
    error
        Why it failed, one sentence.
    steps
        Steps of the trace.
    run
        Where and how it ran: windows, runtime, device, precision, seconds by stage, as ``Result.facts``.
    passport
        What was looked at while the input was read, and what was corrected, as ``Passport.as_json``.
    time_utc
        When the entry was made, ISO 8601.
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
    time_utc: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def same_settings(self, other: Entry) -> bool:
        """Return whether both come from the same bundle with the same options.

        An option that the version which wrote an entry did not have yet counts as its default.
        """
        before = PredictOptions().to_json()
        return self.bundle_digest == other.bundle_digest and ({**before, **self.options} == {**before, **other.options})


@dataclass(frozen=True)
class Ledger:
    """The ledger of an output folder; the file is made with the first entry."""

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
            When the system refuses: no space, no permission, a file where the folder should be.
        """
        line = json.dumps(asdict(entry), ensure_ascii=False) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                file.write(_line_end(file) + line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise output_error(self.path, error) from error

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries in order; a line torn by a power cut is passed over."""
        if not self.path.is_file():
            return ()
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        return tuple(entry for line in lines if (entry := _parsed(line)) is not None)

    def latest(self) -> dict[str, Entry]:
        """Return the last entry of each case, in the order in which the cases were first met."""
        return {entry.case: entry for entry in self.entries()}

    def summary(self) -> dict[str, Any]:
        """Return counts by status and the last entry of each case, as JSON values."""
        latest = self.latest().values()
        counts = {status: sum(e.status == status for e in latest) for status in ("done", "failed", "started")}
        return {**counts, "cases": [asdict(entry) for entry in latest]}


def _line_end(file: IO[bytes]) -> bytes:
    """Return what must come first so that a line torn by a power cut does not swallow the next one."""
    if file.seek(0, os.SEEK_END) == 0:
        return b""
    file.seek(-1, os.SEEK_END)
    return b"" if file.read(1) == b"\n" else b"\n"


def _parsed(line: str) -> Entry | None:
    try:
        return Entry(**json.loads(line))
    except (json.JSONDecodeError, TypeError):
        return None
