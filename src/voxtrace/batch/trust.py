"""What a ledger says of how far a case's answer can be trusted: intervals, what is usual, expected Dice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voxtrace.fit import Fit, case_features, familiarity, interval_ml
from voxtrace.trace import OTHERWISE

if TYPE_CHECKING:
    from voxtrace.trace import Trace


def trust_of(record: Mapping[str, Any], trace: Trace, found: Fit) -> dict[str, Any]:
    """Return, as fields of a ledger's entry, what a bundle's record says of a prediction with it.

    ``intervals_ml`` (name of a label or a region -> low and high), ``usual`` (a sentence), ``expected_dice`` and
    ``predicted_dice``; of these only the last, which says why nothing is known, where the bundle has no measures, does
    not fit the scan, or predicted with other options, and where several bundles voted: they hold for cases like those
    of validation.
    """
    dice = trace.provenance.expected_dice
    told: dict[str, Any] = {"predicted_dice": dice.to_json()} if dice else {}
    if found.verdict == "does not fit" or dice == OTHERWISE or trace.bundles_voted:
        return told
    last = trace.summary()[-1]
    intervals = {trace.names[value]: interval_ml(record, value, ml) for value, ml in last.get("volume_ml", {}).items()}
    intervals |= {name: interval_ml(record, name, ml) for name, ml in last.get("region_ml", {}).items()}
    if known := {name: [round(v, 4) for v in ends] for name, ends in intervals.items() if ends is not None}:
        told["intervals_ml"] = known
    if record.get("expected"):
        usual = familiarity(record, case_features(trace))
        told |= {"usual": usual.sentence} if usual else {}
    return told | ({"expected_dice": dice.dice} if dice and dice.dice is not None else {})
