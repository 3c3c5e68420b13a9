"""A label map with holes, islands, thin lines and single voxels, on the grid of DICOM images made for it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import awkward_dicom as made
import voxtrace
from voxtrace.volume import LabelMap

NAMES = {3: "liver", 7: "kidney_left", 9: "Enhancing tumour", 20: "Mystery Ω"}
COLOURS = {3: (0.8, 0.2, 0.2), 7: (0.2, 0.4, 1.0)}
PLACES = {
    "axial": made.place(),
    "coronal": made.place(made.orientations()[5]),
    "backwards": made.place(made.orientations()[10]),
    "oblique": made.rotated(17),
}


@dataclass(frozen=True, eq=False)
class Made:
    """A folder of images, where they lie, the labels as stacked (plane, row, column), and the label map of them."""

    folder: Path
    place: made.Place
    stacked: np.ndarray
    labels: LabelMap


def stacked() -> np.ndarray:
    """Return the labels, (plane, row, column); planes 0 and 15 are empty."""
    array = np.zeros((made.PLANES, made.ROWS, made.COLUMNS), np.uint8)
    array[2:12, 5:30, 4:30] = 3
    array[4:9, 8:20, 8:18] = 0  # a hole …
    array[4:9, 12:15, 11:14] = 3  # … an island in it …
    array[6, 13, 12] = 0  # … and a hole of one voxel in the island
    array[3:10, 22:27, 20:26] = 9  # a hole that another label fills
    array[5, 8:20, 22:24] = 0  # a second hole that ends in the same row as the first
    array[13, 35, 2] = 7  # a single voxel,
    array[13, 33, 5:20] = 7  # a line one voxel wide,
    array[14, range(20, 30), range(5, 15)] = 7  # and a diagonal of voxels that touch at corners alone
    array[1, 0:3, 0:3] = 20  # at the corner of the volume
    return array


def make(folder: Path, place: made.Place | None = None, **changes: object) -> Made:
    """Write images, shuffled, and return them with the label map of them."""
    place = place or made.place()
    made.save(folder, made.images(place, **changes), seed=1)
    return on(folder, place)


def on(folder: Path, place: made.Place, array: np.ndarray | None = None) -> Made:
    """Return the label map on images that were written before."""
    geometry = voxtrace.read(folder).geometry
    assert geometry.stored is not None
    array = stacked() if array is None else array
    data = np.ascontiguousarray(geometry.stored.layout.to_canonical(array))
    return Made(folder, place, array, LabelMap(data, geometry, NAMES, COLOURS, "phantom"))


def complaints(path: Path, *, recognised: bool = True) -> list[str]:
    """Return what dciodvfy calls an error, or skip where the command is missing.

    ``recognised`` asks that it knows the class of the file at all.
    """
    command = shutil.which("dciodvfy")
    if command is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools); it checks DICOM files against the standard")
    done = subprocess.run([command, str(path)], capture_output=True, text=True, errors="replace", check=False)
    output = done.stdout + done.stderr
    assert not recognised or any(name in output for name in ("Segmentation", "RTStructureSet", "ParametricMap"))
    return [line for line in output.splitlines() if line.startswith(("Error", "Abort"))]


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())
