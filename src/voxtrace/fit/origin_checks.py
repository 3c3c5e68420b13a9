"""Made-up scans: a model that was trained on them means nothing on a patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voxtrace.fit.reasons import FitReason
from voxtrace.fit.scan_facts import ScanFacts


def is_demonstration(record: Mapping[str, Any]) -> bool:
    """Return whether a bundle says that it was trained on made-up scans alone."""
    return bool(record.get("demonstration", False))


def origin(record: Mapping[str, Any], scan: ScanFacts) -> Iterator[FitReason]:
    """Yield why a model for made-up scans does not fit a patient, or the other way round."""
    if is_demonstration(record) and scan.made_up:
        yield FitReason("fits", "a demonstration: model and scan are both made up")
    elif is_demonstration(record):
        yield FitReason(
            "does not fit",
            "the model was made for made-up scans; its answer on a patient means nothing",
            "choose a model that was trained on patients, or try this one on a sample (File > Open Sample)",
        )
    elif scan.made_up:
        yield FitReason("check", "the scan is made up, the model was trained on patients", "open the scan of a patient")
