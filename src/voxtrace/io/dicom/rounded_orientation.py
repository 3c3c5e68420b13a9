"""Orientations that were rounded to two decimals: the line of the positions tells the normal better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from voxtrace.io.dicom.slices import Slice

_ROUNDING = 1.25e-2  # how far two decimals may turn the normal, in radians


def with_true_orientation(slices: Sequence[Slice]) -> list[Slice]:
    """Return slices whose rounded orientation is turned so that its normal runs along their positions.

    As they are where the orientation is not rounded, or the positions lie off the normal by more than rounding.
    """
    first = slices[0]
    if not (first.is_rounded and first.is_square):
        return list(slices)
    ordered = sorted(slices, key=lambda s: float(np.dot(first.normal, s.position_mm)))
    line = np.asarray(ordered[-1].position_mm) - ordered[0].position_mm
    length = float(np.linalg.norm(line))
    if length < 1e-3 or float(np.linalg.norm(line / length - first.normal)) > _ROUNDING:
        return list(slices)
    normal = line / length
    across = first.axes[:, 0] - (first.axes[:, 0] @ normal) * normal
    across /= np.linalg.norm(across)
    turned = (*across.tolist(), *np.cross(normal, across).tolist())
    return [replace(s, orientation=turned) for s in slices]
