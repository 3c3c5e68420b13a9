"""What is painted on a result while its places are reviewed, so that it can be undone with the decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Labels

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.models.correction import Correction
from voxtrace.trace.disagreement import Place
from voxtrace.volume import Shape


class PlaceEdits:
    """Follows the strokes on a layer, and knows where in its history those of each place begin.

    Parameters
    ----------
    on_painted
        Called after a stroke by hand; returns the place on screen, or None.
    """

    def __init__(self, edits: EditController, on_painted: Callable[[], int | None]) -> None:
        self._edits, self._on_painted = edits, on_painted
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

    def replace(self, layer: Labels, index: int, place: Place, shape: Shape) -> None:
        """Give a place, the ``index``-th of the list, the label of the other side, as one edit."""
        z, y, x = np.unravel_index(place.indices, shape)
        where = np.ravel_multi_index((shape[0] - 1 - z, y, x), shape)  # layers have z reversed
        order = np.argsort(where)
        correction = Correction(where[order], place.others[order].astype(layer.data.dtype))
        self._begins.setdefault(index, compat.strokes(layer))
        self._is_own = True
        try:
            self._edits.apply(layer, correction, "take the other side", place.other)
        finally:
            self._is_own = False

    def undo(self, layer: Labels, place: int) -> None:
        """Undo every stroke since the first on a place."""
        begins = self._begins.pop(place, compat.strokes(layer) - 1)
        for _ in range(compat.strokes(layer) - begins):
            layer.undo()

    def _on_paint(self, event: Any = None) -> None:
        if self._is_own or self._layer is None:
            return
        shown = self._on_painted()
        if shown is not None:
            self._begins.setdefault(shown, compat.strokes(self._layer) - 1)
