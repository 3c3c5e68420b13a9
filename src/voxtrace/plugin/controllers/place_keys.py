"""Keys of the canvas for the list of places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari.layers import Labels

_ACCEPT = "Enter"


class PlaceKeys:
    """Binds keys on a viewer and on the result's layer, whose own keys come before the viewer's.

    Parameters
    ----------
    actions
        Key -> what it does.
    """

    def __init__(self, viewer: Any, actions: Mapping[str, Callable[[], None]]) -> None:
        self._viewer, self._actions = viewer, actions
        self._layer: Labels | None = None

    def follow(self, layer: Labels | None) -> None:
        """Let the keys act while this layer is reviewed; None lets go of them."""
        if self._layer is not None:
            self._layer.events.mode.disconnect(self._on_mode)
            for one in (self._layer, self._viewer):
                for key in self._actions:
                    one.bind_key(key, None)
        self._layer = layer
        if layer is not None:
            layer.events.mode.connect(self._on_mode)
            for one in (layer, self._viewer):
                for key in self._actions:
                    one.bind_key(key, self._action(key), overwrite=True)
            self._on_mode()

    def _on_mode(self, event: Any = None) -> None:
        """Leave Enter to the polygon tool, which closes its polygon by it."""
        layer = self._layer
        if layer is not None:
            action = None if str(layer.mode) == "polygon" else self._action(_ACCEPT)
            layer.bind_key(_ACCEPT, action, overwrite=True)

    def _action(self, key: str) -> Callable[[Any], None]:
        def act(_: Any) -> None:  # a function: napari asks for its name
            self._actions[key]()

        return act
