"""What napari does to a labels layer without an event: undo and redo, and a stroke that it gives up halfway."""

from __future__ import annotations

import weakref
from typing import Any

from napari.layers import Labels
from psygnal import Signal

from voxtrace.plugin.controllers import compat

_NAME = "_voxtrace_history"


class LabelHistory:
    """Tells of changes that napari only draws, and of a hidden layer does not even draw.

    There is one for each layer, see :func:`history_of`.
    """

    undone = Signal()  # something was undone or redone
    given_up = Signal()  # a stroke was taken back before it was finished; since napari 0.9

    def __init__(self, layer: Labels) -> None:
        self._layer = weakref.ref(layer)  # the layer holds this object
        for name in ("undo", "redo"):
            compat.replace_method(layer, name, self._undo_or_redo)
        compat.replace_method(layer, compat.GIVE_UP, self._give_up)

    def _undo_or_redo(self, act: Any) -> None:
        layer = self._layer()
        before = compat.history_lengths(layer)
        act(layer)
        if compat.history_lengths(layer) != before:
            self.undone.emit()

    def _give_up(self, act: Any) -> None:
        act(self._layer())
        self.given_up.emit()


def history_of(layer: Any) -> LabelHistory:
    """Return what tells of undo, redo and strokes that are given up on a labels layer."""
    own = vars(compat.unwrapped(layer))
    if _NAME not in own:
        own[_NAME] = LabelHistory(compat.unwrapped(layer))
    found: LabelHistory = own[_NAME]
    return found
