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
_ROUNDED_ANGLE = 2.1e-2  # what two decimals leave: 0.005 in each of the numbers that enter


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
    allocated, high_bit
        Bits of each word, and the place of the highest one used, from 0.
    is_float
        Whether the numbers are stored as floating point.
    stated
        Whether the header has a slope, an intercept.
    compressed
        Whether pixels are compressed.
    """

    slope: float = 1.0
    intercept: float = 0.0
    bits: int = 16
    signed: bool = False
    padding: tuple[int, int] | None = None
    dark_is_high: bool = False
    allocated: int = 16
    high_bit: int = 15
    is_float: bool = False
    stated: tuple[bool, bool] = (True, True)
    compressed: bool = False

    @property
    def shift(self) -> int:
        """How many bits lie below the used ones; 0 where numbers are right-aligned, as nearly all are."""
        return self.high_bit + 1 - self.bits

    @property
    def is_identity(self) -> bool:
        """Whether values are the stored numbers themselves."""
        return (self.slope, self.intercept) == (1.0, 0.0)

    @property
    def stored_range(self) -> tuple[int, int]:
        """The lowest and the highest number that fit the bits."""
        return (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) if self.signed else (0, (1 << self.bits) - 1)

    @property
    def is_whole(self) -> bool:
        """Whether whole numbers stay whole."""
        return not self.is_float and self.slope.is_integer() and self.intercept.is_integer()


@dataclass(frozen=True)
class Slice:
    """One image: a file, or a frame of one.

    ``position_mm`` (3), ``orientation`` (6: along a row, then down a column) are in DICOM's (L, P, S);
    ``pixel_spacing_mm`` is (between rows, between columns), ``size`` (rows, columns). Each is empty when the header has
    none. ``fault`` says why a file cannot be used; then often only its names are known. ``order`` is the instance
    number and the frame. ``discriminators`` hold the attributes that may distinguish images at the same position, by
    name: ``{"acquisition": "2"}``.
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
    photometric: str = ""
    syntax: str = ""  # transfer syntax UID
    kind: str = ""  # SOP class UID
    image_type: tuple[str, ...] = ()
    frame_of_reference: str = ""
    contrast: bool = False
    has_lookup_table: bool = False
    made_up: bool = False  # drawn by VoxTrace, as the manufacturer says
    storage: Storage = field(default_factory=Storage)
    fault: str = ""
    order: tuple[int, int] = (-1, 0)
    discriminators: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """The file that holds the image."""
        return self.source.path

    @property
    def is_unreadable(self) -> bool:
        """Whether nothing but the names in its header is known."""
        return bool(self.fault) and self.size == (0, 0)

    @property
    def is_placed(self) -> bool:
        """Whether the header says where every pixel lies."""
        return bool(self.position_mm and self.orientation and self.pixel_spacing_mm)

    @property
    def is_square(self) -> bool:
        """Whether rows and columns are at right angles, and their directions have length 1."""
        row, column = np.asarray(self.orientation[:3]), np.asarray(self.orientation[3:])
        atol = _ROUNDED_ANGLE if self.is_rounded else _RIGHT_ANGLE
        return bool(np.allclose([row @ row, column @ column, row @ column], [1.0, 1.0, 0.0], atol=atol))

    @property
    def is_rounded(self) -> bool:
        """Whether the orientation of oblique images was rounded to two decimals."""
        return is_rounded_orientation(self.orientation)

    @property
    def is_mosaic(self) -> bool:
        """Whether the image is a whole volume, tiled (Siemens)."""
        return "MOSAIC" in self.image_type and "VFRAME" not in self.image_type

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


def is_rounded_orientation(orientation: Numbers) -> bool:
    """Return whether the orientation of oblique images was rounded to two decimals."""
    cosines = np.asarray(orientation) * 100
    oblique = bool(cosines[np.abs(cosines) < 100].any())
    return oblique and bool(np.abs(cosines - np.round(cosines)).max() < 1e-6)
