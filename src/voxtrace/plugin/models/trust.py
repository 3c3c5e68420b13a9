"""How far a result can be trusted, from what its model's validation measured: words, and an interval of each volume."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from voxtrace.fit import familiarity, interval_ml
from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.panel_state import Level
from voxtrace.trace import OTHERWISE, ExpectedDice, Provenance, Trace

Record = Mapping[str, Any]
IntervalOf = Callable[[int | str, float], tuple[float, float] | None]


@dataclass(frozen=True)
class Trust:
    """One line on whether a result came about as those of validation did; ``"done"`` if so, else ``"error"``."""

    sentence: str
    level: Level


def record_of(bundles: Iterable[KnownBundle], trace: Trace | None) -> Record:
    """Return the record of the model that made a trace; nothing where what validation measured does not hold.

    That is where the model is unknown or unfit, where several voted, and where it predicted with other options.
    """
    if trace is None or trace.bundles_voted:
        return {}
    about = trace.provenance
    if about.fit.startswith("does not fit") or about.expected_dice == OTHERWISE:
        return {}
    return next((known.record for known in bundles if _made(known, about)), {})


def _made(known: KnownBundle, about: Provenance) -> bool:
    """Return whether a bundle made a trace, by name and, where both state it, by the hash of the weights.

    A bundle that was trained anew has the name of the one before.
    """
    same = not known.weights_sha256 or about.weights_sha256 in ("", known.weights_sha256)
    return same and (known.predicts_as or known.name) == about.bundle


def interval_of(record: Record) -> IntervalOf:
    """Return a function that gives the interval, or None, for a label's value or a region's name and its mL."""
    return lambda label, ml: interval_ml(record, label, ml)


def trust(record: Record, features: Mapping[str, float], dice: ExpectedDice | None = None) -> Trust | None:
    """Return what the features of a trace tell, and the Dice to expect where the trace states one.

    None where the model was not validated on enough cases.
    """
    usual = familiarity(record, features)
    if usual is None:
        return None
    words = usual.sentence[:1].upper() + usual.sentence[1:]
    return Trust(f"{words} · {dice.sentence}" if dice is not None else words, "done" if usual.is_like else "error")
