"""What has voxels at places: a label map, or a scalar map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from voxtrace.volume import Array, Geometry


class OnGrid(Protocol):
    """Voxels (Z, Y, X) in canonical orientation, where they lie, and what they are called in messages."""

    @property
    def data(self) -> Array:
        """The voxels, (Z, Y, X)."""

    @property
    def geometry(self) -> Geometry:
        """Where they lie."""

    @property
    def name(self) -> str:
        """What they are called."""


@dataclass(frozen=True, eq=False)
class ScalarMap:
    """A number for each voxel.

    Attributes
    ----------
    data
        (Z, Y, X): uint8 and uint16 are compressed, others are stored as float32.
    geometry
        Where the voxels lie.
    name
        What the numbers are, e.g. ``entropy``.
    unit
        Their unit, e.g. ``nat``; ``""`` for none.
    explanation
        A line on what they mean, at most 64 characters; the name where it is empty.
    """

    data: Array
    geometry: Geometry
    name: str = "map"
    unit: str = ""
    explanation: str = ""
