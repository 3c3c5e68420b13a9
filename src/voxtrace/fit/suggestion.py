"""The model to offer for a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from voxtrace.fit.origin_checks import is_demonstration
from voxtrace.fit.scan_facts import ScanFacts, facts_of
from voxtrace.fit.verdict import fit
from voxtrace.volume import Volume

Name = TypeVar("Name")


def suggest(
    records: Mapping[Name, Mapping[str, Any]], scan: Volume | ScanFacts | Sequence[Volume] | None
) -> Name | None:
    """Return the key of the first model that fits a scan, or None: without a scan, or where none fits.

    Models that were trained on patients come first; a demonstration is offered only on a made-up scan. A model that is
    to be checked is not suggested.

    Parameters
    ----------
    records
        A record by name or path, as ``voxtrace.bundle.card`` returns it, in order of preference.
    scan
        As for :func:`voxtrace.fit.fit`.
    """
    if scan is None or (isinstance(scan, Sequence) and not scan):
        return None
    facts = scan if isinstance(scan, ScanFacts) else facts_of(scan)
    fitting = [name for name, record in records.items() if fit(record, facts).verdict == "fits"]
    return next(iter(sorted(fitting, key=lambda name: is_demonstration(records[name]))), None)
