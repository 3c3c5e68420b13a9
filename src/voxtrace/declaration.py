"""Options declared once, as fields of a frozen dataclass: default, sentence, range, choices and where they are offered.

Checks, the flags of the command line, the forms of the window and the reference page follow from the declaration::

    @dataclass(frozen=True)
    class Shown:
        steps: int | None = option(None, "Steps of the method.", low=1, unset="its own number")

    options_of(Shown)[0].sentence == "Steps of the method; its own number if unset."

Knows neither torch nor a toolkit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from voxtrace.errors import UsageError

Place = Literal["command", "window"]
EVERYWHERE: tuple[Place, ...] = ("command", "window")


@dataclass(frozen=True)
class Alike:
    """Values of an option that all do the same while other options have certain values.

    Attributes
    ----------
    where
        Values of other options, e.g. ``{"rule": ("paper",)}``; where it names several options, all of them must hold.
    values
        Which values are alike, e.g. ``("paper", "turned")`` or ``range(1, 100)``; None where all are: it is not read.
    """

    where: Mapping[str, tuple[Any, ...]]
    values: Sequence[Any] | None = None

    def holds(self, values: Mapping[str, Any]) -> str:
        """Return the settings, of all options' values, with which it is so; empty where it is not."""
        if any(values.get(name) not in those for name, those in self.where.items()):
            return ""
        return " with ".join(setting(name, values[name]) for name in self.where)

    @property
    def words(self) -> str:
        """When it is so, in words."""
        settings = " and ".join(" or ".join(setting(name, one) for one in those) for name, those in self.where.items())
        if self.values is None:
            return f"Not read with {settings}."
        if isinstance(self.values, range):
            return f"With {settings} all values from {self.values[0]} on do the same."
        return f"With {settings} {' and '.join(map(str, self.values))} do the same."


@dataclass(frozen=True)
class OptionInfo:
    """An option as a front end needs it.

    Attributes
    ----------
    name, kind, default
        The field's name, its type (``bool``, ``int``, ``float``, ``str`` or ``Mapping``) and its default value.
    help
        A sentence that says what it does.
    low, high
        Smallest and largest value, both included; None where there is no limit.
    choices
        The only values of a text; empty where any text may be one.
    live
        Of a method: may change after training, because no weight depends on it.
    optional, unset
        Whether None is a value, and what it stands for, e.g. ``"as the bundle says"``.
    where
        Where generic flags and forms offer it: ``"command"``, ``"window"``, or both. Python always takes it.
    title
        Its label in a form.
    suggestions
        Values of a free text worth offering, e.g. ``("auto", "cpu", "cuda")``.
    details
        What the reference page says beyond the sentence.
    unread_where
        Values of other options with each of which this one does nothing, e.g. ``{"sampler": ("ddpm",)}``.
    alike_where
        Where it does nothing with several of them at once, or where only some of its values do the same.
    """

    name: str
    kind: type
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    optional: bool = False
    unset: str = ""
    where: tuple[Place, ...] = EVERYWHERE
    title: str = ""
    suggestions: tuple[str, ...] = ()
    details: str = ""
    unread_where: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    alike_where: tuple[Alike, ...] = ()

    @property
    def sentence(self) -> str:
        """The sentence, with what an unset value stands for."""
        return f"{self.help.rstrip('.')}; {self.unset} if unset." if self.optional and self.unset else self.help

    @property
    def limits(self) -> str:
        """The range in words, e.g. ``"1 to 16"`` or ``"at least 1"``; empty without limits."""
        if self.low is not None and self.high is not None:
            return f"{self.low} to {self.high}"
        if self.low is not None:
            return f"at least {self.low}"
        return "" if self.high is None else f"at most {self.high}"

    @property
    def unread(self) -> str:
        """Where it does nothing, in words, e.g. ``"Not read with sampler=ddpm."``; empty where it is always read."""
        settings = [setting(name, value) for name, values in self.unread_where.items() for value in values]
        always = [f"Not read with {' or '.join(settings)}."] if settings else []
        return " ".join(always + [alike.words for alike in self.alike_where])

    def unread_with(self, values: Mapping[str, Any]) -> str:
        """Return the settings, of all options' values, with which it does nothing; empty where it is read."""
        for name, unread in self.unread_where.items():
            if values.get(name) in unread:
                return setting(name, values[name])
        return next(filter(None, (alike.holds(values) for alike in self.alike_where if alike.values is None)), "")

    def idle_with(self, values: Mapping[str, Any], before: Any) -> str:
        """Return why, of all options' values, its own does the same as the one before; empty where it may not.

        E.g. ``"dynamic=false does not read it"``.
        """
        if switch := self.unread_with(values):
            return f"{switch} does not read it"
        for alike in self.alike_where:
            both = alike.values is not None and before in alike.values and values[self.name] in alike.values
            if both and (switch := alike.holds(values)):
                return f"{switch} does not tell it from {before}"
        return ""


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    live: bool = False,
    unset: str = "",
    where: tuple[Place, ...] = EVERYWHERE,
    title: str = "",
    suggestions: tuple[str, ...] = (),
    details: str = "",
    unread_where: Mapping[str, tuple[Any, ...]] | None = None,
    alike_where: tuple[Alike, ...] = (),
) -> Any:
    """Declare a field of a frozen dataclass as an option; see :class:`OptionInfo` for the arguments.

    Its type is the field's: ``bool``, ``int``, ``float``, ``str``, a ``Literal`` of texts, each perhaps ``| None``.
    """
    declared: dict[str, Any] = {"help": help, "low": low, "high": high, "live": live, "unset": unset, "where": where}
    declared |= {"title": title, "suggestions": suggestions, "details": details}
    declared |= {"unread_where": unread_where or {}, "alike_where": alike_where}
    if isinstance(default, Mapping):  # a dataclass takes no mutable default
        return field(default_factory=lambda: dict(default), metadata=declared)
    return field(default=default, metadata=declared)


def options_of(kind: type[Any]) -> tuple[OptionInfo, ...]:
    """Return every option of a dataclass, in the order of declaration."""
    hints = get_type_hints(kind)
    return tuple(_info(declared, hints[declared.name]) for declared in fields(kind))


def checked(info: OptionInfo, value: Any, *, error: type[UsageError] = UsageError, of: str = "") -> Any:
    """Return the value as Python's own bool, int, float or str.

    Parameters
    ----------
    info, value
        The option, and what is to be its value.
    error, of
        The class of the error, and whose option it is, which the message names first.

    Raises
    ------
    UsageError
        The value is of another type, outside the range or none of the choices.
    """
    if value is None and info.optional:
        return None
    wanted = _expectation(info, value)
    if wanted:
        raise error(f"{of + ': ' if of else ''}{info.name} is {value!r}; {wanted}.")
    return info.kind(value) if info.kind in (int, float) else value


def setting(name: str, value: Any) -> str:
    """Return an option with its value as the command line takes it, e.g. ``"dynamic=false"``."""
    return f"{name}={str(value).lower() if isinstance(value, bool) else value}"


def without_unread(infos: Iterable[OptionInfo], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return given values without those that others of them leave unread, e.g. beside one that a command forces."""
    unread = {info.name for info in infos if info.unread_with(given)}
    return {name: value for name, value in given.items() if name not in unread}


def described(kind: type) -> str:
    """Return numpydoc's ``Attributes`` of a dataclass of options."""
    lines = ["Attributes", "----------"]
    for info in options_of(kind):
        lines.append(f"{info.name} : {_type_words(info)}")
        lines.append("    " + " ".join(filter(None, (info.sentence, _range_sentence(info), info.unread, info.details))))
    return "\n".join(lines)


def _info(declared: Any, hint: Any) -> OptionInfo:
    inner, optional = _without_none(hint)
    choices = tuple(str(choice) for choice in get_args(inner)) if get_origin(inner) is Literal else ()
    default = declared.default
    if default is MISSING:
        default = None if declared.default_factory is MISSING else declared.default_factory()
    # a field without option() is an option without a sentence
    meta = {"help": "", **declared.metadata}
    kind = str if choices else (get_origin(inner) or inner)
    meta["title"] = meta.get("title") or declared.name.replace("_", " ").strip().capitalize()
    return OptionInfo(declared.name, kind, default, choices=choices, optional=optional, **meta)


def _without_none(hint: Any) -> tuple[Any, bool]:
    """Return a type without None, and whether None was in it."""
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    [inner] = [kind for kind in get_args(hint) if kind is not NoneType]
    return inner, True


def _expectation(info: OptionInfo, value: Any) -> str:
    """Return what was expected in place of a value; empty where the value will do."""
    if info.choices:
        return "" if value in info.choices else f"choose one of {', '.join(info.choices)}"
    if info.kind in (int, float):
        return _number_expectation(info, value)
    if isinstance(value, info.kind):
        return ""
    return f"expected {({bool: 'true or false', str: 'text'}).get(info.kind, 'names and values')}"


def _number_expectation(info: OptionInfo, value: Any) -> str:
    # bool is a subclass of int; numpy's numbers are Real and Integral, too
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        return "expected a number"
    if info.kind is int and not isinstance(value, Integral):
        return "expected a whole number"
    number = float(value)
    inside = (info.low is None or number >= info.low) and (info.high is None or number <= info.high)
    return "" if inside else f"expected {info.limits}"


def _type_words(info: OptionInfo) -> str:
    words = "{" + ", ".join(map(repr, info.choices)) + "}" if info.choices else info.kind.__name__
    return f"{words} or None, default {info.default!r}" if info.optional else f"{words}, default {info.default!r}"


def _range_sentence(info: OptionInfo) -> str:
    return f"{info.limits.capitalize()}." if info.limits else ""
