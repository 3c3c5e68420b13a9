"""NRRD and MetaImage: text headers -> a description of the volume, and its voxels (Z, Y, X) as stored.

The header is parsed once, here, and what it says is what is read: no other reader looks at the file. Geometry is what
ITK makes of the same fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.raw_affine import RawAffine
from voxtrace.io.timepoints import count_timepoints
from voxtrace.io.voxel_files import VoxelFile, read_voxels
from voxtrace.passport import Finding
from voxtrace.volume import Array, Grid

MOST_AXES = 16
_MOST_ALONG = 1 << 31
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_UNIT = 1e-3  # how far a direction's length may be from 1 by rounding


@dataclass(frozen=True, eq=False)
class TextImage:
    """What a header says.

    Attributes
    ----------
    sizes
        Voxels along every axis, the fastest first.
    over_time
        Which axis is time, or lists something; None for a volume alone.
    timepoints
        How many volumes there are.
    grid
        Where the three other axes lie.
    number_type
        As numpy names it, with its byte order.
    files
        Where the voxels lie.
    entries
        Free text by key.
    findings
        What was found about transforms and units.
    """

    sizes: tuple[int, ...]
    over_time: int | None
    timepoints: int
    grid: Grid
    number_type: str
    files: tuple[VoxelFile, ...]
    entries: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def read(self, timepoint: int, path: Path) -> Array:
        """Return the voxels (Z, Y, X) of one time point, as stored.

        Raises
        ------
        ReadError
            When the files hold less or more than the header promises, or are damaged.
        """
        count = math.prod(self.sizes)
        if self.over_time is None or self.over_time == len(self.sizes) - 1:
            each = count // self.timepoints
            part, shape = (timepoint * each, (timepoint + 1) * each), self.grid.size[::-1]
            found = read_voxels(self.files, self.number_type, count, part, path).reshape(shape)
        else:
            # the values of all time points lie side by side
            whole = read_voxels(self.files, self.number_type, count, (0, count), path).reshape(self.sizes[::-1])
            chosen = np.take(whole, timepoint, axis=len(self.sizes) - 1 - self.over_time)
            found = np.ascontiguousarray(chosen.reshape(self.grid.size[::-1]))
        return found.astype(found.dtype.newbyteorder("="), copy=False)


def axis_sizes(text: str, dimensions: str, path: Path) -> tuple[int, ...]:
    """Return how many voxels lie along each axis.

    Raises
    ------
    ReadError
        When these are not as many positive whole numbers as there are dimensions.
    """
    words = text.split()
    count = int(dimensions) if dimensions.isascii() and dimensions.isdigit() and len(dimensions) < 3 else 0
    right = all(word.isascii() and word.isdigit() and 0 < len(word) < 11 for word in words)
    sizes = tuple(int(word) for word in words) if right else ()
    if not 1 <= count <= MOST_AXES or len(sizes) != count or not all(0 < n < _MOST_ALONG for n in sizes):
        raise ReadError(
            f"{path} has sizes {text[:80]!r} in {dimensions[:20]!r} dimensions; expected a positive whole number for "
            "each dimension. Correct its header."
        )
    return sizes


def numbers(text: str, what: str, path: Path) -> tuple[float, ...]:
    """Return the numbers of a field; ``nan`` stands for one that is not given.

    Raises
    ------
    ReadError
        When it holds anything else.
    """
    words = text.replace(",", " ").split()
    known = [_NUMBER.fullmatch(word) is not None or word.lower() in ("nan", "-nan") for word in words]
    values = tuple(float(word.lower()) for word in words) if all(known) else ()
    if not all(known) or any(math.isinf(value) for value in values):
        raise ReadError(f"{path} has {what} {text[:80]!r}; expected finite numbers. Correct its header.")
    return values


def grid_from(size: Sequence[int], steps_mm: Array, origin_mm: Sequence[float], path: Path) -> Grid:
    """Return the grid whose axes make these steps (3×3, a column an axis, in (L, P, S)).

    Raises
    ------
    ReadError
        When an axis makes no step, or two run the same way.
    """
    x, y, z = (int(n) for n in size)
    affine = RawAffine((x, y, z), steps_mm, np.asarray(origin_mm, np.float64))
    if not min(affine.spacing_mm) > 0:
        raise ReadError(f"{path} has a voxel size of zero; expected one in mm along each axis. Correct its header.")
    if not abs(np.linalg.det(steps_mm / np.asarray(affine.spacing_mm))) > 1e-3:
        raise ReadError(f"{path} has two axes that run the same way; expected right angles. Correct its header.")
    return affine.grid()


def exact_grid(
    size: Sequence[int], spacing_mm: Sequence[float], directions: Array, origin_mm: Sequence[float], path: Path
) -> Grid:
    """Return the grid of a spacing, which may be negative, and directions (3×3, a column an axis), digit for digit."""
    grid = grid_from(size, directions * np.asarray(spacing_mm), origin_mm, path)
    if np.abs(np.linalg.norm(directions, axis=0) - 1).max() > _UNIT:
        return grid
    x, y, z = (abs(float(v)) for v in spacing_mm)
    signed = directions * np.sign(spacing_mm)
    return Grid(grid.size, (x, y, z), grid.origin_mm, tuple(float(v) for v in signed.ravel()))


def volume_axes(spatial: Sequence[int], sizes: Sequence[int], components: int, kind: str, path: Path) -> int:
    """Return how many time points there are, given the axes in space and the sizes of all domain axes in order."""
    rest = [n for axis, n in enumerate(sizes) if axis not in spatial]
    return count_timepoints((*(sizes[axis] for axis in spatial), *rest), components, kind, path)
