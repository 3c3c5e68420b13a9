"""What the window remembers from one start to the next: preferences, and what was used last."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

from psygnal import Signal

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError
from voxtrace.safe_text import read_json

_log = logging.getLogger(__name__)

Range = tuple[float, float]
RANGES: Mapping[str, Range] = {
    "undecided_limit_ml": (0.0, 1000.0),
    "autosave_minutes": (0.0, 60.0),
    "label_opacity": (0.0, 1.0),
    "steps_per_second": (0.25, 20.0),
}


@dataclass(frozen=True)
class Preferences:
    """The values of the settings.

    Attributes
    ----------
    undecided_limit_ml
        "Look here next" ends when less than this is undecided.
    autosave_minutes
        Time between two automatic saves of edits; 0 is never.
    label_opacity
        Opacity of a new result over its scan, 0 to 1.
    label_outline
        Whether a new result is drawn as outlines rather than filled.
    steps_per_second
        Speed at which the steps are played.
    include_patient_name
        Whether reports and exported files carry the patient's name.
    show_first_steps
        Whether the panel shows the hint of the first three steps.
    windows
        Modality -> a contrast window of one's own as (width, level).
    bundle_folders
        Folders of bundles added to the shelf, oldest first.
    """

    undecided_limit_ml: float = 1.0
    autosave_minutes: float = 1.0
    label_opacity: float = 0.5
    label_outline: bool = False
    steps_per_second: float = 2.0
    include_patient_name: bool = False
    show_first_steps: bool = True
    windows: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    bundle_folders: tuple[str, ...] = ()


DEFAULTS = Preferences()
SCALARS = tuple(f.name for f in fields(Preferences) if isinstance(getattr(DEFAULTS, f.name), bool | float))


def preferences_from(stored: Mapping[str, Any]) -> Preferences:
    """Return the preferences that were stored; what is missing, of another type or unknown has its default.

    >>> preferences_from({"label_opacity": 7, "autosave_minutes": "soon"}).label_opacity
    1.0
    """
    read: dict[str, Any] = {name: _scalar(name, stored[name]) for name in SCALARS if name in stored}
    read |= {"windows": _windows(stored.get("windows")), "bundle_folders": _folders(stored.get("bundle_folders"))}
    return replace(DEFAULTS, **read)


def _scalar(name: str, value: Any) -> bool | float:
    default: bool | float = getattr(DEFAULTS, name)
    if isinstance(default, bool):
        return value if isinstance(value, bool) else default
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return default
    low, high = RANGES[name]
    return min(max(float(value), low), high)


def _windows(stored: Any) -> dict[str, tuple[float, float]]:
    if not isinstance(stored, Mapping):
        return {}
    return {
        str(modality): (float(pair[0]), float(pair[1]))
        for modality, pair in stored.items()
        if isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(v, int | float) for v in pair)
    }


def _folders(stored: Any) -> tuple[str, ...]:
    if not isinstance(stored, list | tuple):
        return ()
    return tuple(dict.fromkeys(entry for entry in stored if isinstance(entry, str)))


class SettingsStore(Protocol):
    """Where the settings are kept."""

    def read(self) -> Mapping[str, Any]:
        """Return what is stored; nothing where nothing can be read."""
        ...

    def write(self, values: Mapping[str, Any]) -> None:
        """Store the values."""
        ...

    def on_change(self, call: Callable[[], None]) -> None:
        """Call a function when something else changed what is stored."""
        ...


class JsonSettingsStore:
    """A file in JSON; a damaged one reads as empty and is replaced at the next change."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Mapping[str, Any]:
        """Return what is stored; nothing where the file is missing or damaged."""
        try:
            stored = read_json(self.path)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _log.warning("The settings in %s cannot be read (%s); the defaults are used.", self.path, error)
            return {}
        return stored if isinstance(stored, dict) else {}

    def write(self, values: Mapping[str, Any]) -> None:
        """Write the file whole or not at all."""
        with atomic_file(self.path) as temporary:
            temporary.write_text(json.dumps(values, indent=1) + "\n", "utf-8")

    def on_change(self, call: Callable[[], None]) -> None:
        """Nothing else writes the file."""


class ViewerSettings:
    """The settings of the window; emits ``changed`` with the new :class:`Preferences`."""

    changed = Signal(object)

    def __init__(self, store: SettingsStore) -> None:
        self._store = store
        self._values = preferences_from(store.read())
        store.on_change(self._reload)

    @property
    def values(self) -> Preferences:
        """The current values."""
        return self._values

    def update(self, **changes: Any) -> None:
        """Change values and store them; they hold for this session even where they cannot be stored.

        Raises
        ------
        TypeError
            A name is not one of a preference.
        """
        changed = preferences_from(asdict(replace(self._values, **changes)))
        if changed == self._values:
            return
        self._values = changed
        try:
            self._store.write(asdict(changed))
        except OutputError as error:
            _log.warning("%s", error)
        self.changed.emit(changed)

    def remember_window(self, modality: str, width: float, level: float) -> None:
        """Keep a contrast window of one's own for a modality."""
        self.update(windows={**self._values.windows, modality: (width, level)})

    def remember_bundle(self, folder: str | Path) -> None:
        """Keep a bundle's folder on the shelf; it becomes the last one."""
        path = str(Path(folder).resolve())
        self.update(bundle_folders=(*(f for f in self._values.bundle_folders if f != path), path))

    def forget_bundle(self, folder: str | Path) -> None:
        """Take a bundle's folder from the shelf."""
        path = str(Path(folder).resolve())
        self.update(bundle_folders=tuple(f for f in self._values.bundle_folders if f != path))

    def _reload(self) -> None:
        read = preferences_from(self._store.read())
        if read != self._values:
            self._values = read
            self.changed.emit(read)
