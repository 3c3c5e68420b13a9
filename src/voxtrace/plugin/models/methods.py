"""What the window knows of the methods: their options, steps and extras, asked of their classes.

The classes import torch, so a thread loads them (:func:`voxtrace.plugin.work.jobs.methods`) after a panel has opened;
this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from voxtrace.errors import MethodError

if TYPE_CHECKING:
    from voxtrace.method import Method, OptionInfo

MOST_STEPS = 64  # where a method does not say


@dataclass(frozen=True)
class Abilities:
    """What a method, its options set, lets a user choose before a prediction.

    Attributes
    ----------
    title, step_word
        What the method and one of its decisions are called.
    steps, most_steps
        Decisions it takes as it is, and how many a user may ask for at most; 0 where the number is fixed.
    options
        Those that may change after training, without the one that ``steps`` stands for.
    values
        Name -> value of every option.
    extras
        Names of what each step shows beside its answer.
    """

    title: str
    step_word: str = "step"
    steps: int = 1
    most_steps: int = 0
    options: tuple[OptionInfo, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    extras: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The method in a few words: ``"RecycleNet, 7 cycles"``."""
        return f"{self.title}, {self.steps} {self.step_word}s" if self.steps > 1 else self.title


def abilities(method: Method) -> Abilities:
    """Return what a method lets a user choose before a prediction."""
    taken, most = _asked_by_steps(method)
    return Abilities(
        title=method.title,
        step_word=method.step_word,
        steps=method.steps,
        most_steps=most,
        options=tuple(info for info in method.options() if info.live and info.name not in taken),
        values={f.name: getattr(method, f.name) for f in fields(method)},
        extras=tuple(method.extras),
    )


def _asked_by_steps(method: Method) -> tuple[frozenset[str], int]:
    """Return the options that another number of steps changes, and the most steps; nothing and 0 where it is fixed."""
    for steps in (method.steps + 1, max(1, method.steps - 1)):
        try:
            other = method.with_steps(steps)
        except MethodError:
            continue
        if other != method and other.steps == steps:
            changed = {f.name for f in fields(method) if getattr(method, f.name) != getattr(other, f.name)}
            highs = [info.high for info in method.options() if info.name in changed and info.high is not None]
            return frozenset(changed), max(method.steps, int(min(highs, default=MOST_STEPS)))
    return frozenset(), 0


class Catalogue:
    """The methods of this version; empty until a thread has brought them, then ``changed`` is emitted.

    ``trouble`` says why they did not come.
    """

    changed = Signal()

    def __init__(self, kinds: Mapping[str, type[Method]] | None = None) -> None:
        self._kinds: dict[str, type[Method]] = dict(kinds or {})
        self.trouble = ""

    @property
    def kinds(self) -> Mapping[str, type[Method]]:
        """Key -> class of every method."""
        return self._kinds

    def fill(self, kinds: Mapping[str, type[Method]]) -> None:
        """Take the methods that a thread has brought."""
        self._kinds = dict(kinds)
        self.changed.emit()

    def fail(self, sentence: str) -> None:
        """Note why the methods could not be brought."""
        self.trouble = sentence
        self.changed.emit()

    def made(self, key: str, options: Mapping[str, Any]) -> Method | None:
        """Return a method with options; None when it, or one of them, is not known (yet).

        Raises
        ------
        MethodError
            The method refuses a value.
        """
        kind = self._kinds.get(key)
        if kind is None or set(options) - {info.name for info in kind.options()}:
            return None
        return kind(**options)

    def abilities(self, key: str, options: Mapping[str, Any]) -> Abilities | None:
        """Return what a method with a bundle's options lets a user choose, or None where this version cannot tell."""
        try:
            method = self.made(key, options)
        except MethodError:  # a bundle of another version: the run itself will say what is wrong
            return None
        return abilities(method) if method is not None else None
