"""The held-back cases that were segmented worst: their names for the card, and pictures where a user asks for them.

A picture shows a slice of a scan, so that it is patient data: none is made unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtrace import palette
from voxtrace.bundle import Bundle
from voxtrace.film.beside import beside
from voxtrace.fit.shown_channel import shown_channel
from voxtrace.inference import predict
from voxtrace.training.held_back import ValidatedCase
from voxtrace.volume import Array, Case

WORST = 3


def worst_cases(cases: Sequence[ValidatedCase]) -> list[int]:
    """Return the numbers of up to three cases of the lowest mean Dice, the worst first; none that has no label."""
    known = [number for number, case in enumerate(cases) if np.isfinite(case.mean_dice)]
    return sorted(known, key=lambda number: cases[number].mean_dice)[:WORST]


def failures(cases: Sequence[ValidatedCase]) -> list[dict[str, Any]]:
    """Return what a bundle records as ``failures``: name and mean Dice of the worst cases."""
    return [{"case": cases[n].name, "dice": round(cases[n].mean_dice, 4)} for n in worst_cases(cases)]


def pictured(card: Mapping[str, Any], pictures: Mapping[str, bytes]) -> dict[str, Any]:
    """Return a card whose failures say which picture shows them, in the order of the pictures."""
    names = list(pictures) + [""] * len(card.get("failures", ()))
    rows = [{**row, "picture": name} for row, name in zip(card.get("failures", ()), names, strict=False)]
    return {**card, "failures": rows} if pictures else dict(card)


def picture_worst(
    bundle: Bundle, measured: Sequence[ValidatedCase], cases: Sequence[Case], device: str
) -> dict[str, bytes]:
    """Return name -> PNG of the worst cases, segmented once more as ``predict`` does, post-processing included.

    Each shows the axial slice with most wrong voxels, front on top and the patient's left on the right: the reference
    on the left half, the answer on the right.

    Parameters
    ----------
    bundle
        With its card.
    measured, cases
        The held-back cases in one order: as they were measured, and themselves.
    """
    found = {}
    for rank, number in enumerate(worst_cases(measured), start=1):
        case = cases[number]
        answer = predict(bundle, case.volume, device=device).labels.data
        found[f"failure_{rank}.png"] = picture(bundle, case, answer)
    return found


def picture(bundle: Bundle, case: Case, answer: Array) -> bytes:
    """Return a PNG of the slice with most wrong voxels: the reference on the left half, the answer on the right.

    The channel is the one that the card names, see :mod:`voxtrace.fit.shown_channel`.
    """
    reference = case.labels.data
    z = int((answer != reference).sum(axis=(1, 2)).argmax())
    names = {value: name for value, name in bundle.plan.labels.items() if value}
    colours, channel = palette.colours(names, names=names), shown_channel(bundle.record)
    return beside(case.volume, z, (reference, answer), colours, channel)
