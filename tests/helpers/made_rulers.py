"""A queue that runs work at once, for the controllers of the rulers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voxtrace.plugin.work.latest import Work


class ImmediateQueue:
    """Runs each request at once, in this thread, and counts them by key; ``held`` keeps the last of each key."""

    def __init__(self, held: bool = False) -> None:
        self.held = held
        self.runs: dict[str, int] = {}
        self._waiting: dict[str, tuple[Work, Callable[[Any], None]]] = {}

    def submit(self, key: str, function: Work, on_result: Callable[[Any], None]) -> None:
        self._waiting[key] = (function, on_result)
        if not self.held:
            self.let_go()

    def let_go(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for key, (function, on_result) in waiting.items():
            self.runs[key] = self.runs.get(key, 0) + 1
            on_result(function(lambda: False))

    def clear(self) -> None:
        self._waiting = {}
