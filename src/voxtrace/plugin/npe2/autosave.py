"""The clock of the autosave: edits are kept within a minute, and when the window closes."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication

from voxtrace.plugin.controllers.autosave import AutosaveController
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.models.settings import Preferences, ViewerSettings
from voxtrace.plugin.work.threads import in_background

INTERVAL_MS = 60_000


class Autosave(QObject):
    """Keeps the edits of one viewer."""

    def __init__(self, viewer: Any, edits: EditController) -> None:
        super().__init__()
        self.controller = AutosaveController(viewer, edits, in_background)
        self._never = False
        self.timer = QTimer(self)
        self.timer.setSingleShot(True)
        self.timer.setInterval(INTERVAL_MS)
        self.timer.timeout.connect(self.controller.keep)
        edits.changed.connect(self._on_changed)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.controller.keep_now)
        window = getattr(viewer, "window", None)  # a viewer's model alone has none
        if window is not None:
            window._qt_window.destroyed.connect(self.controller.keep_now)

    def follow(self, settings: ViewerSettings) -> None:
        """Take the time between two saves from the preferences, now and when they change; 0 minutes is never."""
        self._set(settings.values)
        settings.changed.connect(self._set)

    def _set(self, values: Preferences) -> None:
        self._never = values.autosave_minutes <= 0
        self.timer.setInterval(round(60_000 * values.autosave_minutes) or INTERVAL_MS)
        if self._never:
            self.timer.stop()

    def _on_changed(self, layer: Any) -> None:
        if not self.timer.isActive() and not self._never:
            self.timer.start()


def autosave_of(viewer: Any, edits: EditController) -> Autosave | None:
    """Return the autosave of a viewer; None where no window runs."""
    return Autosave(viewer, edits) if QApplication.instance() is not None else None
