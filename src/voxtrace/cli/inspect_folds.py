"""What a folder of folds holds, as JSON values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtrace.bundle import card
from voxtrace.inference.fold_folder import fold_paths, fold_summary


def fold_facts(folder: Path) -> dict[str, Any]:
    """Return kind, method, channels and labels, each member, and the pooled scores where they are known."""
    records = {path.name: card(path) for path in fold_paths(folder)}
    first, pooled = next(iter(records.values())), fold_summary(folder)
    return {
        "kind": "ensemble",
        "name": folder.resolve().name,
        "method": first["method"]["name"],
        "channels": first["plan"]["channels"],
        "labels": first["plan"]["labels"],
        "members": [_member(name, record) for name, record in records.items()],
        **({"pooled": pooled} if pooled else {}),
    }


def _member(folder: str, record: dict[str, Any]) -> dict[str, Any]:
    validation = record.get("metrics", {}).get("validation", {})
    return {
        "folder": folder,
        "name": record.get("name", folder),
        "digest": record["digest"],
        "held_back_cases": validation.get("cases", 0),
        "dice": validation.get("dice", {}).get("mean"),
    }
