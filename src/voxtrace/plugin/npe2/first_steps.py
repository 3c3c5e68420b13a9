"""The hint of the first three steps, joined with the settings that remember whether it was dismissed."""

from __future__ import annotations

from voxtrace.plugin.models.settings import Preferences, ViewerSettings
from voxtrace.plugin.views.first_steps import QtFirstSteps


class FirstSteps(QtFirstSteps):
    """Shown until it is dismissed, here or in the preferences."""

    def __init__(self, settings: ViewerSettings) -> None:
        super().__init__()
        self._settings = settings
        self._follow(settings.values)
        settings.changed.connect(self._follow)
        self.dismissed.connect(lambda: settings.update(show_first_steps=False))
        self.destroyed.connect(lambda: settings.changed.disconnect(self._follow, missing_ok=True))

    def _follow(self, values: Preferences) -> None:
        self.setVisible(values.show_first_steps)
