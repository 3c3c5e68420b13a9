"""Fork: another run begins where one is, or was, with its own options from there on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from voxtrace.atomic import atomic_folder
from voxtrace.errors import OutputError, UsageError
from voxtrace.training.events import EVENTS
from voxtrace.training.first_process import is_first_process, wait_for
from voxtrace.training.kept import BEFORE_FALL, BEST, BEST_BEFORE_FALL
from voxtrace.training.run_record import RUN

CHECKPOINT, CASES = "checkpoint.pt", "cases"


def fork_run(source: Path, work: Path) -> None:
    """Copy a run's state into the folder of a new one, whole or not at all; prepared cases are linked.

    Of several processes that train together the first does it, and the others wait.

    Parameters
    ----------
    source
        Folder of a run, ``OUT.work``, whose last checkpoint is taken; or one of its checkpoints.
    work
        Folder of the new run. One that is there already is an error.

    Raises
    ------
    UsageError
        The source is no run with a checkpoint.
    OutputError
        The new run's folder exists already.
    """
    if not is_first_process():
        wait_for(work / CHECKPOINT)
        return
    folder, checkpoint = (source.parent, source) if source.is_file() else (source, source / CHECKPOINT)
    if not (checkpoint.is_file() and (folder / RUN).is_file()):
        raise UsageError(
            f"{source} is no run with a checkpoint; give the folder OUT.work of one that is training or was stopped, "
            "or a checkpoint-….pt in it."
        )
    if work.exists():
        raise OutputError(f"an unfinished run lies in {work}; resume it with --resume, or choose another --out.")
    with atomic_folder(work, replace=False) as new:
        if (folder / CASES).is_dir():
            shutil.copytree(folder / CASES, new / CASES, copy_function=_link, ignore=shutil.ignore_patterns(".*"))
        for name in (RUN, EVENTS, BEST, BEFORE_FALL, BEST_BEFORE_FALL):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, new / name)
        shutil.copyfile(checkpoint, new / CHECKPOINT)


def _link(source: str, target: str) -> None:
    """Give a file that is never changed a second name, or copy it where the disk cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
