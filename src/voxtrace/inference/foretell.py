"""The Dice to expect of an answer, written into its trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from voxtrace.bundle import Bundle
from voxtrace.fit import case_features, expected_dice
from voxtrace.method import Method
from voxtrace.trace import ExpectedDice, Trace
from voxtrace.trace.files import write_record

SEVERAL = ExpectedDice(unknown="several answers were combined, and each model was validated alone")
_OTHERWISE = ExpectedDice(unknown="it was predicted with other options, or in a part of the scan, not as in validation")


def with_expected_dice(
    trace: Trace, bundles: Sequence[Bundle], method: Method, folder: Path | None = None, region: bool = False
) -> Trace:
    """Return the trace with the Dice to expect in its provenance; where it lies in a folder, it is written there, too.

    Parameters
    ----------
    method
        As it ran; with other options than the bundle's nothing is known.
    region
        Whether only a part of the scan was segmented.
    """
    found = _expected(trace, bundles, method, region)
    told = replace(trace, provenance=replace(trace.provenance, expected_dice=found))
    if folder is not None:
        write_record(told.record(), folder)
    return told


def _expected(trace: Trace, bundles: Sequence[Bundle], method: Method, region: bool) -> ExpectedDice:
    if len(bundles) > 1:
        return SEVERAL
    if region or method != bundles[0].method:
        return _OTHERWISE
    record = bundles[0].record
    # features may read every label, which is not done for nothing
    features = case_features(trace) if record.get("predicted_dice") else {}
    return expected_dice(record, features, trace.provenance.fit)
