"""What `voxtrace predict` prints of an answer: volumes with their intervals, and what post-processing took away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxtrace.batch.ledger import Entry

MOST_LABELS = 6  # of more, the ledger has the volumes


def answer_lines(entry: Entry) -> list[str]:
    """Return lines on a case that is done: the volumes of a few labels, those not found, and what was removed."""
    found = {name: ml for name, ml in entry.volumes_ml.items() if ml or name in entry.intervals_ml}
    volumes = [_volume(entry, name, ml) for name, ml in found.items()] if len(found) <= MOST_LABELS else []
    missing = [name for name in entry.volumes_ml if name not in found]
    return [
        *([", ".join(volumes)] if volumes else []),
        *([f"not found: {', '.join(missing)}"] if 0 < len(missing) <= MOST_LABELS else []),
        *_removed(entry),
    ]


def _volume(entry: Entry, name: str, ml: float) -> str:
    ends = entry.intervals_ml.get(name)
    between = f" ({_ml(ends[0])} to {_ml(ends[1])})" if ends else ""
    return f"{name} {_ml(ml)} mL{between}"


def _removed(entry: Entry) -> Iterator[str]:
    for name, found in entry.run.get("post_processing", {}).items():
        if found["pieces"]:
            pieces = "1 small piece" if found["pieces"] == 1 else f"{found['pieces']} small pieces"
            yield f"{name}: {pieces} removed, {_ml(found['removed_ml'])} mL (--post-processing none keeps them)"


def _ml(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
