"""What a header says of a volume, whatever format it is in: where it lies, and how its voxels are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.names import Colours, Names
from voxtrace.io.text_images import grid_from
from voxtrace.io.voxel_files import VoxelFile, read_voxels
from voxtrace.passport import Finding
from voxtrace.volume import Array, Grid

_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class DescribedImage:
    """A volume as its header describes it.

    Attributes
    ----------
    grid
        Where the voxels lie; its axes need not be at right angles.
    timepoints
        How many volumes there are.
    read
        A time point, from 0 -> its values (Z, Y, X), rescaled as the header says.
    scaled
        How stored numbers become values, for the passport; ``""`` where they are the values.
    findings
        What was found about transforms, sides and units.
    names, colours
        Of labels, as the file carries them.
    description
        Free text of the header.
    """

    grid: Grid
    timepoints: int
    read: Callable[[int], Array]
    scaled: str = ""
    findings: tuple[Finding, ...] = ()
    names: Names = field(default_factory=dict)
    colours: Colours = field(default_factory=dict)
    description: str = ""


def ras_grid(size: Sequence[int], steps_mm: Array, origin_mm: Array, path: Path) -> Grid:
    """Return the grid of steps (3×3, a column an axis) and an origin in (R, A, S), as neuroimaging programs have them.

    Raises
    ------
    ReadError
        When a number is not finite, an axis makes no step, or two run the same way.
    """
    if not (np.all(np.isfinite(steps_mm)) and np.all(np.isfinite(origin_mm))):
        raise ReadError(f"{path} has a transform with numbers that are not finite; correct its header.")
    flipped = _RAS_TO_LPS[:, np.newaxis] * steps_mm
    return grid_from(size, flipped, [float(v) for v in _RAS_TO_LPS * origin_mm], path)


def stored_numbers(
    files: Sequence[VoxelFile], number_type: str, size: Sequence[int], timepoints: int, path: Path
) -> Callable[[int], Array]:
    """Return a function: a time point -> the stored numbers (Z, Y, X), whose volumes follow one another in files."""
    x, y, z = (int(n) for n in size)
    each = x * y * z

    def read(timepoint: int) -> Array:
        part = (timepoint * each, (timepoint + 1) * each)
        found = read_voxels(files, number_type, each * timepoints, part, path).reshape(z, y, x)
        return found.astype(found.dtype.newbyteorder("="), copy=False)

    return read
