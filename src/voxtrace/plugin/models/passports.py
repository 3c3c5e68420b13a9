"""A geometry passport as text for the window: a headline, and a line for each finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxtrace.passport import Finding, Passport, Verdict
from voxtrace.volume import Volume

MARKS: dict[Verdict, str] = {"fine": "✓", "corrected": "⚠", "refused": "✗"}


@dataclass(frozen=True)
class PassportLine:
    """One finding: its verdict, what was found, and the remedy, ``""`` where none was needed."""

    verdict: Verdict
    text: str
    remedy: str = ""

    @property
    def mark(self) -> str:
        """The verdict as one character."""
        return MARKS[self.verdict]


@dataclass(frozen=True)
class PassportCard:
    """What the panel shows of a scan's geometry passport.

    Attributes
    ----------
    headline
        The verdict in two or three words, visible while the section is collapsed.
    verdict
        The most severe verdict of all lines.
    grid
        Number and size of the voxels along the file's axes, and the directions of these axes.
    lines
        The findings, most severe first.
    """

    headline: str
    verdict: Verdict
    grid: str = ""
    lines: tuple[PassportLine, ...] = ()


def card(volume: Volume) -> PassportCard:
    """Return what to show of a volume's passport."""
    return PassportCard(
        headline(volume.passport), volume.passport.verdict, grid_words(volume), lines(volume.passport.findings)
    )


def headline(passport: Passport) -> str:
    """Return the verdict in a few words.

    >>> headline(Passport((Finding("tilt", "corrected", "12.0°", "straightened"), Finding("units", "fine", "mm"))))
    'Geometry: 1 correction'
    """
    counts = {verdict: sum(f.verdict == verdict for f in passport.findings) for verdict in MARKS}
    if not passport.findings:
        return "Geometry: not checked"
    if counts["refused"]:
        return "Geometry: refused"
    if counts["corrected"]:
        return f"Geometry: {counts['corrected']} correction{'s' if counts['corrected'] > 1 else ''}"
    return "Geometry: fine"


def lines(findings: Sequence[Finding]) -> tuple[PassportLine, ...]:
    """Return a line for each finding, the most severe first, otherwise in the order of the checks."""
    order = list(MARKS)[::-1]
    ranked = sorted(findings, key=lambda f: order.index(f.verdict))
    return tuple(PassportLine(f.verdict, f"{f.what.capitalize()}: {f.found}", f.remedy) for f in ranked)


def grid_words(volume: Volume) -> str:
    """Return the size of the file's grid in words: ``512 × 512 × 20 voxels of 0.977 × 0.977 × 2 mm, axes L P S``."""
    grid = volume.geometry.grid
    size, spacing = (
        " × ".join(f"{v:.3g}" if i else f"{v}" for v in part) for i, part in enumerate((grid.size, grid.spacing_mm))
    )
    return f"{size} voxels of {spacing} mm, axes towards {', '.join(grid.axis_codes)}"
