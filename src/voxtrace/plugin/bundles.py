"""The bundles a window knows of: what the pickers show, shared by the panels of one viewer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psygnal import Signal

from voxtrace import bundle
from voxtrace.errors import BundleError
from voxtrace.volume import Volume

_log = logging.getLogger(__name__)
_STEP_OPTIONS = {"cycles": "cycle", "steps": "step"}  # a method option that sets the number of steps -> one step's name


@dataclass(frozen=True)
class KnownBundle:
    """What a picker needs to know of a bundle; read without torch.

    Attributes
    ----------
    name, path
        What it is called, where it lies.
    method
        Key of its method.
    channels, labels
        Names of the images it wants; label value -> name, background left out.
    modality
        ``"CT"``, ``"MR"`` or ``""``.
    steps, step_word
        Decisions it takes by default, 0 if it cannot be chosen; the paper's word for one.
    mirror
        Whether it mirrors by default.
    about
        A sentence or two from its card.
    """

    name: str
    path: Path
    method: str
    channels: tuple[str, ...]
    labels: Mapping[int, str]
    modality: str = ""
    steps: int = 0
    step_word: str = "step"
    mirror: bool = False
    about: str = ""

    @property
    def sentence(self) -> str:
        """What it finds, in which images, how: the line under the picker."""
        found = ", ".join(self.labels.values())
        several = f" ({', '.join(self.channels)})" if len(self.channels) > 1 else ""
        how = f"{self.method}, {self.steps} {self.step_word}s" if self.steps else self.method
        return f"Finds {found} in {self.modality or 'images'}{several}. Method: {how}."


def describe(path: str | Path) -> KnownBundle:
    """Return what a bundle's card says.

    Raises
    ------
    BundleError
        The folder is not a bundle, is incomplete or was altered.
    """
    folder = bundle.find(path)
    record = bundle.card(folder)
    try:
        return _known(folder, record)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder} lacks {error} in its description; it may come from a newer version.") from error


def _known(folder: Path, record: Mapping[str, Any]) -> KnownBundle:
    plan, options = record["plan"], record["method"]["options"]
    option = next((name for name in _STEP_OPTIONS if name in options), "")
    return KnownBundle(
        name=str(record.get("name") or folder.name),
        path=folder,
        method=str(record["method"]["name"]),
        channels=tuple(plan["channels"]),
        labels={int(value): str(name) for value, name in plan["labels"].items() if int(value)},
        modality=str(plan.get("modality", "")),
        steps=int(options.get(option, 0)),
        step_word=_STEP_OPTIONS.get(option, "step"),
        mirror=bool(record.get("mirror", False)),
        about=str(record.get("intended_use", "")),
    )


class Shelf:
    """The bundles of one window, in the order they became known; emits ``changed`` when one is added."""

    changed = Signal()

    def __init__(self, paths: Sequence[Path] | None = None) -> None:
        self._known: dict[Path, KnownBundle] = {}
        for path in bundle.shipped().values() if paths is None else paths:
            try:
                self._known[path.resolve()] = describe(path)
            except BundleError as error:  # one damaged bundle must not keep the panel from opening
                _log.warning("%s", error)

    @property
    def bundles(self) -> tuple[KnownBundle, ...]:
        """Every known bundle."""
        return tuple(self._known.values())

    def add(self, path: str | Path) -> KnownBundle:
        """Put the bundle in a folder on the shelf, or replace it when it was written again; return it."""
        known = describe(path)
        self._known[known.path.resolve()] = known
        self.changed.emit()
        return known


def suggested(bundles: Sequence[KnownBundle], volume: Volume | None, is_ct: bool) -> KnownBundle | None:
    """Return the bundle that fits the scan's modality and number of channels best, of equals the first."""
    if volume is None:
        return next(iter(bundles), None)
    modality = "CT" if is_ct else "MR"

    def fit(known: KnownBundle) -> tuple[bool, bool]:
        return known.modality in ("", modality), len(known.channels) == len(volume.data)

    return max(bundles, key=fit, default=None)


def match_channels(wanted: Sequence[str], offered: Sequence[str]) -> tuple[int | None, ...]:
    """Return for each wanted channel the index of an offered layer name, matched by word, else by order.

    >>> match_channels(["flair", "t1"], ["case · T1", "case · FLAIR"])
    (1, 0)
    """
    words = [set(name.lower().replace("_", " ").replace("·", " ").split()) for name in offered]
    named = [next((i for i, w in enumerate(words) if channel.lower() in w), None) for channel in wanted]
    left = iter([i for i in range(len(offered)) if i not in named])
    return tuple(index if index is not None else next(left, None) for index in named)
