"""The held-back cases that were segmented worst: their names for the card, and pictures where a user asks for them.

A picture shows a slice of a scan, so that it is patient data: none is made unless it is asked for.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtrace import palette
from voxtrace.bundle import Bundle
from voxtrace.film import contrast
from voxtrace.inference import predict
from voxtrace.training.held_back import ValidatedCase
from voxtrace.volume import Array, Case, Volume

WORST = 3
_HEIGHT, _MOST_WIDE, _GAP = 240, 320, 8  # pixels of each of both halves, and between them
_FILL = 0.35


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
        found[f"failure_{rank}.png"] = _picture(case, answer)
    return found


def _picture(case: Case, answer: Array) -> bytes:
    from PIL import Image

    reference = case.labels.data
    z = int((answer != reference).sum(axis=(1, 2)).argmax())
    size = _size(reference[z].shape, case.volume.geometry.spacing_mm[1:])
    grey = _grey(case.volume, z, size)
    halves = [_overlaid(grey, _enlarged(labels[z], size)) for labels in (reference, answer)]
    gap = np.full((size[0], _GAP, 3), 255, np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.concatenate([halves[0], gap, halves[1]], axis=1)).save(file, "PNG")
    return file.getvalue()


def _size(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> tuple[int, int]:
    """Return rows and columns of a half, at the slice's true proportions."""
    wide = _HEIGHT * shape[1] * spacing_mm[1] / (shape[0] * spacing_mm[0])
    scale = min(1.0, _MOST_WIDE / wide)
    return max(1, round(_HEIGHT * scale)), max(1, round(wide * scale))


def _grey(volume: Volume, z: int, size: tuple[int, int]) -> Array:
    """Return a slice of the first channel as grey (H, W, 3) uint8."""
    image = volume.data[0, z].astype(np.float32)
    low, high = contrast(volume, image)
    shades = np.nan_to_num(np.clip((image - low) / max(high - low, 1e-6), 0, 1)) * 255
    return np.repeat(_enlarged(shades.astype(np.uint8), size)[..., None], 3, axis=2)


def _enlarged(plane: Array, size: tuple[int, int]) -> Array:
    """Return the nearest voxel at every pixel."""
    rows, columns = (((np.arange(n) + 0.5) * have / n).astype(int) for n, have in zip(size, plane.shape, strict=True))
    return np.asarray(plane[np.ix_(rows, columns)])


def _overlaid(grey: Array, labels: Array) -> Array:
    picture = grey.astype(np.float32)
    values = [int(value) for value in np.unique(labels) if value]
    for value, colour in palette.colours(values).items():
        inside = labels == value
        picture[inside] = (1 - _FILL) * picture[inside] + _FILL * 255 * np.asarray(colour)
    return picture.astype(np.uint8)
