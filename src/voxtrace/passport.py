"""The geometry passport of a volume: what was checked while it was read, each with a verdict.

A finding is *fine* (also when it is unusual, such as an oblique scan), *corrected* (something was wrong, and the remedy
was applied: a sheared stack straightened, a duplicate slice dropped) or *refused* (the volume cannot be used as it is,
and the remedy says what to do). A volume that could be read has no refused finding; a series in a chooser may have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["fine", "corrected", "refused"]
_SEVERITY: dict[Verdict, int] = {"fine": 0, "corrected": 1, "refused": 2}


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes
    ----------
    what
        A word or two: ``orientation``, ``obliquity``, ``tilt``, ``missing slices``, ``duplicates``, ``units`` …
    verdict
        ``fine``, ``corrected`` or ``refused``.
    found
        What was found, with numbers and units: ``tilted by 12.0°``.
    remedy
        What was done (corrected), or what to do (refused); ``""`` when fine.
    """

    what: str
    verdict: Verdict
    found: str
    remedy: str = ""

    @property
    def sentence(self) -> str:
        """The finding as one line: ``tilt: 12.0°; slices were shifted back onto an upright grid``."""
        return f"{self.what}: {self.found}" + (f"; {self.remedy}" if self.remedy else "")


MADE_UP = Finding("origin", "fine", "a made-up scan drawn by VoxTrace; no patient was scanned")
MADE_UP_DESCRIPTION = "VoxTrace phantom: a made-up scan, no patient"  # in the header of a NIfTI file


@dataclass(frozen=True)
class Passport:
    """Findings about one volume or series, in the order of the checks.

    Examples
    --------
    >>> passport = Passport((Finding("tilt", "corrected", "12.0°", "slices were shifted back"),))
    >>> passport.verdict, passport.notes
    ('corrected', ('tilt: 12.0°; slices were shifted back',))
    """

    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The most severe verdict; ``fine`` without findings."""
        return max((f.verdict for f in self.findings), key=_SEVERITY.__getitem__, default="fine")

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each finding that is not fine."""
        return tuple(f.sentence for f in self.findings if f.verdict != "fine")

    def __add__(self, other: Iterable[Finding] | Passport) -> Passport:
        """Return both's findings, this one's first."""
        more = other.findings if isinstance(other, Passport) else tuple(other)
        return Passport(self.findings + more)

    def as_json(self) -> list[dict[str, str]]:
        """Return the findings as JSON values."""
        return [asdict(finding) for finding in self.findings]

    @staticmethod
    def from_json(values: Iterable[Mapping[str, Any]]) -> Passport:
        """Return the passport that :meth:`as_json` described.

        Raises
        ------
        ValueError, TypeError
            A finding is not as that writes it.
        """
        findings = tuple(Finding(**value) for value in values)
        if not all(finding.verdict in _SEVERITY for finding in findings):
            raise ValueError(f"a finding has a verdict other than {', '.join(_SEVERITY)}")
        return Passport(findings)
