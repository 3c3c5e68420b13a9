"""Modality and channels of a scan against those that a model takes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from voxtrace.fit.reasons import FitReason, listed
from voxtrace.fit.scan_facts import ScanFacts
from voxtrace.plan import Plan

_SYNONYMS = {"t1c": "t1ce", "t1gd": "t1ce", "t1post": "t1ce", "t1pre": "t1", "t1w": "t1", "t2w": "t2", "t1n": "t1"}
_SYNONYMS |= {"t2f": "flair", "t2flair": "flair", "t1contrast": "t1ce", "t1wce": "t1ce", "t1cce": "t1ce"}
_SEQUENCES = {"flair", "t1", "t1ce", "t2", "dwi", "adc", "pd", "swi"}


def modality_of(plan: Plan) -> str:
    """Return the modality that a plan is for: as it states, else by its normalisation and channels; ``""`` unknown."""
    if plan.modality:
        return plan.modality
    if all(rule.scheme == "ct" for rule in plan.normalisation):
        return "CT"
    names = {normal_name(name) for name in plan.channels}
    return "MR" if names & {*_SEQUENCES, "mr", "mri"} else ""


def modality(plan: Plan, scan: ScanFacts) -> Iterator[FitReason]:
    """Yield why the modality does not fit."""
    wanted, found = modality_of(plan), scan.recognised
    if not wanted:
        return
    other = FitReason("does not fit", "", f"choose a model for {found}" if found else "choose a model for this scan")
    if found and found != wanted:
        how = "says" if scan.modality else "shows by its air of about −1000 HU"
        yield FitReason("does not fit", f"the model is for {wanted}, the scan {how} that it is {found}", other.remedy)
    elif wanted == "CT" and not all(channel.looks_like_ct for channel in scan.channels):
        yield from _doubtful_ct(scan, other.remedy)


def _doubtful_ct(scan: ScanFacts, remedy: str) -> Iterator[FitReason]:
    """Yield why values that show no air are no, or perhaps no, CT."""
    low, high = scan.channels[0].percentiles[0], scan.channels[0].percentiles[-1]
    values = f"the model is for CT in HU, the scan's values run from {low:.4g} to {high:.4g}"
    if all(channel.may_be_ct for channel in scan.channels):
        yield FitReason("check", f"{values}, without air near −1000", "check that the values are HU")
    elif scan.modality == "CT":
        yield FitReason("does not fit", values, "export the scan with its rescale slope and intercept")
    else:
        yield FitReason("does not fit", values, remedy)


def channels(plan: Plan, scan: ScanFacts) -> Iterator[FitReason]:
    """Yield why number, names or contents of the channels do not fit."""
    wanted, given = plan.channels, len(scan.channels)
    if given != len(wanted):
        has = f"{given} channel{'' if given == 1 else 's'}"
        named = f" ({listed(scan.names)})" if scan.names else ""
        takes = f"{len(wanted)} ({listed(wanted)})" if len(wanted) > 1 else f"one ({wanted[0]})"
        remedy = f"give {listed(wanted)}, one image each, in this order" if given < len(wanted) else _fewer(plan)
        yield FitReason("does not fit", f"the model takes {takes}, the scan has {has}{named}", remedy)
        return
    yield from _names(wanted, scan.names)
    yield from _equal(wanted, scan)


def _fewer(plan: Plan) -> str:
    return f"give only {listed(plan.channels)}, or choose a model for all of these channels"


def _names(wanted: tuple[str, ...], given: tuple[str, ...]) -> Iterator[FitReason]:
    expected, found = [normal_name(name) for name in wanted], [normal_name(name) for name in given]
    # Other names, such as "MRI" or those of files, tell nothing.
    if not found or not {*expected} <= _SEQUENCES or not {*found} <= _SEQUENCES or expected == found:
        return
    order = f"give {listed(wanted)} in this order"
    if sorted(expected) == sorted(found):
        yield FitReason("does not fit", f"the channels are {listed(given)}, the model takes {listed(wanted)}", order)
    else:
        yield FitReason("check", f"the channels are {listed(given)}, the model was trained on {listed(wanted)}", order)


def _equal(wanted: tuple[str, ...], scan: ScanFacts) -> Iterator[FitReason]:
    """Yield that one image was given as two channels."""
    seen: dict[int, str] = {}
    for name, channel in zip(wanted, scan.channels, strict=True):
        if channel.digest in seen:
            same = f"the same image is given as {seen[channel.digest]} and as {name}"
            yield FitReason("does not fit", same, "give a different image for each channel")
        seen[channel.digest] = name


def normal_name(name: str) -> str:
    """Return a channel's name in lower case without punctuation, and common synonyms as one.

    Examples
    --------
    >>> normal_name("T1-Gd"), normal_name("FLAIR")
    ('t1ce', 'flair')
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return _SYNONYMS.get(plain, plain)
