"""What the window offers of each method: its options, steps and extra outputs, read from its class.

The classes import torch, so a thread loads them (:func:`voxtrace.plugin.work.jobs.methods`) after a panel has opened;
this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from voxtrace.errors import MethodError, VoxTraceError
from voxtrace.plan import Plan
from voxtrace.safe_text import brief
from voxtrace.windows.grid import regular

if TYPE_CHECKING:
    from voxtrace.method import Method, OptionInfo

MAX_STEPS = 64  # for methods without a maximum of their own


@dataclass(frozen=True)
class Capabilities:
    """What a user can choose before a prediction with a method and its options.

    Attributes
    ----------
    title, step_word
        Names of the method and of one of its steps.
    steps, max_steps
        Its number of steps, and the largest number a user can ask for; 0 where the number is fixed.
    options
        Options that may change after training, without those that ``steps`` sets.
    values
        Name -> value of every option.
    extras
        Names of the extra outputs of each step.
    random
        Whether another seed gives another answer.
    value_names
        Name of a fact that names something -> what its values stand for.
    every_window
        Options with which every window of an even lattice runs; empty where that is so already, or cannot be asked for.
    """

    title: str
    step_word: str = "step"
    steps: int = 1
    max_steps: int = 0
    options: tuple[OptionInfo, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    random: bool = False
    value_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    every_window: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The method and its number of steps: ``"RecycleNet, 7 cycles"``."""
        return f"{self.title}, {self.steps} {self.step_word}s" if self.steps > 1 else self.title


def capabilities(method: Method) -> Capabilities:
    """Return what a user can choose before a prediction with this method."""
    taken, most = _options_set_by_steps(method)
    return Capabilities(
        title=method.title,
        step_word=method.step_word,
        steps=method.steps,
        max_steps=most,
        options=tuple(info for info in method.options() if info.live and info.name not in taken),
        values={f.name: getattr(method, f.name) for f in fields(method)},
        extras=tuple(method.extras),
        random=method.random,
        value_names=dict(method.value_names),
        every_window=_option_of_every_window(method),
    )


def _options_set_by_steps(method: Method) -> tuple[frozenset[str], int]:
    """Return the options that another number of steps changes, and the maximum; nothing and 0 where it is fixed."""
    for steps in (method.steps + 1, max(1, method.steps - 1)):
        try:
            other = method.with_steps(steps)
        except MethodError:
            continue
        if other != method and other.steps == steps:
            changed = {f.name for f in fields(method) if getattr(method, f.name) != getattr(other, f.name)}
            highs = [info.high for info in method.options() if info.name in changed and info.high is not None]
            return frozenset(changed), max(method.steps, int(min(highs, default=MAX_STEPS)))
    return frozenset(), 0


def _option_of_every_window(method: Method) -> dict[str, Any]:
    """Return the choice of an option with which windows lie in the even lattice; {} where they do or none gives it."""

    def is_even(**choice: Any) -> bool:
        try:
            return replace(method, **choice).windowing(Plan.example()).schedule is regular
        except MethodError:  # the choice does not go with another option of this method
            return False

    if is_even():
        return {}
    choices = ((info.name, choice) for info in method.options() if info.live for choice in info.choices)
    return next(({name: value} for name, value in choices if is_even(**{name: value})), {})


class MethodRegistry:
    """The methods of this version; empty until a thread has loaded them, then ``changed`` is emitted.

    ``error_message`` says why they could not be loaded.
    """

    changed = Signal()

    def __init__(self, classes: Mapping[str, type[Method]] | None = None) -> None:
        self._classes: dict[str, type[Method]] = dict(classes or {})
        self._capabilities: dict[tuple[str, str], Capabilities | None] = {}  # of a method with options, once asked
        self.error_message = ""

    @property
    def classes(self) -> Mapping[str, type[Method]]:
        """Key -> class of every method."""
        return self._classes

    @property
    def default(self) -> str:
        """Key of the method of a training that names none; ``""`` until the methods are loaded."""
        if not self._classes:
            return ""
        from voxtrace.methods import DEFAULT_METHOD

        return DEFAULT_METHOD

    def set_classes(self, classes: Mapping[str, type[Method]]) -> None:
        """Store the methods that a thread has loaded."""
        self._classes, self._capabilities = dict(classes), {}
        self.changed.emit()

    def set_error(self, sentence: str) -> None:
        """Store why the methods could not be loaded."""
        self.error_message = sentence
        self.changed.emit()

    def create(self, key: str, options: Mapping[str, Any]) -> Method | None:
        """Return a method with options; None when the method or an option is unknown or not loaded yet.

        Raises
        ------
        MethodError
            The method refuses a value.
        """
        kind = self._classes.get(key)
        if kind is None or set(options) - {info.name for info in kind.options()}:
            return None
        try:
            return kind(**options)
        except VoxTraceError:
            raise
        except Exception as error:  # a stranger's method refuses a value in any way
            raise MethodError(f"{key} refuses these options ({brief(error)}); choose other values.") from error

    def capabilities(self, key: str, options: Mapping[str, Any]) -> Capabilities | None:
        """Return what a user can choose with a bundle's method and options; None for an unknown method or option."""
        asked = (key, repr(sorted(options.items())))
        if asked not in self._capabilities:
            try:
                method = self.create(key, options)
            except MethodError:  # a bundle of another version: the run reports the error
                method = None
            self._capabilities[asked] = capabilities(method) if method is not None else None
        return self._capabilities[asked]
