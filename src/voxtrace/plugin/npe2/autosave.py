"""The clock of the autosave: edits are kept some minutes after a change, and when the window closes."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication

from voxtrace.plugin.controllers.autosave import AutosaveController
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.models.settings import ViewerSettings
from voxtrace.plugin.work.threads import in_background

MS_PER_MINUTE = 60_000


class Autosave(QObject):
    """Keeps the edits of one viewer."""

    def __init__(self, viewer: Any, edits: EditController, settings: ViewerSettings) -> None:
        super().__init__()
        self._settings = settings
        self.controller = AutosaveController(viewer, edits, in_background)
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.timeout.connect(self.controller.keep)
        edits.changed.connect(self._on_changed)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._on_close)
        window = getattr(viewer, "window", None)  # a viewer's model alone has none
        if window is not None:
            window._qt_window.destroyed.connect(self._on_close)

    def _on_changed(self, layer: Any) -> None:
        minutes = self._settings.values.autosave_minutes
        if minutes and not self.timer.isActive():
            self.timer.start(round(minutes * MS_PER_MINUTE))

    def _on_close(self) -> None:
        if self._settings.values.autosave_minutes:
            self.controller.keep_now()


def autosave_of(viewer: Any, edits: EditController, settings: ViewerSettings) -> Autosave | None:
    """Return the autosave of a viewer; None where no window runs."""
    return Autosave(viewer, edits, settings) if QApplication.instance() is not None else None
