"""The bundles known to a viewer, as its panels show them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from psygnal import Signal

from voxtrace import bundle
from voxtrace.errors import BundleError
from voxtrace.inference.fold_folder import CHOSEN, LEFT_OUT, fold_cards, fold_summary, is_fold_folder, joint_card

_log = logging.getLogger(__name__)

MatchKind = Literal["name", "number", "order", "missing"]


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
    folds
        How many members it has, where it is a folder of folds; 0 for a bundle.
    record
        Everything that its ``bundle.json`` says, see :func:`voxtrace.bundle.card`; of folds, the first one's with what
        was worked out of all of them.
    predicts_as, weights_sha256
        What traces that it made call it, and state of its weights.
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
    folds: int = 0
    record: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    predicts_as: str = ""
    weights_sha256: str = ""

    @property
    def options_as_asked(self) -> dict[str, Any]:
        """Options that its training was asked for, before others were chosen: fine-tuning begins with them."""
        return {**self.options, **self.record.get("provenance", {}).get(CHOSEN, {})}

    def sentence(self, method: str = "") -> str:
        """Return what it segments, in which images and with which method; ``method`` is its title where known."""
        found = ", ".join(self.labels.values())
        several = f" ({', '.join(self.channels)})" if len(self.channels) > 1 else ""
        return f"Finds {found} in {self.modality or 'images'}{several}. Method: {method or self.method}."


def describe(path: str | Path) -> KnownBundle:
    """Return what the card of a bundle says; of a folder of folds, that of the first.

    Raises
    ------
    BundleError
        The folder is not a bundle, is incomplete or was altered.
    """
    folds = fold_cards(path) if is_fold_folder(path) else {}
    folder = Path(path) if folds else bundle.find(path)
    cards = folds or {folder: bundle.card(folder)}
    names, records = [str(record.get("name") or of.name) for of, record in cards.items()], list(cards.values())
    hashes = [str(record["files"].get(bundle.WEIGHTS, "")) for record in records]
    record = joint_card(records, fold_summary(folder)) if folds else records[0]
    if folds:
        record = {**record, "name": f"{folder.name} ({len(folds)} folds)"}
    try:
        known = replace(_known(folder, record), folds=len(folds))
        return replace(known, predicts_as=" + ".join(names), weights_sha256=" + ".join(hashes))
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
        about=" ".join(filter(None, (str(record.get("intended_use", "")), str(record.get(LEFT_OUT, ""))))),
        record={name: value for name, value in record.items() if name not in ("files", "curve")},
    )


class BundleRegistry:
    """The bundles of one viewer, in the order they were added; emits ``changed`` when one is added.

    Parameters
    ----------
    paths
        Folders to begin with; the shipped bundles where they are None.
    remembered
        Folders of earlier sessions; those that are gone are left out and named in ``missing``.
    remember, forget
        Called with the folder of each bundle that is added, or taken off the list.
    """

    changed = Signal()

    def __init__(
        self,
        paths: Sequence[Path] | None = None,
        remembered: Sequence[str | Path] = (),
        remember: Callable[[Path], None] | None = None,
        forget: Callable[[Path], None] | None = None,
    ) -> None:
        self._known: dict[Path, KnownBundle] = {}
        self._forget = forget
        self._remember, self.missing = remember, tuple(f for f in map(Path, remembered) if not _is_bundle(f))
        begun = bundle.shipped().values() if paths is None else paths
        for path in (*begun, *(f for f in map(Path, remembered) if f not in self.missing)):
            try:
                self._known[path.resolve()] = describe(path)
            except BundleError as error:  # a damaged bundle is left out; the panel still opens
                _log.warning("%s", error)
        for path in self.missing:
            _log.info("the bundle %s is not there any more and was left out", path)

    @property
    def bundles(self) -> tuple[KnownBundle, ...]:
        """Every known bundle."""
        return tuple(self._known.values())

    def add(self, path: str | Path) -> KnownBundle:
        """Add the bundle in a folder, or replace it when it was written again; return it."""
        known = describe(path)
        self._known[known.path.resolve()] = known
        if self._remember is not None and known.path.parent != bundle.SHIPPED:
            self._remember(known.path.resolve())
        self.changed.emit()
        return known

    def forget(self, path: str | Path) -> None:
        """Take the bundle in a folder off the list; its files stay."""
        folder = Path(path).resolve()
        if self._known.pop(folder, None) is None:
            return
        if self._forget is not None:
            self._forget(folder)
        self.changed.emit()


def _is_bundle(folder: Path) -> bool:
    return (folder / bundle.JSON).is_file() or is_fold_folder(folder)


def match_channels(wanted: Sequence[str], offered: Sequence[str]) -> tuple[int | None, ...]:
    """Return for each wanted channel the index of an offered layer name; the topmost layer is offered first.

    A layer matches by the words of its name, or by the nnU-Net channel number at its end. Channels without a match take
    the topmost remaining layers in the order in which they were opened. No layer is taken twice.

    >>> match_channels(["flair", "t1"], ["case · T1", "case · FLAIR"])
    (1, 0)
    >>> match_channels(["T1", "T1 Gd"], ["case_0001", "case_0000"])
    (1, 0)
    """
    return tuple(index for index, _ in match_channels_how(list(enumerate(wanted)), offered))


def match_channels_how(
    wanted: Sequence[tuple[int, str]], offered: Sequence[str]
) -> tuple[tuple[int | None, MatchKind], ...]:
    """Return index and kind of the match for each channel (number, name), as :func:`match_channels` finds it.

    >>> match_channels_how([(0, "flair"), (1, "t1")], ["case · T1", "case"])
    ((1, 'order'), (0, 'name'))
    """
    several, named = len(wanted) > 1, dict[int, tuple[int, MatchKind]]()
    for channel, name in wanted:
        free = [i for i in range(len(offered)) if i not in {taken for taken, _ in named.values()}]
        by_name = [i for i in free if _words(name) <= _words(offered[i])]
        by_number = [i for i in free if several and f"{channel:04d}" in _words(offered[i])]
        if fitting := by_name or by_number:
            closest = min(fitting, key=lambda i: len(_words(offered[i])))  # "T1" rather than "T1 Gd"
            named[channel] = (closest, "name" if by_name else "number")
    taken = {index for index, _ in named.values()}
    left = [i for i in range(len(offered)) if i not in taken][: len(wanted) - len(named)]
    in_order = reversed(left)
    return tuple(named.get(channel) or _next_in(in_order) for channel, _ in wanted)


def _next_in(order: Iterator[int]) -> tuple[int | None, MatchKind]:
    index = next(order, None)
    return index, "missing" if index is None else "order"


def _words(name: str) -> set[str]:
    return set(name.lower().replace("_", " ").replace("·", " ").split())
