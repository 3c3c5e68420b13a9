"""The dialog that asks which series of a DICOM folder to open: its view and its controller, joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxtrace.plugin.controllers.chooser import ChooserController
from voxtrace.plugin.controllers.layers import add_layers
from voxtrace.plugin.layers.display import LayerData
from voxtrace.plugin.npe2.notifications import notify_notes
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.chooser import QtChooserView
from voxtrace.plugin.work.dicom_open import Study
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import ThreadRunner


class Chooser:
    """One dialog; it exists until it is closed."""

    def __init__(self, viewer: Any, study: Study, runner: Runner | None = None) -> None:
        self.view, self._viewer = QtChooserView(_window(viewer)), viewer
        self.controller = ChooserController(study, self.view, runner or ThreadRunner(), self._add)
        self.view.ticked.connect(self.controller.tick)
        self.view.each_asked.connect(self.controller.open_each)
        self.view.stacked_asked.connect(self.controller.open_stacked)
        self.view.finished.connect(self._close)

    def _add(self, layers: Sequence[LayerData]) -> None:
        add_layers(self._viewer, layers)
        notify_notes(layers)

    def _close(self) -> None:
        self.controller.close()
        viewer_state_of(self._viewer).choosers.remove(self)
        self.view.deleteLater()


def choose(viewer: Any, study: Study) -> Chooser:
    """Show the dialog for a study, or raise the one already open for it, and return it."""
    choosers: list[Chooser] = viewer_state_of(viewer).choosers
    for chooser in choosers:
        if chooser.controller.study.series == study.series:
            chooser.view.raise_()
            return chooser
    choosers.append(Chooser(viewer, study))
    choosers[-1].view.open()
    return choosers[-1]


def _window(viewer: Any) -> Any:
    return getattr(viewer.window, "_qt_window", None)
