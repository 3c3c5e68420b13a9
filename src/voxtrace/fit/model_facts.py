"""What a list of models says of one: method, purpose, data, Dice, size, licence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def model_facts(folder: Path, record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a list of models says of one, by title; "not known" for what its card lacks."""
    made, demonstration = record.get("provenance", {}), bool(record.get("demonstration"))
    trained = f"{made['dataset']}, {made.get('cases', 'some')} cases" if made.get("dataset") else "not known"
    return {
        "method": str(record["method"]["name"]),
        "for": "demonstration only: trained on made-up scans" if demonstration else "real scans; not a medical device",
        "channels": ", ".join(map(str, record["plan"]["channels"])),
        "trained on": trained,
        "Dice": dice_words(record),
        "size": f"{sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) / 1e6:.1f} MB",
        "licence": str(record.get("licence", "not stated")),
    }


def dice_words(record: Mapping[str, Any]) -> str:
    """Return the mean Dice of the held-back cases with its 95 % interval and their number; or "not known"."""
    found = (record.get("metrics") or {}).get("validation") or {}
    dice = found.get("dice") or {}
    if dice.get("mean") is None:
        return "not known"
    between = " [{:.3f}, {:.3f}]".format(*dice["ci95"]) if dice.get("ci95") else ""
    return f"{dice['mean']:.3f}{between}, n {found.get('cases', 'not known')}"
