"""Small choices that outlast the window, e.g. contrast presets of one's own: a JSON file in the user's settings folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import platformdirs

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError

_log = logging.getLogger(__name__)


class RememberedChoices:
    """A dictionary of JSON values on disk, read on first use; without a writable folder it lasts for this run."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or platformdirs.user_config_path("voxtrace", appauthor=False) / "window.json"
        self._values: dict[str, Any] | None = None

    def get(self, name: str, default: Any) -> Any:
        """Return a value, or the default where none was kept."""
        return self._read().get(name, default)

    def keep(self, name: str, value: Any) -> None:
        """Keep a value."""
        values = self._read()
        values[name] = value
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(self._path) as file:
                file.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")
        except (OSError, OutputError) as error:
            _log.warning("choices of the window are not kept: %s", error)

    def _read(self) -> dict[str, Any]:
        if self._values is None:
            self._values = {}
            if self._path.is_file():
                try:
                    found = json.loads(self._path.read_text(encoding="utf-8"))
                    self._values = found if isinstance(found, dict) else {}
                except (OSError, ValueError) as error:
                    _log.warning("kept choices of the window cannot be read, defaults are used: %s", error)
        return self._values
