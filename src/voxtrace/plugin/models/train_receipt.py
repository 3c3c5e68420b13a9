"""What a training made, in a few lines: from the card of the bundle that it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainReceipt:
    """The lines of a receipt, and the bundle that it is about."""

    title: str
    lines: tuple[str, ...]
    folder: Path


def receipt(record: Mapping[str, Any], folder: Path, seconds: float) -> TrainReceipt:
    """Return the receipt of a bundle; ``record`` is what its ``bundle.json`` says, ``seconds`` the whole wall time."""
    provenance: Mapping[str, Any] = record.get("provenance", {})
    metrics: Mapping[str, Any] = record.get("metrics", {})
    lines = (
        _trained_on(provenance),
        *(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in provenance.get("initial", {}).get("told", ())),
        _dice(metrics),
        f"{_iterations(provenance)} in {_time(seconds)}, on {provenance.get('device', 'an unknown device')}.",
        f"Lies in {folder}.",
    )
    return TrainReceipt(f"{record.get('name', folder.name)} is ready", tuple(filter(None, lines)), folder)


def _trained_on(provenance: Mapping[str, Any]) -> str:
    cases, dataset = provenance.get("cases", 0), provenance.get("dataset", "")
    start = provenance.get("initial", {}).get("name")
    how = f"Fine-tuned from {start}" if start else "Trained from scratch"
    return f"{how} on {_counted(cases, 'case')}{f' of {dataset}' if dataset else ''}."


def _dice(metrics: Mapping[str, Any]) -> str:
    """Return the Dice of held-back cases, before and after where both were measured on the same cases."""
    if gain := metrics.get("fine_tuning"):
        of = _counted(gain["cases"], "held-back case")
        return f"Dice {gain['dice_before']:.3f} before, {gain['dice_after']:.3f} after, on {of}."
    if validation := metrics.get("validation"):
        of = _counted(validation["cases"], "held-back case")
        if validation["dice"]["mean"] is None:
            return f"No label was found or drawn in {of}, so the Dice is not known."
        return f"Dice {validation['dice']['mean']:.3f} on {of}; before it was not measured."
    return "No case was held back, so its Dice is not known."


def _iterations(provenance: Mapping[str, Any]) -> str:
    done, planned = provenance.get("iterations", 0), provenance.get("planned_iterations")
    if planned and planned != done:
        return f"{done:,} of {planned:,} iterations, ended by the time limit of {provenance['minutes']:g} min,"
    return f"{done:,} iterations"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
