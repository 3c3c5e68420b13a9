"""While nobody waits: make once, and throw away, what napari makes for the first image and the first labels.

The first layer of each kind costs napari up to a second on the thread of the window: modules, fonts, style sheets, and
classes that are built when they are first used. Here each of them is made from a layer of a few voxels that no viewer
ever shows, in short steps with pauses between them, after the panel has opened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from voxtrace.plugin.controllers.compat import EDGES, set_edge_letters, unwrapped
from voxtrace.plugin.work import warm

PAUSE_MS = 150
_log = logging.getLogger(__name__)
_begun: list[bool] = []  # once for each process


class IdleWarmup:
    """Runs the steps one by one while the event loop comes round; it belongs to a widget and ends with it."""

    def __init__(self, parent: QWidget, viewer: Any) -> None:
        canvas = unwrapped(viewer).window._qt_viewer.canvas
        fonts = {"font_info": canvas.font_info} if hasattr(canvas, "font_info") else {}  # since napari 0.9
        letters = _letters(unwrapped(viewer))
        self._steps: Iterator[Callable[[], Any]] = iter(letters) if _begun else iter((*steps(fonts), *letters))
        _begun.append(True)
        self._timer = QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._next)
        self._timer.start(PAUSE_MS)

    def _next(self) -> None:
        step = next(self._steps, None)
        if step is None:
            return
        try:
            step()
        except (ImportError, AttributeError, TypeError) as error:  # another napari: the first layer takes longer there
            _log.info("not prepared: %s", error)
        self._timer.start(PAUSE_MS)


def steps(fonts: Mapping[str, Any]) -> tuple[Callable[[], Any], ...]:
    """Return what is made, in order, each a function that takes a fraction of a second the first time."""
    return (
        lambda: _controls("qt_image_controls", "QtImageControls", warm.image()),
        lambda: _controls("qt_labels_controls", "QtLabelsControls", warm.labels()),
        lambda: _visual("image", "VispyImageLayer", warm.image(), fonts),
        lambda: _visual("labels", "VispyLabelsLayer", warm.labels(), fonts),
    )


def _letters(viewer: Any) -> tuple[Callable[[], Any], ...]:
    """Return what draws the first letter at each edge of an empty canvas, as a blank, one at a time."""

    def blank(edge: str) -> None:
        if not len(viewer.layers):
            set_edge_letters(viewer, {edge: " "})

    return tuple(partial(blank, edge) for edge in EDGES)


def _controls(module: str, name: str, layer: Any) -> None:
    made = getattr(import_module(f"napari._qt.layer_controls.{module}"), name)(layer)
    made.deleteLater()


def _visual(module: str, name: str, layer: Any, fonts: Mapping[str, Any]) -> None:
    getattr(import_module(f"napari._vispy.layers.{module}"), name)(layer, **fonts).close()
