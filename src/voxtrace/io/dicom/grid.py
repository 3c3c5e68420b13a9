"""A grid that came from DICOM, with references to its source images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from voxtrace.geometry import Grid


@dataclass(frozen=True)
class SourceFrame:
    """One image of a series: a file, and the frame in it counted from 0 (0 where a file holds one image)."""

    path: Path
    frame: int = 0


@dataclass(frozen=True)
class DicomGrid(Grid):
    """A grid that came from a DICOM series.

    Attributes
    ----------
    sources
        The images of the series in order along the stack; DICOM exports refer to them.
    regridded
        Whether the voxels were brought onto a grid other than the stack of the source images: a tilt was straightened,
        a gap filled, an uneven spacing resampled. When not, image i is plane i of the stored array.
    """

    sources: tuple[SourceFrame, ...] = field(default=(), compare=False, repr=False)
    regridded: bool = field(default=False, compare=False)
