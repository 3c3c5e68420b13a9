"""What a MINC file says of its image, whichever version it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from voxtrace.volume import Array

SPACE: Final[dict[str, int]] = {"xspace": 0, "yspace": 1, "zspace": 2}

MincAttribute = str | tuple[float, ...]


@dataclass(frozen=True, eq=False)
class MincAxis:
    """An axis of an image: its name, how many voxels lie along it, and its attributes."""

    name: str
    size: int
    attributes: Mapping[str, MincAttribute]

    def number(self, name: str) -> float | None:
        """Return a number among its attributes; None where it is not there."""
        found = self.attributes.get(name, ())
        return float(found[0]) if isinstance(found, tuple) and found else None

    @property
    def direction(self) -> Array:
        """The direction it runs in, (R, A, S)."""
        found = self.attributes.get("direction_cosines", ())
        if isinstance(found, tuple) and len(found) == 3:
            return np.asarray(found, np.float64)
        default: Array = np.eye(3)[SPACE[self.name]]
        return default


@dataclass(frozen=True, eq=False)
class MincImage:
    """What a MINC file says, whichever version it is.

    Attributes
    ----------
    axes
        Slowest first.
    number_type
        Of the stored numbers, as numpy names it.
    valid_range
        The smallest and the largest stored number; None where the file does not say.
    scale_axes
        Over which of the first axes ``low`` and ``high`` run.
    low, high
        The values of the smallest and largest stored number.
    read
        A time point -> the stored numbers with the other axes as the file has them.
    """

    axes: tuple[MincAxis, ...]
    number_type: str
    valid_range: tuple[float, ...] | None
    scale_axes: tuple[str, ...]
    low: Array
    high: Array
    read: Callable[[int], Array]
