"""What happens when a result is shown for the first time: its last step comes up, and the rulers open."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from napari.layers import Labels

from voxtrace.plugin.controllers.current import CurrentResult


class FirstLook:
    """Shows the answer of each new result, and calls back once, at the first of them."""

    def __init__(self, current: CurrentResult, on_first: Callable[[], None]) -> None:
        self._current, self._on_first = current, on_first
        self._seen: weakref.WeakSet[Labels] = weakref.WeakSet()
        self._called = False
        current.result_changed.connect(self._on_result)

    def close(self) -> None:
        """Disconnect from the current result."""
        self._current.result_changed.disconnect(self._on_result)

    def _on_result(self) -> None:
        layer, stations = self._current.layer, self._current.stations
        if layer is None or stations is None or layer in self._seen:
            return
        self._seen.add(layer)
        self._current.go(stations.n_steps - 1)  # napari would open its slider in the middle
        if not self._called:
            self._called = True
            self._on_first()
