"""Methods that other packages bring, named by the entry point group ``voxtrace.methods``.

Only what the user has installed is imported: a bundle or a command line gives a name, which is looked up here. A
package that fails takes nothing along: its method is left out, and a sentence says why.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from importlib import metadata

from voxtrace.errors import MethodError
from voxtrace.method import Method
from voxtrace.safe_text import brief

GROUP = "voxtrace.methods"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # a word of the command line, and part of a folder's name

Offers = Mapping[str, Sequence[metadata.EntryPoint]]


def offered() -> Offers:
    """Return the entry points of all installed packages by the method's name; imports none of them."""
    found: dict[str, list[metadata.EntryPoint]] = {}
    seen: set[str] = set()  # a package that is found twice on the path counts once, as Python imports it
    for package in metadata.distributions():
        for entry in _entries(package):
            if (label := f"{(_about(entry, 'Name') or entry.value).lower()} {entry.name}") not in seen:
                seen.add(label)
                found.setdefault(entry.name, []).append(entry)
    return found


def _entries(package: metadata.Distribution) -> Sequence[metadata.EntryPoint]:
    try:
        if GROUP not in (package.read_text("entry_points.txt") or ""):
            return ()  # most packages: their metadata are not parsed
        return tuple(package.entry_points.select(group=GROUP))
    except Exception:  # the files of a broken installation: it offers nothing
        return ()


def load_offered(name: str, entries: Sequence[metadata.EntryPoint], built_in: Collection[str]) -> type[Method]:
    """Import the class of a method that other packages offer.

    Raises
    ------
    MethodError
        Nothing or something else can be imported, the name is taken, or two packages offer it.
    """
    packages = " and by ".join(map(_package, entries))
    if name.lower() in {taken.lower() for taken in built_in}:
        raise MethodError(
            f"the method {name!r} of {packages} is left out: VoxTrace has a method of that name; "
            "its package must give it another one."
        )
    if len(entries) > 1:
        raise MethodError(f"the method {name!r} is offered by {packages}, and neither is used; uninstall one of them.")
    try:
        return _checked(name, entries[0].load())
    except (Exception, SystemExit) as error:  # a stranger's module fails in any way
        reason = f"{type(error).__name__}: {brief(error)}".rstrip(".: ")
        raise MethodError(
            f"the method {name!r} of {packages} cannot be used ({reason}); update or uninstall that package."
        ) from error


def _checked(name: str, kind: object) -> type[Method]:
    if not _NAME.fullmatch(name):
        raise ValueError("a method's name has up to 64 letters, digits, dots, dashes and underscores")
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise TypeError("its entry point names no class that derives from voxtrace.Method")
    if kind.key != name:
        raise ValueError(f"its key is {kind.key!r}, which differs from the name of its entry point")
    kind().to_json()  # every option has a default, and nothing is left abstract
    return kind


def _package(entry: metadata.EntryPoint) -> str:
    """Return a package and its version in words, or what it offers where its own metadata are missing or damaged."""
    name = _about(entry, "Name")
    return f"{name} {_about(entry, 'Version')}".strip() if name else entry.value


def _about(entry: metadata.EntryPoint, what: str) -> str:
    try:
        return str(entry.dist.metadata[what] or "") if entry.dist is not None else ""
    except Exception:  # what an uninstall left behind: Python has no one error for it
        return ""
