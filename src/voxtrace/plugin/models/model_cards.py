"""Models as cards: what each finds, how good it is, what it will take on this scan, and whether it fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtrace import palette
from voxtrace.fit import Fit
from voxtrace.fit.model_facts import NONE_HELD_BACK, dice_words, is_non_commercial, recorded_dice
from voxtrace.fit.step_choice import best_words, step_words
from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.volume import Triple

MARKS: Mapping[str, str] = {"fits": "✓ fits", "check": "⚠ check", "does not fit": "✗ does not fit", "": "…"}
_RANK: Mapping[str, int] = {"fits": 0, "check": 1, "": 2, "does not fit": 3}
MOST_NAMES = 6  # labels that a card lists


@dataclass(frozen=True)
class ModelVerdict:
    """What is known of a model on the chosen scan.

    Attributes
    ----------
    fit
        Whether it fits, with reasons.
    cost
        Seconds and memory in words; ``""`` where they are not known.
    seconds
        Expected seconds; None where they are not known.
    """

    fit: Fit
    cost: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class ModelCard:
    """A model in the picker.

    Attributes
    ----------
    name, finds, licence
        What it is called, what it segments, and its licence.
    quality
        Mean Dice of its validation cases, with the 95 % interval and their number; ``""`` where it was not measured.
    cost
        Seconds and memory on this scan; ``""`` where they are not known.
    verdict
        ``fits``, ``check``, ``does not fit``, or ``""`` while nothing is known.
    reasons
        A sentence for each reason of the verdict, with what to do.
    demonstration
        Whether it was trained on made-up scans.
    non_commercial
        Whether its licence, or that of its data, is for non-commercial use alone.
    colours
        Of its first labels, for its picture.
    method
        Its method and number of steps.
    steps, best
        Which step was best on validation and how many are taken, in a sentence and in short; ``""`` where that was not
        looked for.
    """

    name: str
    finds: str
    licence: str = ""
    quality: str = ""
    cost: str = ""
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    demonstration: bool = False
    non_commercial: bool = False
    colours: tuple[Triple, ...] = field(default=())
    method: str = ""
    steps: str = ""
    best: str = ""

    @property
    def mark(self) -> str:
        """The verdict with its sign."""
        return MARKS[self.verdict]

    @property
    def how_good(self) -> str:
        """Its Dice, and which step was best."""
        return " · ".join(filter(None, (self.quality or "quality not measured", self.best)))

    @property
    def takes(self) -> str:
        """What it takes on this scan, whom it is for, its method and its licence, in one line."""
        limits = ("demonstration" if self.demonstration else "", "non-commercial" if self.non_commercial else "")
        return " · ".join(filter(None, (self.cost, *limits, self.method, self.licence)))

    @property
    def tooltip(self) -> str:
        """Everything on the card and each reason, a line each."""
        first, quality = f"{self.name} finds {self.finds}.", self.quality or "Its quality was not measured."
        verdict = self.mark if self.verdict else ""
        return "\n".join(filter(None, (first, quality, self.steps, self.takes, verdict, *self.reasons)))


def is_demonstration(record: Mapping[str, Any]) -> bool:
    """Return whether a bundle was trained on made-up scans alone."""
    return bool(record.get("demonstration", False))


def model_card(known: KnownBundle, verdict: ModelVerdict | None, method: str = "") -> ModelCard:
    """Return the card of a model; ``verdict`` is None while it is not known, ``method`` names method and steps."""
    reasons = verdict.fit.reasons if verdict else ()
    return ModelCard(
        name=known.name,
        finds=finds(tuple(known.labels.values())),
        licence=str(known.record.get("licence", "")),
        quality=quality(known.record),
        cost=verdict.cost if verdict else "",
        verdict=verdict.fit.verdict if verdict else "",
        reasons=tuple(_reason(reason.sentence, reason.remedy) for reason in reasons),
        demonstration=is_demonstration(known.record),
        non_commercial=is_non_commercial(known.record),
        colours=tuple(palette.colours(list(known.labels)[:4]).values()),
        method=method or known.method,
        steps=step_words(known.record, "{of} under Steps gives all"),
        best=best_words(known.record),
    )


def _reason(sentence: str, remedy: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:]}{f': {remedy}' if remedy else ''}."


def finds(labels: Sequence[str]) -> str:
    """Return what a model segments, the first labels by name.

    >>> finds(["liver", "spleen"])
    'liver, spleen'
    >>> finds([f"rib {n}" for n in range(1, 25)])
    'rib 1, rib 2, rib 3, rib 4, rib 5, rib 6 and 18 more'
    """
    several = len(labels) > MOST_NAMES + 1
    named = ", ".join(labels[:MOST_NAMES] if several else labels)
    return f"{named} and {len(labels) - MOST_NAMES} more" if several else named


def quality(record: Mapping[str, Any]) -> str:
    """Return the mean Dice of a bundle's validation cases, with interval and number; or that it has none, where known.

    >>> quality({"metrics": {"validation": {"cases": 47, "dice": {"mean": 0.8807, "ci95": [0.8723, 0.8891]}}}})
    'Dice 0.88 (0.87–0.89), 47 cases'
    >>> quality({"provenance": {"held_back": []}})
    'no case held back'
    """
    validation = record.get("metrics", {}).get("validation", {})
    dice = validation.get("dice") if isinstance(validation, Mapping) else None
    if not isinstance(dice, Mapping) or dice.get("mean") is None:
        return NONE_HELD_BACK if dice_words(record) == NONE_HELD_BACK else ""
    low_high = dice.get("ci95")
    interval = f" ({low_high[0]:.2f}–{low_high[1]:.2f})" if low_high else ""
    cases = validation.get("cases")
    return f"Dice {dice['mean']:.2f}{interval}" + (f", {cases} cases" if cases else "")


def cost_words(seconds: float | None, gigabytes: float | None) -> str:
    """Return expected time and memory in words.

    >>> cost_words(84.0, 1.234)
    'about 1 min 25 s, 1.2 GB'
    >>> cost_words(None, None)
    ''
    """
    time = f"about {time_words(seconds)}" if seconds is not None else ""
    return ", ".join(filter(None, (time, f"{gigabytes:.1f} GB" if gigabytes is not None else "")))


def time_words(seconds: float) -> str:
    """Return a time as a person says it, rounded to what an estimate can know.

    >>> [time_words(s) for s in (0.4, 7.2, 43.0, 84.0, 4000.0)]
    ['1 s', '7 s', '45 s', '1 min 25 s', '1 h 7 min']
    """
    whole = max(1, round(seconds))
    if whole > 10:
        whole = 5 * round(whole / 5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, rest = divmod(round(whole / 60), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def in_order(bundles: Sequence[KnownBundle], verdicts: Mapping[Path, ModelVerdict]) -> tuple[KnownBundle, ...]:
    """Return the bundles as the picker shows them: those that fit first, real ones before demonstrations.

    Among equals those that answer in steps, which can be gone through, and then those with the better Dice.
    """

    def rank(known: KnownBundle) -> tuple[int, bool, bool, float]:
        verdict = verdicts.get(known.path)
        at_once = int((known.record.get("cost") or {}).get("steps", 1)) < 2
        fits = _RANK[verdict.fit.verdict if verdict else ""]
        return fits, is_demonstration(known.record), at_once, -recorded_dice(known.record)

    return tuple(sorted(bundles, key=rank))


def preselected(bundles: Sequence[KnownBundle], verdicts: Mapping[Path, ModelVerdict]) -> KnownBundle | None:
    """Return the model to offer unasked: the first that fits; None where none does.

    A demonstration fits made-up scans alone, and stands after every real model that fits.
    """
    return next((known for known in in_order(bundles, verdicts) if _fits(verdicts.get(known.path))), None)


def _fits(verdict: ModelVerdict | None) -> bool:
    return verdict is not None and verdict.fit.verdict == "fits"
