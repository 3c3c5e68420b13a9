"""Tell whether the current result came about as those of its model's validation did."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from voxtrace.fit import case_features
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.panel_state import Level
from voxtrace.plugin.models.trust import record_of, trust
from voxtrace.trace import Trace


class TrustView(Protocol):
    """The setter of the line above the list of places."""

    def set_fit(self, text: str, level: Level) -> None:
        """Show the sentence; ``""`` hides it."""


class TrustController:
    """Connects the current result, the known bundles and the line.

    Parameters
    ----------
    bundles
        Gives the known bundles.
    background
        Runs a function in a thread and passes on the result of the latest call alone: features may read every label.
    """

    def __init__(
        self,
        view: TrustView,
        current: CurrentResult,
        bundles: Callable[[], Iterable[KnownBundle]],
        background: Callable[[Callable[[], Any], Callable[[Any], None]], None],
    ) -> None:
        self._view, self._current, self._bundles, self._background = view, current, bundles, background
        current.result_changed.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Disconnect."""
        self._current.result_changed.disconnect(self.refresh)

    def refresh(self) -> None:
        """Hide the line, and work out that of the current result."""
        trace = self._current.trace
        self._view.set_fit("", "hint")
        if trace is not None and record_of(self._bundles(), trace).get("expected"):
            # a reference, because the background keeps the last callback, and a trace may be large
            self._background(partial(case_features, trace), partial(self._show, weakref.ref(trace)))

    def _show(self, reference: weakref.ref[Trace], features: dict[str, float]) -> None:
        trace = reference()
        dice = trace.provenance.expected_dice if trace is not None else None
        found = trust(record_of(self._bundles(), trace), features, dice)
        if found is not None and trace is self._current.trace:
            self._view.set_fit(found.sentence, found.level)
