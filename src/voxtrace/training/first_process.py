"""Which of several processes that train together this one is, from its environment; torch is not loaded."""

from __future__ import annotations

import os
import time
from pathlib import Path

from voxtrace.errors import EngineError

LONGEST_WAIT_S, LOOK_EVERY_S = 3600.0, 0.2


def is_first_process() -> bool:
    """Return whether this process writes and speaks."""
    return all(int(os.environ.get(name, "0") or 0) == 0 for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def wait_for(file: Path) -> None:
    """Return when the first process has made a file.

    Raises
    ------
    EngineError
        It is not there after an hour.
    """
    until = time.monotonic() + LONGEST_WAIT_S
    while not file.exists():
        if time.monotonic() > until:
            raise EngineError(f"the first process did not make {file}; see what it says.")
        time.sleep(LOOK_EVERY_S)
