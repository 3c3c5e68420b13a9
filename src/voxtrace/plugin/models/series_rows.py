"""The series of a DICOM folder as rows of the chooser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxtrace.io.dicom import Series
from voxtrace.plugin.models.passports import PassportLine, lines

NOTHING_TICKED = "Tick the series to open."


@dataclass(frozen=True)
class SeriesRow:
    """What the chooser shows of one series.

    Attributes
    ----------
    title
        Modality and description: ``MR · T1post``.
    details
        Number of images, size, spacing and orientation in words.
    remarks
        Its problems, most severe first.
    usable
        Whether it can be selected.
    ticked
        Whether it is selected at first.
    """

    title: str
    details: str
    remarks: tuple[PassportLine, ...] = ()
    usable: bool = True
    ticked: bool = False


@dataclass(frozen=True)
class SeriesChoice:
    """What can be done with the ticked series: a sentence, and which buttons are enabled."""

    sentence: str
    can_open: bool = False
    can_stack: bool = False


def rows_of(series: Sequence[Series]) -> tuple[SeriesRow, ...]:
    """Return a row for each series; the only usable one is ticked at first."""
    alone = sum(one.usable for one in series) == 1
    return tuple(_row(one, one.usable and alone) for one in series)


def series_choice(rows: Sequence[SeriesRow], ticked: Sequence[int]) -> SeriesChoice:
    """Return what can be done with ticked rows."""
    if not any(row.usable for row in rows):
        return SeriesChoice("None of these series can be opened; the reason is listed at each.")
    if not ticked:
        return SeriesChoice(NOTHING_TICKED)
    if len(ticked) == 1:
        return SeriesChoice(f"Opens {rows[ticked[0]].title}.", can_open=True)
    first = rows[ticked[0]].title
    return SeriesChoice(
        f"{len(ticked)} series: each as a scan of its own, or all as channels of one case, "
        f"resampled onto the grid of the first, {first}.",
        can_open=True,
        can_stack=True,
    )


def channel_names(series: Sequence[Series]) -> tuple[str, ...]:
    """Return a name for each series as a channel: its description, or its number; numbered where two are the same."""
    plain = [one.description or one.number or one.modality or "series" for one in series]
    return tuple(
        name if plain.count(name) == 1 else f"{name} {1 + plain[:index].count(name)}"
        for index, name in enumerate(plain)
    )


def _row(one: Series, ticked: bool) -> SeriesRow:
    title = " · ".join(filter(None, (one.modality, one.description or f"series {one.number}".rstrip())))
    remarks = lines([f for f in one.passport.findings if f.verdict != "fine"])
    return SeriesRow(title, _details(one), remarks, one.usable, ticked)


def _details(one: Series) -> str:
    spacing = [*one.pixel_spacing_mm[::-1], *([one.slice_distance_mm] if one.slice_distance_mm else [])]
    words = (
        f"{one.images} image{'s' if one.images != 1 else ''}",
        f"{one.columns} × {one.rows} pixels",
        " × ".join(f"{mm:.3g}" for mm in spacing) + " mm" if spacing else "spacing unknown",
        f"orientation {one.orientation}" if one.orientation else "orientation unknown",
    )
    return " · ".join(words)
