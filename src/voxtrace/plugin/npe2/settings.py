"""Where the window's settings are kept: in napari's preferences since 0.9, and in a file of ours beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from voxtrace.plugin.models.settings import SCALARS, JsonSettingsStore, SettingsStore, ViewerSettings

PLUGIN, GROUP = "voxtrace", "viewer"  # names in napari.yaml
_SETTINGS: dict[Path, ViewerSettings] = {}


def viewer_settings() -> ViewerSettings:
    """Return the settings of the window, the same for every viewer of this process."""
    path = settings_file()
    if path not in _SETTINGS:
        _SETTINGS[path] = ViewerSettings(_store(path))
    return _SETTINGS[path]


def settings_file() -> Path:
    """Return the file of ours: beside napari's own where ``NAPARI_CONFIG`` names that, else in the user's folder."""
    named = os.environ.get("NAPARI_CONFIG")
    folder = Path(named).parent if named else platformdirs.user_config_path("voxtrace", appauthor=False)
    return folder / "voxtrace-window.json"


def _store(path: Path) -> SettingsStore:
    group = _napari_group()
    return JsonSettingsStore(path) if group is None else NapariSettingsStore(group, JsonSettingsStore(path))


def _napari_group() -> Any:
    """Return our group of napari's plugin settings; None before napari 0.9, or where the plugin is not registered."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    try:
        return getattr(get_plugin_settings(PLUGIN), GROUP)
    except (KeyError, AttributeError):
        return None


class NapariSettingsStore:
    """Keeps numbers and switches in napari's preferences, where a person can change them, and the rest in a file."""

    def __init__(self, group: Any, rest: JsonSettingsStore) -> None:
        self._group, self._rest = group, rest
        self._writing = False

    def read(self) -> Mapping[str, Any]:
        """Return what is stored in both."""
        return {**self._rest.read(), **{name: getattr(self._group, name) for name in SCALARS}}

    def write(self, values: Mapping[str, Any]) -> None:
        """Store each value where it belongs; napari writes its own file."""
        self._writing = True
        try:
            for name in SCALARS:
                if getattr(self._group, name) != values[name]:
                    setattr(self._group, name, values[name])
        finally:
            self._writing = False
        self._rest.write({name: value for name, value in values.items() if name not in SCALARS})

    def on_change(self, call: Callable[[], None]) -> None:
        """Call a function when a person changed a value in the preferences."""

        def changed(_event: Any = None) -> None:
            if not self._writing:
                call()

        self._group.events.connect(changed)
