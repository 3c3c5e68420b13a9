"""FitReason: one reason of a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["fits", "check", "does not fit"]
SEVERITY: dict[Severity, int] = {"fits": 0, "check": 1, "does not fit": 2}


@dataclass(frozen=True)
class FitReason:
    """One thing that was compared.

    Attributes
    ----------
    severity
        ``fits`` (a note), ``check`` or ``does not fit``.
    sentence
        What was found and what was expected, with units, without a capital or a full stop.
    remedy
        What to do; ``""`` where nothing helps.
    """

    severity: Severity
    sentence: str
    remedy: str = ""


def listed(names: tuple[str, ...]) -> str:
    """Return names as they stand in a sentence: ``flair, t1 and t2``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
