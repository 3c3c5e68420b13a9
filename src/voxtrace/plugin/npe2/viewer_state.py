"""What the panels of one viewer share: the current result, the known bundles, the methods, and the docks."""

from __future__ import annotations

import importlib
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from voxtrace.plugin.controllers.canvas import CanvasController
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.first_look import FirstLook
from voxtrace.plugin.controllers.result_style import ResultStyle
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.settings import ViewerSettings
from voxtrace.plugin.npe2.autosave import autosave_of
from voxtrace.plugin.npe2.settings import viewer_settings
from voxtrace.plugin.views.docks import stand_left_of, tab_with
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
    "think": Dock("Think longer here", "right", "think", "ThinkWidget"),
    "what_if": Dock("What if", "right", "what_if", "WhatIfWidget"),
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
        rulers = f"voxtrace.plugin.npe2.{DOCKS['rulers'].module}"
        # Imported while the scan is read, so that the window does not wait for it when a result comes.
        threading.Thread(target=importlib.import_module, args=(rulers,), daemon=True).start()
        self.style = ResultStyle(viewer, viewer_settings())
        self.autosave = autosave_of(viewer, self.edits, viewer_settings())
        if self.autosave is not None:
            self.autosave.controller.offered.connect(self._show_offer)
        self.dataset: Any = None  # the folder that dataset_changed told of last
        self.dataset_changed.connect(self._keep_dataset)
        self.choosers: list[Any] = []  # open dialogs that ask which series to open
        self.engine_turn = threading.Lock()  # of the panels that run or train networks, one at a time
        self._bundle_registry: BundleRegistry | None = None
        self._method_registry: MethodRegistry | None = None
        # by name, because opening a path needs this module in turn
        importlib.import_module("voxtrace.plugin.npe2.open_scan").accept_drops(viewer)

    def _keep_dataset(self, folder: Any) -> None:
        self.dataset = folder

    @property
    def settings(self) -> ViewerSettings:
        """What the window remembers; the same for every viewer."""
        return viewer_settings()

    @property
    def bundle_registry(self) -> BundleRegistry:
        """The bundles known to this viewer: the shipped ones, and those of earlier sessions; read on first use."""
        if self._bundle_registry is None:
            settings = viewer_settings()
            found = BundleRegistry(
                None, settings.values.bundle_folders, settings.remember_bundle, settings.forget_bundle
            )
            for folder in found.missing:
                settings.forget_bundle(folder)
            self._bundle_registry = found
        return self._bundle_registry

    @property
    def method_registry(self) -> MethodRegistry:
        """The methods; on first use a thread loads them, which imports torch."""
        if self._method_registry is None:
            from voxtrace.plugin.work.threads import in_background

            self._method_registry = MethodRegistry()
            registry = self._method_registry
            self._signals = in_background(jobs.methods, partial(_offer_methods, registry), registry.set_error)
        return self._method_registry

    def _open_rulers(self) -> None:
        """Open the rulers where the viewer has a window, once the window has drawn the result."""
        viewer = self._viewer()
        if viewer is not None and hasattr(viewer, "window"):
            QTimer.singleShot(0, partial(_open_rulers_of, self._viewer))

    def open_dock(self, name: str) -> Any:
        """Open a dock, or bring it to the front where it is open, and return its widget.

        Raises
        ------
        KeyError
            There is no dock of this name.
        """
        dock, viewer = DOCKS[name], self._viewer()
        assert viewer is not None, "the viewer was closed"
        title = _title(dock)
        if title in viewer.window.dock_widgets:
            widget = viewer.window.dock_widgets[title]
            widget.parent().show()  # the dock around it
            widget.parent().raise_()
            return widget
        widget = getattr(importlib.import_module(f"voxtrace.plugin.npe2.{dock.module}"), dock.widget)(viewer)
        viewer.window.add_dock_widget(widget, name=title, area=dock.area)
        if dock.area == "right":
            self._place(name, widget)
        return widget

    def _place(self, name: str, widget: Any) -> None:
        """Put a new dock on the right into its place: tabs at the edge of the window, the planes left of them."""
        opened = {key: found for key in DOCKS if (found := self.opened(key)) is not None and found is not widget}
        planes = opened.pop("planes", None)
        tabs = [found for key, found in opened.items() if DOCKS[key].area == "right"]
        if name == "planes":
            stand_left_of(widget, tabs)
        elif not tab_with(widget, tabs) and planes is not None:
            stand_left_of(planes, [widget])

    def _show_offer(self, sentence: str) -> None:
        """Open the Correct section, which offers edits that were not saved."""
        viewer = self._viewer()
        if sentence and getattr(viewer, "window", None) is not None and self.opened("correct") is None:
            self.open_dock("correct")

    def opened(self, name: str) -> Any:
        """Return the widget of a dock that is open, else None."""
        viewer = self._viewer()
        return viewer.window.dock_widgets.get(_title(DOCKS[name])) if viewer is not None else None


def _offer_methods(registry: MethodRegistry, found: tuple[Mapping[str, Any], Mapping[str, str]]) -> None:
    """Offer the methods that were loaded, and say which of other packages are left out."""
    from napari.utils.notifications import show_warning

    classes, left_out = found
    registry.set_classes(classes)
    for sentence in left_out.values():
        show_warning(sentence)


def _open_rulers_of(viewer: Any) -> None:
    """Open the rulers of a viewer, given by a weak reference, unless it was closed meanwhile."""
    alive = viewer()
    if alive is not None:
        with suppress(RuntimeError):  # Qt deleted the window
            viewer_state_of(alive).open_dock("rulers")


def _title(dock: Dock) -> str:
    return f"{dock.title} (voxtrace)"  # as napari calls it when its menu opens it


_STATES: weakref.WeakKeyDictionary[Any, ViewerState] = weakref.WeakKeyDictionary()


def viewer_state_of(viewer: Any) -> ViewerState:
    """Return the state of a viewer; it is released together with the viewer."""
    bare = getattr(viewer, "__wrapped__", viewer)  # panels get a proxy, readers get the viewer itself
    if bare not in _STATES:
        _STATES[bare] = ViewerState(bare)
    return _STATES[bare]
