"""The header of one DICOM image: position of its pixels, how they are stored, and its series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxtrace.io.dicom.grid import SourceFrame
from voxtrace.volume import Array

Numbers = tuple[float, ...]

_RIGHT_ANGLE = 1e-3


@dataclass(frozen=True)
class Storage:
    """How the numbers of an image are stored, and how they become values.

    Attributes
    ----------
    slope, intercept
        value = stored × slope + intercept; 1 and 0 where the header has none.
    bits
        How many bits of each stored number are used.
    signed
        Whether stored numbers may be negative.
    padding
        Lowest and highest stored number that means padding, or None.
    dark_is_high
        Whether the header asks to show high numbers dark (MONOCHROME1).
    """

    slope: float = 1.0
    intercept: float = 0.0
    bits: int = 16
    signed: bool = False
    padding: tuple[int, int] | None = None
    dark_is_high: bool = False

    @property
    def stored_range(self) -> tuple[int, int]:
        """The lowest and the highest number that fit the bits."""
        return (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) if self.signed else (0, (1 << self.bits) - 1)

    @property
    def is_whole(self) -> bool:
        """Whether whole numbers stay whole."""
        return self.slope.is_integer() and self.intercept.is_integer()


@dataclass(frozen=True)
class Slice:
    """One image: a file, or a frame of one.

    ``position_mm`` (3), ``orientation`` (6: along a row, then down a column) are in DICOM's (L, P, S);
    ``pixel_spacing_mm`` is (between rows, between columns), ``size`` (rows, columns). Each is empty when the header has
    none. ``discriminators`` hold the attributes that may distinguish images at the same position, by name:
    ``{"acquisition": "2"}``.
    """

    source: SourceFrame
    series: str
    number: str
    modality: str
    description: str = ""
    position_mm: Numbers = ()
    orientation: Numbers = ()
    pixel_spacing_mm: Numbers = ()
    size: tuple[int, int] = (0, 0)
    samples: int = 1
    kind: str = ""  # SOP class UID
    image_type: tuple[str, ...] = ()
    frame_of_reference: str = ""
    contrast: bool = False
    has_lookup_table: bool = False
    made_up: bool = False  # drawn by VoxTrace, as the manufacturer says
    storage: Storage = field(default_factory=Storage)
    discriminators: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """The file that holds the image."""
        return self.source.path

    @property
    def is_placed(self) -> bool:
        """Whether the header says where every pixel lies."""
        return bool(self.position_mm and self.orientation and self.pixel_spacing_mm)

    @property
    def is_square(self) -> bool:
        """Whether rows and columns are at right angles, and their directions have length 1."""
        row, column = np.asarray(self.orientation[:3]), np.asarray(self.orientation[3:])
        return bool(np.allclose([row @ row, column @ column, row @ column], [1.0, 1.0, 0.0], atol=_RIGHT_ANGLE))

    @property
    def axes(self) -> Array:
        """Where columns, rows and the stack run: the columns of a 3×3 matrix, (L, P, S), freed of rounding."""
        across, down = np.asarray(self.orientation[:3]), np.asarray(self.orientation[3:])
        across = across / (np.linalg.norm(across) or 1.0)
        down = down - (down @ across) * across
        down = down / (np.linalg.norm(down) or 1.0)
        return np.stack([across, down, np.cross(across, down)], axis=1)

    @property
    def normal(self) -> Array:
        """The unit vector (L, P, S) along which the slices of its series follow each other."""
        normal: Array = self.axes[:, 2]
        return normal

    @property
    def depth_mm(self) -> float:
        """How far along the normal the image lies, in mm."""
        return float(np.dot(self.normal, self.position_mm))
