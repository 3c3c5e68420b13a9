"""What is painted on a result while its places are reviewed, so that it can be undone with the decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Labels

from voxtrace.trace.disagreement import Place
from voxtrace.volume import Shape


class PlaceEdits:
    """Follows the strokes on a layer, and knows where in its history those of each place begin.

    Parameters
    ----------
    on_painted
        Called after a stroke by hand; returns the place on screen, or None.
    """

    def __init__(self, on_painted: Callable[[], int | None]) -> None:
        self._on_painted = on_painted
        self._layer: Labels | None = None
        self._begins: dict[int, int] = {}  # place -> strokes in the history before its first
        self._is_own = False

    def follow(self, layer: Labels | None) -> None:
        """Listen to another layer, or to none."""
        if self._layer is not None:
            self._layer.events.paint.disconnect(self._on_paint)
        self._layer, self._begins = layer, {}
        if layer is not None:
            layer.events.paint.connect(self._on_paint)

    def replace(self, layer: Labels, place: Place, station: int, shape: Shape) -> None:
        """Give a place the label of the other side, as one entry of napari's history."""
        z, y, x = np.unravel_index(place.indices, shape)
        where = (np.full_like(z, station), shape[0] - 1 - z, y, x)[4 - layer.ndim :]  # layers have z reversed
        begins = _strokes(layer)
        self._is_own = True
        try:
            layer.data_setitem(where, place.others.astype(layer.data.dtype))
        finally:
            self._is_own = False
        self._replaced(place, begins)

    def undo(self, layer: Labels, place: int) -> None:
        """Undo every stroke since the first on a place."""
        begins = self._begins.pop(place, _strokes(layer) - 1)
        for _ in range(_strokes(layer) - begins):
            layer.undo()

    def _replaced(self, place: Place, begins: int) -> None:
        shown = self._on_painted()
        if shown is not None:
            self._begins.setdefault(shown, begins)

    def _on_paint(self, event: Any = None) -> None:
        if self._is_own or self._layer is None:
            return
        shown = self._on_painted()
        if shown is not None:
            self._begins.setdefault(shown, _strokes(self._layer) - 1)


def _strokes(layer: Labels) -> int:
    """Return how many strokes napari can undo."""
    return len(layer._undo_history)
