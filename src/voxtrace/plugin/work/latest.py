"""Where controllers send work of which only the latest result is wanted; no Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from voxtrace.plugin.work.events import Cancel

Work = Callable[[Cancel], Any]


class Latest(Protocol):
    """Where controllers send work whose result is wanted soon, and only of the latest request."""

    def submit(self, key: str, function: Work, on_result: Callable[[Any], None]) -> None:
        """Run a function later; one of the same key that was not begun is dropped."""
        ...

    def clear(self) -> None:
        """Drop every request and every result that was not delivered."""
        ...
