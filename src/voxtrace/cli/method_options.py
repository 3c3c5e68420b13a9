"""A method's options on the command line: ``--set name=value``, or ``--name value`` as a flag of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from voxtrace.errors import MethodError, UsageError

if TYPE_CHECKING:
    from voxtrace.method import Method, OptionInfo

_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def method_options(kind: type[Method], settings: Sequence[str], flags: Sequence[str]) -> dict[str, Any]:
    """Return a method's options, each in its declared type.

    Parameters
    ----------
    kind
        The method.
    settings
        ``name=value``, from ``--set``; ``none`` unsets an option that may be unset.
    flags
        Words of the command line that are no declared option: ``--name value``, ``--name=value``, ``--name`` or
        ``--no-name``, with ``-`` for ``_``.

    Raises
    ------
    MethodError
        A name that the method does not have, or a value of another type.
    UsageError
        Words that are neither.
    """
    infos = {info.name: info for info in kind.options()}
    found: dict[str, Any] = {}
    for name, text in [*_settings(settings), *_flags(flags, infos)]:
        if name not in infos:
            raise MethodError(f"{kind.key} has no option {name!r}; it has {', '.join(infos) or 'none'}.")
        found[name] = _typed(infos[name], text)
    return found


def _settings(settings: Sequence[str]) -> Iterator[tuple[str, str]]:
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting!r} has no value; expected --set name=value.")
        yield name.strip().replace("-", "_"), value.strip()


def _flags(words: Sequence[str], infos: dict[str, OptionInfo]) -> Iterator[tuple[str, str]]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise UsageError(f"{word!r} is not expected here; see `voxtrace train --help`.")
        # dashes are replaced in the name only, the value keeps its own
        name, equals, value = word[2:].replace("-", "_", word.partition("=")[0][2:].count("-")).partition("=")
        if equals:
            yield name, value
        # switches take no value: --name and --no-name
        elif _is_switch(name, infos):
            yield name, "true"
        elif _is_switch(name.removeprefix("no_"), infos):
            yield name.removeprefix("no_"), "false"
        elif name in infos and rest:
            yield name, rest.pop(0)
        else:
            trouble = "needs a value" if name in infos else "is neither a flag of train nor an option of the method"
            raise UsageError(f"{word} {trouble}; see `voxtrace train --help` and `voxtrace methods`.")


def _is_switch(name: str, infos: dict[str, OptionInfo]) -> bool:
    return name in infos and infos[name].kind is bool


def _typed(info: OptionInfo, text: str) -> Any:
    if info.optional and text.lower() == "none":
        return None
    try:
        if info.kind is bool:
            return _truth(text)
        return info.kind(text)
    except ValueError as error:
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}.get(info.kind, info.kind.__name__)
        raise MethodError(f"option {info.name} is {text!r}; expected {wanted}.") from error


def _truth(text: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise ValueError(text)
    return text.lower() in _YES
