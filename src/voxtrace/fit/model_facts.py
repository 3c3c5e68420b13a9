"""What a list of models says of one: method, purpose, data, Dice, cost, size, licence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxtrace.fit.pieces import NONE
from voxtrace.fit.pooled_cases import BY_RULE
from voxtrace.fit.step_choice import step_words
from voxtrace.safe_text import brief

NOT_MEASURED, NONE_HELD_BACK = "not measured", "no case held back"
_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?\s?commercial", re.IGNORECASE)


def model_facts(folder: Path, record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a list of models says of one, by title; "not known" for what its card lacks."""
    made, demonstration = record.get("provenance", {}), bool(record.get("demonstration"))
    trained = f"{made['dataset']}, {cases_words(made)}" if made.get("dataset") else "not known"
    return {
        "method": str(record["method"]["name"]),
        "for": "demonstration only: trained on made-up scans" if demonstration else "real scans; not a medical device",
        "channels": ", ".join(map(str, record["plan"]["channels"])),
        "trained on": trained,
        "Dice": dice_words(record),
        **({"steps": words} if (words := step_words(record)) else {}),
        "seconds": _of_cases(record, "seconds", "s", "median"),
        "memory": _of_cases(record, "gigabytes", "GB", "estimated, the most"),
        "size": f"{sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) / 1e6:.1f} MB",
        "licence": licence_words(record),
    }


def dice_words(record: Mapping[str, Any]) -> str:
    """Return the mean Dice of the held-back cases with its 95 % interval and their number; or why there is none."""
    found = (record.get("metrics") or {}).get("validation") or {}
    dice = found.get("dice") or {}
    if dice.get("mean") is None:
        return NONE_HELD_BACK if (record.get("provenance") or {}).get("held_back") == [] else "not known"
    between = " [{:.3f}, {:.3f}]".format(*dice["ci95"]) if dice.get("ci95") else ""
    return f"{dice['mean']:.3f}{between}, n {found.get('cases', 'not known')}"


def cases_words(made: Mapping[str, Any]) -> str:
    """Return how many cases a training had, and how many of them it learned where a score left some out.

    >>> cases_words({"cases": 3, "cases_learned": 2})
    '2 of 3 cases'
    """
    cases, learned = made.get("cases", "some"), made.get("cases_learned")
    return f"{learned} of {cases} cases" if isinstance(learned, int) and learned != cases else f"{cases} cases"


def recorded_dice(record: Mapping[str, Any]) -> float:
    """Return the mean Dice of the held-back cases; 0 where the card does not have it."""
    found = (record.get("metrics") or {}).get("validation") or {}
    mean = (found.get("dice") or {}).get("mean")
    return float(mean) if isinstance(mean, (int, float)) else 0.0


def step_dice(record: Mapping[str, Any]) -> list[float | None]:
    """Return the mean Dice of held-back cases after each step, as the network left it; [] where it is not known.

    Cards of earlier versions count the last step with post-processing. Theirs is worked out from what was tried without
    rules, and None where not every case has every label.
    """
    found = record.get("metrics", {}).get("validation") or {}
    steps, processed = list(found.get("dice_per_step") or ()), record.get("post_processing") or {}
    removes = any(word != NONE for word in processed.get("labels", {}).values())
    told = BY_RULE in found or any(BY_RULE in row for row in found.get("per_case", ()))
    if not steps or not removes or told:
        return steps
    tried = [by_rule[NONE] for by_rule in processed.get("tried", {}).values()]
    foreground = sum(str(value) != "0" for value in record.get("plan", {}).get("labels", ()))
    whole = 0 < len(tried) == foreground and all(row["n"] == found.get("cases") for row in tried)
    return [*steps[:-1], round(sum(row["dice"] for row in tried) / foreground, 4) if whole else None]


def cost_words(record: Mapping[str, Any], name: str) -> str:
    """Return ``seconds`` or ``gigabytes`` of a prediction as they were measured; "not measured" without a record."""
    run = record.get("provenance", {}).get("prediction")
    value = run.get(name) if isinstance(run, Mapping) else None
    return f"{value:.3g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else NOT_MEASURED


def is_non_commercial(record: Mapping[str, Any]) -> bool:
    """Return whether the licence of a model, or of its data, is for non-commercial use alone, by its words."""
    made = record.get("provenance", {})
    return any(_NON_COMMERCIAL.search(str(words)) for words in (record.get("licence"), made.get("dataset_licence")))


def licence_words(record: Mapping[str, Any]) -> str:
    """Return a model's licence, with a warning where it excludes commercial use."""
    said = brief(str(record.get("licence", "not stated")))
    return f"{said}; for non-commercial use only" if is_non_commercial(record) else said


def _of_cases(record: Mapping[str, Any], name: str, unit: str, which: str) -> str:
    words = cost_words(record, name)
    if words == NOT_MEASURED:
        return words
    run = record["provenance"]["prediction"]
    return f"{words} {unit} ({which} of {run.get('cases')} held-back cases, {run.get('device')})"
