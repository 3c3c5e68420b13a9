"""The hint of the first three steps, joined with the settings that remember whether it was dismissed."""

from __future__ import annotations

from typing import Any

from napari.layers import Image

from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.models.settings import Preferences, ViewerSettings
from voxtrace.plugin.views.first_steps import QtFirstSteps


class FirstSteps(QtFirstSteps):
    """Shown until it is dismissed, here or in the preferences; ticks what is done in the viewer."""

    def __init__(self, settings: ViewerSettings, viewer: Any, current: CurrentResult) -> None:
        super().__init__()
        self._viewer, self._current = viewer, current
        self._follow(settings.values)
        self._tick()
        settings.changed.connect(self._follow)
        current.result_changed.connect(self._tick)
        events = (viewer.layers.events.inserted, viewer.layers.events.removed)
        for event in events:
            event.connect(self._tick)
        self.dismissed.connect(lambda: settings.update(show_first_steps=False))
        self.destroyed.connect(lambda: settings.changed.disconnect(self._follow, missing_ok=True))
        self.destroyed.connect(lambda: current.result_changed.disconnect(self._tick, missing_ok=True))
        self.destroyed.connect(lambda: [event.disconnect(self._tick) for event in events])

    def _follow(self, values: Preferences) -> None:
        self.setVisible(values.show_first_steps)

    def _tick(self, event: Any = None) -> None:
        has_scan = any(isinstance(layer, Image) for layer in self._viewer.layers)
        self.show_done(2 if self._current.layer is not None else int(has_scan))
