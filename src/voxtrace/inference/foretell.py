"""The Dice to expect of an answer, written into its trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from voxtrace.bundle import Bundle
from voxtrace.fit import case_features, expected_dice
from voxtrace.inference.options import PredictOptions
from voxtrace.method import Method
from voxtrace.trace import OTHERWISE, ExpectedDice, Trace
from voxtrace.trace.files import write_record

SEVERAL = ExpectedDice(unknown="several answers were combined, and each model was validated alone")
_USUAL = PredictOptions()
_CHANGES = ("region", "settle", "mirror", "overlap", "post_processing")  # options that change how an answer comes about


def with_expected_dice(
    trace: Trace, bundles: Sequence[Bundle], method: Method, options: PredictOptions, folder: Path | None = None
) -> Trace:
    """Return the trace with the Dice to expect in its provenance; where it lies in a folder, it is written there, too.

    Parameters
    ----------
    method, options
        As they ran; with others than in validation nothing is known.
    """
    found = _expected(trace, bundles, is_usual(bundles, method, options))
    told = replace(trace, provenance=replace(trace.provenance, expected_dice=found))
    if folder is not None:
        write_record(told.record(), folder)
    return told


def is_usual(bundles: Sequence[Bundle], method: Method, options: PredictOptions) -> bool:
    """Return whether an answer comes about as those of validation did, by its options and those of the method."""
    return method == bundles[0].method and all(getattr(options, n) == getattr(_USUAL, n) for n in _CHANGES)


def _expected(trace: Trace, bundles: Sequence[Bundle], usual: bool) -> ExpectedDice:
    if not usual:  # of several, too: volume intervals do not hold then
        return OTHERWISE
    if len(bundles) > 1:
        return SEVERAL
    record = bundles[0].record
    # features may read every label, which is not done for nothing
    features = case_features(trace) if record.get("predicted_dice") else {}
    return expected_dice(record, features, trace.provenance.fit)
