"""Which phantom a model was trained on, as its card names the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PHANTOMS = "voxtrace.phantoms."  # how the card of a bundle names a made-up dataset, followed by the function
UNSEEN = 100  # a seed that no shipped bundle was trained on


def phantom_named(record: Mapping[str, Any]) -> str | None:
    """Return the name of the phantom that a bundle's record says it was trained on; None for other scans."""
    dataset = str(record.get("provenance", {}).get("dataset", ""))
    return dataset.removeprefix(_PHANTOMS).split(",")[0] if dataset.startswith(_PHANTOMS) else None
