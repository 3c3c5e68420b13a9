"""What a controller needs to have something worked out in the background; no Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Background = Callable[[Callable[[], Any], Callable[[Any], None]], None]
"""Runs a function in a thread and passes its result on; of several calls only the latest result arrives."""


def at_once(function: Callable[[], Any], on_result: Callable[[Any], None]) -> None:
    """Run a function now, in this thread, in place of a background."""
    on_result(function())
