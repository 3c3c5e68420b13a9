"""The bundles known to a viewer, as its panels show them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psygnal import Signal

from voxtrace import bundle
from voxtrace.errors import BundleError
from voxtrace.volume import Volume

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownBundle:
    """What a panel shows of a bundle; read without torch.

    Attributes
    ----------
    name, path
        Its name and folder.
    method, options
        Key of its method, and the method's options in training.
    channels, labels
        Names of the images it needs; label value -> name, without background.
    modality
        ``"CT"``, ``"MR"`` or ``""``.
    mirror
        Whether it mirrors by default (test-time augmentation).
    about
        One or two sentences from its card.
    """

    name: str
    path: Path
    method: str
    channels: tuple[str, ...]
    labels: Mapping[int, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    modality: str = ""
    mirror: bool = False
    about: str = ""

    def sentence(self, method: str = "") -> str:
        """Return what it segments, in which images and with which method; ``method`` is its title where known."""
        found = ", ".join(self.labels.values())
        several = f" ({', '.join(self.channels)})" if len(self.channels) > 1 else ""
        return f"Finds {found} in {self.modality or 'images'}{several}. Method: {method or self.method}."


def describe(path: str | Path) -> KnownBundle:
    """Return what the card of a bundle says.

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
        raise BundleError(
            f"{folder} lacks {error} in its description; it may come from a newer version. Update VoxTrace."
        ) from error


def _known(folder: Path, record: Mapping[str, Any]) -> KnownBundle:
    plan = record["plan"]
    return KnownBundle(
        name=str(record.get("name") or folder.name),
        path=folder,
        method=str(record["method"]["name"]),
        channels=tuple(plan["channels"]),
        labels={int(value): str(name) for value, name in plan["labels"].items() if int(value)},
        options=dict(record["method"]["options"]),
        modality=str(plan.get("modality", "")),
        mirror=bool(record.get("mirror", False)),
        about=str(record.get("intended_use", "")),
    )


class BundleRegistry:
    """The bundles of one viewer, in the order they were added; emits ``changed`` when one is added."""

    changed = Signal()

    def __init__(self, paths: Sequence[Path] | None = None) -> None:
        self._known: dict[Path, KnownBundle] = {}
        for path in bundle.shipped().values() if paths is None else paths:
            try:
                self._known[path.resolve()] = describe(path)
            except BundleError as error:  # a damaged bundle is left out; the panel still opens
                _log.warning("%s", error)

    @property
    def bundles(self) -> tuple[KnownBundle, ...]:
        """Every known bundle."""
        return tuple(self._known.values())

    def add(self, path: str | Path) -> KnownBundle:
        """Add the bundle in a folder, or replace it when it was written again; return it."""
        known = describe(path)
        self._known[known.path.resolve()] = known
        self.changed.emit()
        return known


def suggested(bundles: Sequence[KnownBundle], volume: Volume | None, is_ct: bool) -> KnownBundle | None:
    """Return the bundle that fits the scan's modality and number of channels best; of equals the first."""
    if volume is None:
        return next(iter(bundles), None)
    modality = "CT" if is_ct else "MR"

    def fit(known: KnownBundle) -> tuple[bool, bool]:
        return known.modality in ("", modality), len(known.channels) == len(volume.data)

    return max(bundles, key=fit, default=None)


def match_channels(wanted: Sequence[str], offered: Sequence[str]) -> tuple[int | None, ...]:
    """Return for each wanted channel the index of an offered layer name; the topmost layer is offered first.

    A layer matches by the words of its name, or by the nnU-Net channel number at its end. Channels without a match take
    the topmost remaining layers in the order in which they were opened. No layer is taken twice.

    >>> match_channels(["flair", "t1"], ["case · T1", "case · FLAIR"])
    (1, 0)
    >>> match_channels(["T1", "T1 Gd"], ["case_0001", "case_0000"])
    (1, 0)
    """
    several, named = len(wanted) > 1, dict[int, int]()
    for channel, name in enumerate(wanted):
        free = [i for i in range(len(offered)) if i not in named.values()]
        by_name = [i for i in free if _words(name) <= _words(offered[i])]
        by_number = [i for i in free if several and f"{channel:04d}" in _words(offered[i])]
        if fitting := by_name or by_number:
            named[channel] = min(fitting, key=lambda i: len(_words(offered[i])))  # "T1" rather than "T1 Gd"
    left = [i for i in range(len(offered)) if i not in named.values()][: len(wanted) - len(named)]
    in_order = iter(reversed(left))
    return tuple(named[c] if c in named else next(in_order, None) for c in range(len(wanted)))


def _words(name: str) -> set[str]:
    return set(name.lower().replace("_", " ").replace("·", " ").split())
