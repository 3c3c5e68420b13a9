"""A fault of a dataset: what was found where, what to do, and whether a copy can be written without it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Mending = Literal["", "leave out", "copy header", "re-map labels", "rename", "renumber", "not copied"]


@dataclass(frozen=True)
class Fault:
    """Something wrong with a dataset, or worth a look.

    Attributes
    ----------
    kind
        A word for it, e.g. ``damaged`` or ``grid``.
    case
        The case that has it; ``""`` for the dataset as a whole.
    what, remedy
        What was found, and what to do about it, each a sentence.
    mending
        What ``--fix`` does about it in the copy; ``""`` where a person must.
    level
        ``fault``: training is refused or learns something wrong. ``note``: nothing is changed; have a look.
    """

    kind: str
    case: str
    what: str
    remedy: str
    mending: Mending = ""
    level: Literal["fault", "note"] = "fault"

    def to_json(self) -> dict[str, Any]:
        """Return the fault as JSON values."""
        return asdict(self)


def note(kind: str, case: str, what: str, remedy: str, mending: Mending = "") -> Fault:
    """Return something worth a look."""
    return Fault(kind, case, what, remedy, mending, "note")
