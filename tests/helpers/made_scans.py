"""Small scans at any angle, written by libraries other than VoxTrace, and read back by them."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from scipy.spatial.transform import Rotation

from voxtrace.volume import Array

SIZE = (11, 9, 7)  # x, y, z
SPACING_MM = (1.5, 0.8, 3.0)
FIRST_MM = (-31.0, 17.0, 120.5)  # the first voxel, (L, P, S)
LANDMARKS = {1: (1, 2, 1), 2: (9, 1, 2), 3: (2, 7, 5), 4: (8, 6, 1), 5: (5, 4, 6), 6: (10, 8, 0)}  # label -> (x, y, z)
NIFTI_FORMS = ("sform", "qform", "both")
FORMATS = (*NIFTI_FORMS, "nrrd", "mha")


def signed_permutations() -> list[Array]:
    """Return the 48 matrices that run x, y, z along the axes of the body, forwards or backwards, in any order."""
    return [
        np.eye(3)[:, list(order)] * signs
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]


def letters(direction: Array) -> str:
    """Return where x, y, z run, for the names of tests."""
    return "".join(("LPS" if column.sum() > 0 else "RAI")[int(np.argmax(np.abs(column)))] for column in direction.T)


def oblique(direction: Array) -> Array:
    """Return directions turned by 17° about the long axis of the body and 17° about the axis from side to side."""
    return Rotation.from_euler("zx", (17, 17), degrees=True).as_matrix() @ direction


def phantom() -> Array:
    """Return (Z, Y, X) int16: the number of each landmark in its voxel."""
    array = np.zeros(SIZE[::-1], np.int16)
    for label, (x, y, z) in LANDMARKS.items():
        array[z, y, x] = label
    return array


def landmarks_mm(steps: Array) -> dict[int, Array]:
    """Return where the landmarks lie, (L, P, S), when a voxel's steps are the columns of a 3×3 matrix in mm."""
    return {label: steps @ index + FIRST_MM for label, index in LANDMARKS.items()}


def save(folder: Path, form: str, steps: Array, array: Array | None = None) -> Path:
    """Write the phantom with nibabel (NIfTI by one or both transforms) or SimpleITK (``nrrd``, ``mha``)."""
    array = phantom() if array is None else array
    if form not in NIFTI_FORMS:
        spacing = np.linalg.norm(steps, axis=0)
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing(tuple(spacing))
        image.SetOrigin(FIRST_MM)
        image.SetDirection(tuple((steps / spacing).ravel()))
        SimpleITK.WriteImage(image, str(folder / f"in.{form}"))
        return folder / f"in.{form}"
    affine = np.eye(4)
    affine[:3] = np.diag([-1, -1, 1]) @ np.column_stack([steps, FIRST_MM])
    image = nibabel.Nifti1Image(array.T, affine)
    image.set_sform(affine, 0 if form == "qform" else 1)
    image.set_qform(affine, 0 if form == "sform" else 1)
    nibabel.save(image, folder / "in.nii.gz")
    return folder / "in.nii.gz"


def centres_mm(path: Path) -> dict[int, Array]:
    """Return where the middle of each label lies, (L, P, S), as nibabel or SimpleITK read it."""
    if path.name.endswith((".nii", ".nii.gz")):
        image: Any = nibabel.load(path)
        array, affine = np.asarray(image.dataobj), np.diag([-1, -1, 1, 1]) @ image.affine
        middles = {int(k): np.argwhere(array == k).mean(axis=0) for k in np.unique(array) if k}
        return {k: (affine @ [*middle, 1.0])[:3] for k, middle in middles.items()}
    image = SimpleITK.ReadImage(str(path))
    array = SimpleITK.GetArrayFromImage(image)
    middles = {int(k): np.argwhere(array == k).mean(axis=0)[::-1] for k in np.unique(array) if k}
    return {k: np.array(image.TransformContinuousIndexToPhysicalPoint(list(m))) for k, m in middles.items()}
