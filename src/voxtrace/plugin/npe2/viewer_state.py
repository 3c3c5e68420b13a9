"""What the panels of one viewer share: the known bundles, the methods and the orientation letters of the canvas."""

from __future__ import annotations

import weakref
from typing import Any

from voxtrace.plugin.controllers.canvas import CanvasController
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.work import jobs


class ViewerState:
    """The shared state of one viewer, created when VoxTrace first uses that viewer."""

    def __init__(self, viewer: Any) -> None:
        self.canvas = CanvasController(viewer)
        self.choosers: list[Any] = []  # open dialogs that ask which series to open
        self._bundle_registry: BundleRegistry | None = None
        self._method_registry: MethodRegistry | None = None

    @property
    def bundle_registry(self) -> BundleRegistry:
        """The bundles known to this viewer; the shipped ones are read on first use."""
        if self._bundle_registry is None:
            self._bundle_registry = BundleRegistry()
        return self._bundle_registry

    @property
    def method_registry(self) -> MethodRegistry:
        """The methods; on first use a thread loads them, which imports torch."""
        if self._method_registry is None:
            from voxtrace.plugin.work.threads import in_background

            self._method_registry = MethodRegistry()
            registry = self._method_registry
            self._signals = in_background(jobs.methods, registry.set_classes, registry.set_error)
        return self._method_registry


_STATES: weakref.WeakKeyDictionary[Any, ViewerState] = weakref.WeakKeyDictionary()


def viewer_state_of(viewer: Any) -> ViewerState:
    """Return the state of a viewer; it is released together with the viewer."""
    bare = getattr(viewer, "__wrapped__", viewer)  # panels get a proxy, readers get the viewer itself
    if bare not in _STATES:
        _STATES[bare] = ViewerState(bare)
    return _STATES[bare]
