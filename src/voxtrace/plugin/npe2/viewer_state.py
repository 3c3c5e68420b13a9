"""What the panels of one viewer share: the current result, the known bundles, the methods, and the docks."""

from __future__ import annotations

import importlib
import weakref
from dataclasses import dataclass
from typing import Any

from psygnal import Signal

from voxtrace.plugin.controllers.canvas import CanvasController
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.first_look import FirstLook
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.settings import ViewerSettings
from voxtrace.plugin.npe2.settings import viewer_settings
from voxtrace.plugin.work import jobs


@dataclass(frozen=True)
class Dock:
    """A dock of the window: title, area, and the class of its widget, which takes the viewer."""

    title: str
    area: str
    module: str
    widget: str


DOCKS = {
    "segment": Dock("Segment and step through", "right", "segment", "SegmentWidget"),
    "train": Dock("Train or fine-tune", "right", "train", "TrainWidget"),
    "rulers": Dock("Time and place", "bottom", "rulers", "RulersWidget"),
    "planes": Dock("Planes", "right", "planes", "PlanesWidget"),
    "places": Dock("Look here next", "right", "places", "PlacesWidget"),
    "correct": Dock("Correct", "right", "correct", "CorrectWidget"),
    "compare": Dock("Compare", "right", "compare", "CompareWidget"),
    "measure": Dock("Measure", "right", "measure", "MeasureWidget"),
    "batch": Dock("Batch", "right", "batch", "BatchWidget"),
}


class ViewerState:
    """The shared state of one viewer, created when VoxTrace first uses that viewer."""

    dataset_changed = Signal(object)  # the folder of a dataset to which a case was added

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self.canvas = CanvasController(viewer, viewer_settings())
        self.current = CurrentResult(viewer)
        self.edits = EditController(viewer, self.current)
        self.first_look = FirstLook(self.current, self._open_rulers)
        self.choosers: list[Any] = []  # open dialogs that ask which series to open
        self._bundle_registry: BundleRegistry | None = None
        self._method_registry: MethodRegistry | None = None

    @property
    def settings(self) -> ViewerSettings:
        """What the window remembers; the same for every viewer."""
        return viewer_settings()

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

    def _open_rulers(self) -> None:
        """Open the rulers where the viewer has a window."""
        viewer = self._viewer()
        if viewer is not None and hasattr(viewer, "window"):
            self.open_dock("rulers")

    def open_dock(self, name: str) -> Any:
        """Open a dock, or bring it to the front where it is open, and return its widget.

        Raises
        ------
        KeyError
            There is no dock of this name.
        """
        dock, viewer = DOCKS[name], self._viewer()
        assert viewer is not None, "the viewer was closed"
        title = f"{dock.title} (voxtrace)"  # as napari calls it when its menu opens it
        if title in viewer.window.dock_widgets:
            widget = viewer.window.dock_widgets[title]
            widget.parent().show()  # the dock around it
            widget.parent().raise_()
            return widget
        widget = getattr(importlib.import_module(f"voxtrace.plugin.npe2.{dock.module}"), dock.widget)(viewer)
        viewer.window.add_dock_widget(widget, name=title, area=dock.area, tabify=dock.area == "right")
        return widget


_STATES: weakref.WeakKeyDictionary[Any, ViewerState] = weakref.WeakKeyDictionary()


def viewer_state_of(viewer: Any) -> ViewerState:
    """Return the state of a viewer; it is released together with the viewer."""
    bare = getattr(viewer, "__wrapped__", viewer)  # panels get a proxy, readers get the viewer itself
    if bare not in _STATES:
        _STATES[bare] = ViewerState(bare)
    return _STATES[bare]
