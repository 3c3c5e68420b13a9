"""The review of places on which answers differ: what was decided, what is left, and the rows that show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from voxtrace.trace.disagreement import Disagreement, Place
from voxtrace.trace.disagreement.words import ml_text
from voxtrace.volume import Triple

REVIEW_KEY = "voxtrace_review"  # in a layer's metadata: what was decided, for its provenance
Decision = Literal["open", "accepted", "repainted", "replaced"]

NOTHING_OPEN = "Nothing to look at yet. Segment a scan, or select a result in the layer list."
NOT_COMPARABLE = (
    "This result is one answer of one network: there is nothing to compare it with. Run it with several seeds or keep "
    "every step, or compare two results in the Compare dock."
)
_DONE_FRACTION = 0.1  # of the volume of all places: small cases end by this, large ones by the limit in mL
_MARKS: Mapping[Decision, str] = {
    "open": "",
    "accepted": "✓",
    "repainted": "✎",
    "replaced": "⇄",
}


@dataclass(frozen=True)
class ListedPlace:
    """A place in the list.

    Attributes
    ----------
    rank
        Counted from 1.
    ml_text
        The volume that differs.
    colour, label
        Of the label that the place is about.
    change
        What is shown and what the other side says: ``"liver ↔ background"``.
    sentence
        What disagrees.
    decision, state
        What was decided, and its mark.
    """

    rank: int
    ml_text: str
    colour: Triple
    label: str
    change: str
    sentence: str
    decision: Decision
    state: str


@dataclass(frozen=True, eq=False)
class Review:
    """The places of one result, and what a person decided about each.

    Attributes
    ----------
    found
        The places.
    decisions
        One for each place.
    current
        The place on screen, counted from 0; None before the first.
    history
        The places in the order in which they were decided.
    done_ml
        The review is done when less than this is left.
    """

    found: Disagreement
    decisions: tuple[Decision, ...]
    current: int | None = None
    history: tuple[int, ...] = ()
    done_ml: float = 0.5

    @property
    def place(self) -> Place | None:
        """The place on screen."""
        return None if self.current is None else self.found.places[self.current]

    @property
    def left_ml(self) -> float:
        """The volume of the places without a decision."""
        pairs = zip(self.found.places, self.decisions, strict=True)
        return sum(place.ml for place, decision in pairs if decision == "open")

    @property
    def limit_ml(self) -> float:
        """Below this the review is done."""
        return min(self.done_ml, _DONE_FRACTION * self.found.places_ml)

    @property
    def decided(self) -> int:
        """How many places have a decision."""
        return sum(decision != "open" for decision in self.decisions)

    @property
    def is_done(self) -> bool:
        """Whether every place is decided, or so little is left that it may stay as it is."""
        return self.decided == len(self.decisions) or (self.decided > 0 and self.left_ml < self.limit_ml)


def start(found: Disagreement, done_ml: float) -> Review:
    """Return the review of fresh places."""
    undecided: Decision = "open"
    return Review(found, (undecided,) * len(found.places), done_ml=done_ml)


def following(review: Review) -> int | None:
    """Return the next place without a decision after the one on screen, from the first again; None without any."""
    count = len(review.decisions)
    start = 0 if review.current is None else review.current + 1
    return next((i % count for i in range(start, start + count) if review.decisions[i % count] == "open"), None)


def preceding(review: Review) -> int | None:
    """Return the place before the one on screen, whatever was decided about it; None before the first."""
    return review.current - 1 if review.current else None


def at(review: Review, place: int | None) -> Review:
    """Return the review with another place on screen."""
    return replace(review, current=place)


def decide(review: Review, decision: Decision) -> Review:
    """Return the review with a decision about the place on screen."""
    if review.current is None:
        return review
    decisions = list(review.decisions)
    decisions[review.current] = decision
    history = (*(i for i in review.history if i != review.current), review.current)
    return replace(review, decisions=tuple(decisions), history=history)


def undone(review: Review) -> Review:
    """Return the review without its last decision, and with its place on screen."""
    if not review.history:
        return review
    last = review.history[-1]
    decisions = list(review.decisions)
    decisions[last] = "open"
    return replace(review, decisions=tuple(decisions), history=review.history[:-1], current=last)


def rows(review: Review, colours: Mapping[int, Triple]) -> tuple[ListedPlace, ...]:
    """Return a row for each place."""
    name_of = review.found.answers.name_of
    return tuple(
        ListedPlace(
            rank=i + 1,
            ml_text=ml_text(place.ml),
            colour=colours.get(place.concerned, (1.0, 1.0, 1.0)),
            label=name_of(place.concerned),
            change=f"{name_of(place.label)} ↔ {name_of(place.other)}",
            sentence=place.sentence + (" · thin" if place.is_thin else ""),
            decision=decision,
            state=_MARKS[decision],
        )
        for i, (place, decision) in enumerate(zip(review.found.places, review.decisions, strict=True))
    )


def progress(review: Review) -> str:
    """Return how far the review is: ``"3 of 14 places · 0.80 of 12.0 mL left"``."""
    count = len(review.decisions)
    if not count:
        return f"Nothing to look at: {review.found.answers.title} agree, but for spots too small to matter."
    line = f"{review.decided} of {count} places · {_of(review)} left"
    if not review.is_done:
        return line
    return f"{line} · " + (
        "every place is decided: done" if review.left_ml == 0 else f"that is under {ml_text(review.limit_ml)}: done"
    )


def _of(review: Review) -> str:
    return f"{ml_text(review.left_ml).removesuffix(' mL')} of {ml_text(review.found.places_ml)}"


def calm(found: Disagreement) -> str:
    """Return what the list leaves out."""
    if not found.calm_count:
        return "everything else is the same in all of them."
    spots = "1 smaller spot is" if found.calm_count == 1 else f"{found.calm_count:,} smaller spots are"
    return f"{spots} left alone ({ml_text(found.calm_ml)})."


def undecided(found: Disagreement, most: int = 4) -> str:
    """Return how much of each label is undecided, a line each."""
    lines = [one.sentence for one in found.labels[:most]]
    more = len(found.labels) - most
    return "\n".join(lines + ([f"and {more} more label{'s' * (more > 1)}"] if more > 0 else []))


def record(review: Review) -> dict[str, Any]:
    """Return what was reviewed, for the provenance: what was compared, decisions by kind, mL left."""
    counts = {kind: review.decisions.count(kind) for kind in ("accepted", "repainted", "replaced", "open")}
    return {
        "compared": review.found.answers.title,
        "places": len(review.decisions),
        **counts,
        "left_ml": round(review.left_ml, 3),
        "sentence": receipt(review),
    }


def review_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{"review": …}`` where the places of a layer with this metadata were reviewed, else nothing."""
    return {"review": metadata[REVIEW_KEY]} if REVIEW_KEY in metadata else {}


def receipt(review: Review) -> str:
    """Return what was decided in one line, ``""`` before the first decision.

    E.g. "looked at 5 seeds, 14 places: 9 accepted, 2 repainted; 0.80 of 12.0 mL left".
    """
    counts = [(review.decisions.count(kind), word) for kind, word in _TOLD]
    told = [f"{n} {word}" for n, word in counts if n]
    if not told:
        return ""
    left = f"{_of(review)} left"
    return f"looked at {review.found.answers.title}, {len(review.decisions)} places: {', '.join(told)}; {left}"


_TOLD: tuple[tuple[Decision, str], ...] = (
    ("accepted", "accepted"),
    ("repainted", "repainted"),
    ("replaced", "set to the other side"),
)


def zoom_for(extent_mm: tuple[float, float], canvas_px: tuple[float, float], fraction: float = 1 / 3) -> float:
    """Return the zoom (pixels per mm) at which an area fills a fraction of the canvas; never closer than to 25 mm.

    >>> zoom_for((30.0, 60.0), (600, 900))
    5.0
    """
    return min(fraction * px / max(mm, 25.0) for mm, px in zip(extent_mm, canvas_px, strict=True))
