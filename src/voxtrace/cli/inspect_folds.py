"""What a folder of folds holds, as JSON values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtrace.bundle import card
from voxtrace.inference.fold_folder import finished_folds, fold_paths, fold_summary, unfinished_folds
from voxtrace.io.suffixes import folder_name


def fold_facts(folder: Path) -> dict[str, Any]:
    """Return kind, method, channels and labels, each member, and the pooled scores where they are known.

    Of a cross-validation that goes on: the folds that are finished, and the names of the others.

    Raises
    ------
    BundleError
        A fold was altered, or differs from the first in method, labels or plan.
    """
    missing = unfinished_folds(folder)
    records = {path.name: card(path) for path in (finished_folds(folder) if missing else fold_paths(folder))}
    first, pooled = next(iter(records.values()), None), fold_summary(folder)
    plan = {} if first is None else {name: first["plan"][name] for name in ("channels", "labels")}
    return {
        "kind": "ensemble",
        "name": folder_name(folder),
        **({"method": first["method"]["name"], **plan} if first else {}),
        **({"unfinished": missing} if missing else {}),
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
