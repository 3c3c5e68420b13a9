"""What is written about the voxel under the cursor: intensity, label, and its position in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_LETTERS = (("S", "I"), ("A", "P"), ("R", "L"))  # along (I, P, L): below zero, and from zero on


def readout(value: float | None, is_ct: bool, position_mm: Sequence[float], label: str = "", settled: str = "") -> str:
    r"""Return up to three lines: intensity and label, when it settled, and the position.

    Parameters
    ----------
    value
        The intensity, None where the scan has no voxel.
    position_mm
        Position along (I, P, L).
    label, settled
        The label under the cursor, and when it settled; ``""`` for none.

    Examples
    --------
    >>> readout(432.0, True, (-102.3, 12.0, 34.5), "liver")
    '432 HU · liver\\nL 34.5 P 12.0 S 102.3 mm'
    """
    first = " · ".join(part for part in (intensity(value, is_ct), label) if part)
    return "\n".join(line for line in (first, settled, position(position_mm)) if line)


def intensity(value: float | None, is_ct: bool) -> str:
    """Return an intensity with its unit; ``""`` for None."""
    if value is None:
        return ""
    return f"{value:.0f} HU" if is_ct else f"{value:.4g}"


def position(position_mm: Sequence[float]) -> str:
    """Return a position along (I, P, L) by the letters of the patient's sides: ``L 34.5 P 12.0 S 102.3 mm``."""
    named = [f"{_LETTERS[axis][int(mm >= 0)]} {abs(mm):.1f}" for axis, mm in enumerate(position_mm)]
    return " ".join(reversed(named)) + " mm"


def slice_position(axis: int, mm: float) -> str:
    """Return the position of a slice along one of (I, P, L): ``A 12.5 mm``."""
    return f"{_LETTERS[axis][int(mm >= 0)]} {abs(mm):.1f} mm"


def settled_plane(planes: Any) -> npt.NDArray[np.int64]:
    """Return for each voxel of a slice the step, counted from 1, at which its label last changed.

    Parameters
    ----------
    planes
        The labels of a slice at each step, (S, Y, X); 1 where they never changed.
    """
    labels = np.asarray(planes)
    settled = np.ones(labels.shape[1:], np.int64)
    for step in range(1, len(labels)):
        settled[labels[step] != labels[step - 1]] = step + 1
    return settled
