"""The last step of a run: its bundle takes its place, and the run's folder goes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from voxtrace.atomic import atomic_file, output_error, remove_folder
from voxtrace.bundle import JSON
from voxtrace.safe_text import read_json
from voxtrace.training.events import EVENTS
from voxtrace.training.kept import BEFORE_FALL, BEST_BEFORE_FALL, CONTINUE, CONTINUE_BEST, copy

MADE, PREVIOUS, PLACED = "bundle", "previous", "placed.json"  # in the run's folder
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}-.+")  # of voxtrace.atomic


def put_in_place(made: Path, out: Path, work: Path) -> None:
    """Give a bundle in the run's folder its place, with the run's events, and remove the folder.

    A bundle that the run made longer is replaced. Nothing but the run's folder is ever half done, so that a run that is
    killed here, resumed, ends as if it had not been.
    """
    for name, kept in ((EVENTS, EVENTS), (BEFORE_FALL, CONTINUE), (BEST_BEFORE_FALL, CONTINUE_BEST)):
        if (work / name).is_file():
            copy(work / name, made / kept)
    with atomic_file(work / PLACED) as file:
        file.write_text(json.dumps({"digest": _digest(made)}), encoding="utf-8")
    exchange(made, out, work / PREVIOUS)
    shutil.rmtree(work, ignore_errors=True)


def exchange(made: Path, out: Path, previous: Path) -> None:
    """Give a folder its place; what lay there before goes to ``previous`` and is removed.

    Raises
    ------
    OutputError
        The system refuses.
    """
    try:
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        if out.exists():
            remove_folder(previous)
            out.rename(previous)
        made.rename(out)
    except OSError as error:
        raise output_error(out, error) from error
    remove_folder(previous)


def clear_finished(out: Path, work: Path) -> None:
    """Remove the folder of a run that was stopped after its bundle took its place; of a run that goes on, nothing."""
    try:
        placed = read_json(work / PLACED)["digest"]
    except (OSError, ValueError, LookupError, TypeError):
        # the note may be gone already; a folder with a checkpoint is of a run that goes on
        if work.is_dir() and not (work / "checkpoint.pt").is_file() and not (work / "run.json").is_file():
            shutil.rmtree(work, ignore_errors=True)
        return
    if _has_digest(out, placed):
        shutil.rmtree(work, ignore_errors=True)


def clear_temporaries(work: Path) -> None:
    """Remove what a process that was killed left half written in the run's folder."""
    for found in (*work.glob(".*"), *work.glob("*/.*")):
        if not _TEMPORARY.fullmatch(found.name):
            continue
        if found.is_dir():
            remove_folder(found)
        else:
            found.unlink(missing_ok=True)


def _digest(bundle: Path) -> str:
    return str(read_json(bundle / JSON).get("digest", ""))


def _has_digest(bundle: Path, digest: object) -> bool:
    """Return whether a bundle lies there that has a digest; one that cannot be read has none."""
    try:
        return bool(digest) and _digest(bundle) == digest
    except (OSError, ValueError, AttributeError):
        return False
