"""What a ledger says of how far a case's answer can be trusted: intervals, what is usual, expected Dice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voxtrace.fit import Fit, case_features, expected_dice, familiarity, interval_ml

if TYPE_CHECKING:
    from voxtrace.trace import Trace


def trust_of(record: Mapping[str, Any], trace: Trace, found: Fit) -> dict[str, Any]:
    """Return, as fields of a ledger's entry, what a bundle's record says of a prediction with it.

    ``intervals_ml`` (label name -> low and high), ``usual`` (a sentence) and ``expected_dice``; those that the bundle
    has no measures for are left out, all of them where the bundle does not fit the scan: they hold for cases like
    those of validation.
    """
    told: dict[str, Any] = {}
    if found.verdict == "does not fit":
        return told
    volumes = trace.summary()[-1].get("volume_ml", {})
    intervals = {trace.names[value]: interval_ml(record, value, ml) for value, ml in volumes.items()}
    if known := {name: [round(v, 4) for v in ends] for name, ends in intervals.items() if ends is not None}:
        told["intervals_ml"] = known
    if record.get("expected"):
        features = case_features(trace)
        usual, dice = familiarity(record, features), expected_dice(record, features)
        told |= {"usual": usual.sentence} if usual else {}
        told |= {"expected_dice": dice.dice} if dice else {}
    return told
