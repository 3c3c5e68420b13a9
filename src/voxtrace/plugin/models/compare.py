"""Results side by side: which ones, and the table of their scores."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from voxtrace.metrics import Scores
from voxtrace.trace.disagreement.words import ml_text

TWO_NEEDED = "Tick two results or more of one scan."
EDITED = "The labels were changed. Press Score to fill the table again."
NOTHING_TO_COMPARE = "Nothing to compare yet. Segment a scan with two models, or open label maps of it."
TOLERANCE_MM = 1.0
MEAN = "mean"


@dataclass(frozen=True)
class ResultChoice:
    """A result that can be compared: the unique id of its layer, its name, and whether it is ticked."""

    id: str
    name: str
    ticked: bool


@dataclass(frozen=True)
class RunnableModel:
    """A model that can be run on the scan: its name, what it finds, and why not where it cannot (else ``""``)."""

    name: str
    finds: str
    refusal: str = ""


@dataclass(frozen=True)
class ScoreRow:
    """The agreement of one label of a result with the reference; None where there is none.

    Attributes
    ----------
    result, label
        Names; the label is "mean" for the mean over labels.
    dice, nsd
        0 to 1.
    hd95_mm
        In mm; infinite where one side lacks the label.
    volume_ml, reference_ml
        In mL.
    """

    result: str
    label: str
    dice: float | None = None
    nsd: float | None = None
    hd95_mm: float | None = None
    volume_ml: float | None = None
    reference_ml: float | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as it is shown, one text for each of :data:`COLUMNS`."""
        fraction = ("–" if v is None else f"{v:.3f}" for v in (self.dice, self.nsd))
        hd95 = "–" if self.hd95_mm is None else "∞" if math.isinf(self.hd95_mm) else f"{self.hd95_mm:.1f}"
        volumes = ("–" if v is None else ml_text(v).removesuffix(" mL") for v in (self.volume_ml, self.reference_ml))
        return (self.result, self.label, *fraction, hd95, *volumes)

    @property
    def values(self) -> tuple[str | float | None, ...]:
        """The row as it is sorted and copied."""
        return (
            self.result,
            self.label,
            self.dice,
            self.nsd,
            self.hd95_mm,
            self.volume_ml,
            self.reference_ml,
        )


COLUMNS = ("Result", "Label", "Dice", "NSD", "HD95", "mL", "Ref. mL")
EXPLAINED = (
    "The layer.",
    "The structure; the mean is over all of them.",
    "Overlap with the reference, 0 to 1.",
    f"Fraction of both surfaces within {TOLERANCE_MM:g} mm of the other, 0 to 1.",
    "95th percentile of the distance of the surfaces in mm.",
    "Volume in mL.",
    "Volume in the reference in mL.",
)
_NAMES = ("result", "label", "dice", f"nsd_{TOLERANCE_MM:g}mm", "hd95_mm", "volume_ml", "reference_ml")
_BEST_LAST = (4,)  # columns in which less is better


def score_rows(result: str, scores: Sequence[Scores]) -> tuple[ScoreRow, ...]:
    """Return a row for each label that either side has, and before them one with the means."""
    rows = tuple(
        ScoreRow(result, s.name, s.dice, s.nsd, s.hd95_mm, s.volume_ml, s.reference_ml)
        for s in scores
        if s.volume_ml > 0 or s.reference_ml > 0
    )
    return (_mean(result, rows), *rows) if len(rows) > 1 else rows


def volume_rows(result: str, volumes_ml: Sequence[tuple[str, float]]) -> tuple[ScoreRow, ...]:
    """Return rows of volumes alone, where there is no reference."""
    return tuple(ScoreRow(result, name, volume_ml=ml) for name, ml in volumes_ml)


def ordered(rows: Sequence[ScoreRow], column: int, *, descending: bool | None = None) -> tuple[ScoreRow, ...]:
    """Return rows by a column, the best first where a number says so; what is unknown comes last.

    >>> a, b = ScoreRow("a", "liver", dice=0.8), ScoreRow("b", "liver", dice=0.9)
    >>> [row.result for row in ordered((a, b), 2)]
    ['b', 'a']
    """
    known = [row for row in rows if row.values[column] is not None]
    unknown = [row for row in rows if row.values[column] is None]
    if descending is None:
        descending = column > 1 and column not in _BEST_LAST
    return (*sorted(known, key=lambda row: row.values[column], reverse=descending), *unknown)  # type: ignore[arg-type,return-value]


def scored(rows: Sequence[ScoreRow]) -> str:
    """Return a sentence about the table: the best result, where there is a reference."""
    means = ordered([row for row in rows if row.label == MEAN and row.dice is not None], 2)
    if len(means) < 2:
        return "The table is below; a click on a heading sorts it."
    return f"{means[0].result} is nearest to the reference: mean Dice {means[0].cells[2]}."


def as_csv(rows: Sequence[ScoreRow]) -> str:
    """Return the table as comma-separated values with a header; unknown numbers are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_NAMES)
    for row in rows:
        writer.writerow(["" if value is None else value for value in row.values])
    return text.getvalue()


def shape_of(count: int, canvas_px: tuple[float, float]) -> tuple[int, int]:
    """Return rows and columns in which so many square pictures are largest on a canvas of height × width.

    >>> [shape_of(n, (800, 800)) for n in (2, 3, 4, 5)]
    [(1, 2), (2, 2), (2, 2), (2, 3)]
    >>> shape_of(3, (300, 900)), shape_of(2, (900, 500))
    ((1, 3), (2, 1))
    """
    shapes = [(rows, math.ceil(count / rows)) for rows in range(1, count + 1)]
    return max(shapes, key=lambda shape: min(canvas_px[0] / shape[0], canvas_px[1] / shape[1]))


def _mean(result: str, rows: Sequence[ScoreRow]) -> ScoreRow:
    def mean(values: Sequence[float | None]) -> float | None:
        finite = [v for v in values if v is not None and math.isfinite(v)]
        return sum(finite) / len(finite) if finite else None

    return ScoreRow(
        result,
        MEAN,
        mean([row.dice for row in rows]),
        mean([row.nsd for row in rows]),
        mean([row.hd95_mm for row in rows]),
    )
