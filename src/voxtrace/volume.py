"""Voxels with their position in space: Geometry, Volume, LabelMap, Case.

Axes and units
--------------
Arrays are (C, Z, Y, X) for volumes and (Z, Y, X) for label maps. The world is measured in mm along
(S, P, L): towards the head, towards the back, towards the patient's left. It is DICOM's and ITK's
LPS read backwards, so that world axes and array axes come in the same order, and the affine of a
canonical axial scan is a diagonal with positive entries.

Inside VoxTrace data lie in *canonical* orientation: array axis 0 runs towards S, axis 1 towards P,
axis 2 towards L, as nearly as the scan's own axes allow (nothing is resampled). The grid as the
file had it is kept in ``Geometry.stored``, and label maps are written back onto exactly that grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from voxtrace.errors import GeometryError
from voxtrace.geometry import Array, Geometry, Grid, Layout, Shape, Triple
from voxtrace.passport import MADE_UP, Passport

__all__ = ["Array", "Case", "Geometry", "Grid", "LabelMap", "Layout", "Shape", "Triple", "Volume"]


@dataclass(frozen=True, eq=False)
class Volume:
    """Intensities on a grid.

    Attributes
    ----------
    data
        (C, Z, Y, X), any real dtype, in the units of the scanner (HU for CT).
    geometry
        Where the voxels lie.
    modality
        ``"CT"``, ``"MR"`` or ``""`` when the file does not state it.
    channels
        A name for each channel; empty when they have no names.
    name
        What to call the volume in messages: a file stem, never a patient's name.
    passport
        What was checked while reading, each with a verdict, and what was corrected.
    whole, start
        Of a :meth:`part`: the volume that it was taken from, and its first voxel there, (z, y, x).
    """

    data: Array
    geometry: Geometry
    modality: str = ""
    channels: tuple[str, ...] = ()
    name: str = "volume"
    passport: Passport = field(default_factory=Passport)
    whole: Volume | None = field(default=None, repr=False)
    start: Shape = (0, 0, 0)

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each thing that was corrected while reading."""
        return self.passport.notes

    @property
    def made_up(self) -> bool:
        """Whether the scan is one of VoxTrace's phantoms, as its header or its maker says."""
        return MADE_UP in self.passport.findings

    def __post_init__(self) -> None:
        if self.data.ndim != 4 or self.data.shape[1:] != self.geometry.shape:
            raise GeometryError(
                f"data of shape {self.data.shape} does not fit geometry {self.geometry.shape}; "
                "expected (C, Z, Y, X) with the same Z, Y, X."
            )

    def part(self, start: Shape, shape: Shape) -> Volume:
        """Return ``shape`` voxels from voxel ``start`` on, (Z, Y, X), all inside; a view.

        What a prediction measures of the scan, as its mean intensity, it measures of the whole.
        """
        planes, rows, columns = (slice(a, a + n) for a, n in zip(start, shape, strict=True))
        z, y, x = (a + b for a, b in zip(self.start, start, strict=True))
        data, geometry = self.data[:, planes, rows, columns], self.geometry.part(start, shape)
        return replace(self, data=data, geometry=geometry, whole=self.whole or self, start=(z, y, x))

    @staticmethod
    def stack(volumes: list[Volume]) -> Volume:
        """Return one volume whose channels are the given volumes' channels, in order; grids must agree."""
        first = volumes[0]
        for other in volumes[1:]:
            if not other.geometry.is_close(first.geometry):
                raise GeometryError(
                    f"{other.name} lies on another grid than {first.name} "
                    f"({other.geometry.shape} at {_mm(other.geometry)} against {first.geometry.shape} at "
                    f"{_mm(first.geometry)}); resample the channels of a case onto one grid first."
                )
        data = np.concatenate([v.data for v in volumes]) if len(volumes) > 1 else first.data
        names = tuple(name for v in volumes for name in v.channels)
        made = replace(first, data=data, channels=names if len(names) == len(data) else ())
        return made if len(volumes) == 1 else replace(made, whole=None, start=(0, 0, 0))


def _mm(geometry: Geometry) -> str:
    return "×".join(f"{s:g}" for s in geometry.spacing_mm) + " mm"


DEMONSTRATION = "Demonstration model: its answer on a patient means nothing"  # the note of its label maps


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Integer labels on a grid.

    Attributes
    ----------
    data
        (Z, Y, X), uint8 or uint16 (other integers are converted when they fit); 0 is background.
    geometry
        Where the voxels lie.
    names
        Label value -> name.
    colours
        Label value -> (red, green, blue), each 0..1.
    name
        What to call the label map in messages.
    note
        A warning that goes into files, at most 64 ASCII characters; ``""`` for none.
    """

    data: Array
    geometry: Geometry
    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, Triple] = field(default_factory=dict)
    name: str = "labels"
    note: str = ""

    def __post_init__(self) -> None:
        if self.data.shape != self.geometry.shape:
            raise GeometryError(
                f"labels of shape {self.data.shape} do not fit geometry {self.geometry.shape}; expected equal shapes."
            )
        if self.data.dtype not in (np.uint8, np.uint16):
            # the dataclass is frozen; this is still its construction
            object.__setattr__(self, "data", _as_labels(self.data))

    @property
    def values(self) -> tuple[int, ...]:
        """The label values that occur, background left out, ascending."""
        return tuple(int(v) for v in np.unique(self.data) if v)


def _as_labels(data: Array) -> Array:
    if data.dtype == bool:
        return data.astype(np.uint8)
    low, high = (data.min(), data.max()) if data.size else (0, 0)
    # floating-point labels are common (nibabel saves float64 by default); fractions are not labels
    if not np.issubdtype(data.dtype, np.integer) and not np.array_equal(data, np.floor(data)):
        raise GeometryError(f"labels of type {data.dtype} have fractions; expected whole numbers.")
    if low < 0 or high > 65535:
        raise GeometryError(f"labels run from {low} to {high}; expected 0 to 65535.")
    return data.astype(np.uint8 if high < 256 else np.uint16)


@dataclass(frozen=True, eq=False)
class Case:
    """One training subject: an image, its reference labels, and scores that weigh it.

    ``volume`` and ``labels`` lie on the same grid; ``scores`` maps names such as ``reliability`` to 0..1.
    """

    name: str
    volume: Volume
    labels: LabelMap
    scores: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.volume.geometry.is_close(self.labels.geometry):
            raise GeometryError(
                f"case {self.name}: the labels' grid {self.labels.geometry.shape} at {_mm(self.labels.geometry)} "
                f"is not the image's {self.volume.geometry.shape} at {_mm(self.volume.geometry)}; "
                "export both on one grid."
            )
