"""Whichever way a file lies, the window shows it the right way up: what is drawn is held against the patient's letters.

The phantom has three bright balls, each 24 mm from its middle: towards the patient's right, front and head. It is
written with nibabel (RAS) or pydicom, so what is expected does not come from the code that is tested.
"""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

import awkward_dicom as awkward
from voxtrace.plugin.controllers import compat
from voxtrace.plugin.layers.display_space import edge_letters
from voxtrace.plugin.npe2.reader import load

SIZE, SPACING_MM = (30, 40, 28), np.array([2.0, 1.5, 2.5])  # along the file's own axes
MIDDLE_RAS_MM = np.array([11.0, -7.0, 120.0])
AWAY_MM = 24.0
BALLS = {"R": (1, 0, 0), "A": (0, 1, 0), "S": (0, 0, 1)}  # letter -> the way from the middle, RAS
VALUES = {"R": 1000, "A": 2000, "S": 3000}
SUFFIXES = (".nii", ".nrrd", ".mha")
PLANES = {"axial": (1, 2), "coronal": (0, 2), "sagittal": (0, 1)}


def turns() -> list[np.ndarray]:
    """Return the 24 rotations that map axes onto axes."""
    signed = (
        np.eye(3)[:, list(order)] * signs for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
    )
    return [matrix for matrix in signed if np.linalg.det(matrix) > 0]


def oblique(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def phantom(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the phantom's voxels (x, y, z) and their affine to RAS mm, middle of the grid at its own middle."""
    affine = np.eye(4)
    affine[:3, :3] = direction * SPACING_MM
    affine[:3, 3] = MIDDLE_RAS_MM - affine[:3, :3] @ ((np.array(SIZE) - 1) / 2)
    index = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1)
    ras = index @ affine[:3, :3].T + affine[:3, 3]
    voxels = np.full(SIZE, -1000, np.int16)
    for letter, way in BALLS.items():
        voxels[np.linalg.norm(ras - MIDDLE_RAS_MM - AWAY_MM * np.array(way), axis=-1) < 5] = VALUES[letter]
    return voxels, affine


def written(path: Path, direction: np.ndarray) -> Path:
    """Write the phantom: NIfTI with nibabel, NRRD and MetaImage with SimpleITK (LPS)."""
    voxels, affine = phantom(direction)
    if path.suffix == ".nii":
        nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
        return path
    to_lps = np.diag([-1.0, -1.0, 1.0])
    image = SimpleITK.GetImageFromArray(voxels.transpose(2, 1, 0))
    image.SetSpacing(SPACING_MM.tolist())
    image.SetDirection((to_lps @ direction).ravel().tolist())
    image.SetOrigin((to_lps @ affine[:3, 3]).tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


def shown(model: Any, path: Path) -> Any:
    [(data, about, kind)] = load([path])
    assert kind == "image"
    return model.add_image(data, **about)


def balls(layer: Any, timepoint: int | None = None) -> dict[str, np.ndarray]:
    """Return where napari draws each ball, in the viewer's world: mm along the layer's last three axes."""
    data = np.asarray(layer.data if timepoint is None else layer.data[timepoint])
    lead = [] if timepoint is None else [timepoint]
    found = {letter: np.argwhere(data == value).mean(0) for letter, value in VALUES.items()}
    return {letter: np.asarray(layer.data_to_world([*lead, *index]))[-3:] for letter, index in found.items()}


def middle(layer: Any) -> np.ndarray:
    return np.asarray(layer.extent.world)[:, -3:].mean(0)


def assert_right_way_up(model: Any, layer: Any, timepoint: int | None = None) -> None:
    """Each ball lies towards the edge of the canvas that carries its letter, in all three planes."""
    at, centre, seen = balls(layer, timepoint), middle(layer), []
    orientation = [str(way) for way in compat.camera(model).orientation2d]
    labels = tuple(compat.axis_names(model))[-3:]
    for plane in PLANES.values():
        letters = edge_letters(labels, plane, orientation)
        for edge, axis, sign in (("left", 1, -1), ("right", 1, 1), ("top", 0, -1), ("bottom", 0, 1)):
            if letters[edge] in at:
                assert sign * (at[letters[edge]] - centre)[plane[axis]] > AWAY_MM / 2, (plane, edge, letters[edge])
                seen.append(letters[edge])
    assert sorted(seen) == ["A", "A", "R", "R", "S", "S"]  # two planes show each letter


def assert_not_mirrored(model: Any, layer: Any, timepoint: int | None = None) -> None:
    """(right, front, head) is a right-handed frame of the patient, and napari's 3-D view is one of the axes."""
    at, centre = balls(layer, timepoint), middle(layer)
    assert str(compat.camera(model).handedness.value) == "right"
    ways = np.stack([at[letter] - centre for letter in "RAS"]) / AWAY_MM
    assert np.linalg.det(ways) == pytest.approx(1.0, abs=0.1)


def assert_drawn_as_radiologists_do(model: Any, layer: Any) -> None:
    """The patient's right on the left of the screen, front up in axial, head up in coronal and sagittal."""
    at, centre = balls(layer), middle(layer)
    assert str(compat.camera(model).orientation2d) == str(type(compat.camera(model))().orientation2d)  # napari's own
    assert (at["R"] - centre)[2] < 0  # columns grow to the right
    assert (at["A"] - centre)[1] < 0  # rows grow downwards
    assert (at["S"] - centre)[0] < 0


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("number", range(24))
def test_a_file_is_shown_the_right_way_up_whatever_its_orientation(
    number: int, suffix: str, tmp_path: Path, model: Any
) -> None:
    layer = shown(model, written(tmp_path / f"scan{suffix}", turns()[number]))
    assert_right_way_up(model, layer)
    assert_not_mirrored(model, layer)
    assert_drawn_as_radiologists_do(model, layer)
    to_ipl = np.array([-1, -1, -1]) * (MIDDLE_RAS_MM)[::-1]  # RAS -> (S, A, R) -> (I, P, L)
    for letter, way in BALLS.items():
        expected = to_ipl - AWAY_MM * np.array(way)[::-1]
        assert np.allclose(balls(layer)[letter], expected, atol=0.5), letter


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("number", range(0, 24, 5))
def test_an_oblique_file_is_drawn_along_its_own_axes_at_true_scale(
    number: int, suffix: str, tmp_path: Path, model: Any
) -> None:
    layer = shown(model, written(tmp_path / f"scan{suffix}", oblique(17.0) @ turns()[number]))
    assert_right_way_up(model, layer)
    assert_not_mirrored(model, layer)
    assert np.allclose(middle(layer), -MIDDLE_RAS_MM[::-1], atol=1e-3)
    for letter, at in balls(layer).items():
        assert np.linalg.norm(at - middle(layer)) == pytest.approx(AWAY_MM, abs=0.5), letter


@pytest.mark.parametrize("number", range(0, 24, 5))
def test_every_frame_of_a_film_is_shown_the_right_way_up(number: int, tmp_path: Path, model: Any) -> None:
    voxels, affine = phantom(turns()[number])
    film = np.stack([voxels, np.where(voxels > 0, voxels, voxels // 2), voxels], -1)
    nibabel.save(nibabel.Nifti1Image(film, affine), tmp_path / "film.nii.gz")
    layer = shown(model, tmp_path / "film.nii.gz")
    assert layer.data.shape[0] == 3
    assert np.allclose(middle(layer), -MIDDLE_RAS_MM[::-1], atol=1e-3)
    for timepoint in range(3):
        assert_right_way_up(model, layer, timepoint)
        assert_not_mirrored(model, layer, timepoint)


class Drawn:
    """Where a layer draws the voxels of its data, in mm along (S, P, L) as DICOM's headers tell them."""

    def __init__(self, layer: Any) -> None:
        self._scale, self._translate = np.asarray(layer.scale), np.asarray(layer.translate)

    def world_mm(self, voxels: np.ndarray) -> np.ndarray:
        return (voxels * self._scale + self._translate) * (-1, 1, 1)

    def voxel(self, world_mm: np.ndarray) -> np.ndarray:
        return (world_mm * (-1, 1, 1) - self._translate) / self._scale


@pytest.mark.parametrize("number", range(0, 24, 3))
def test_a_dicom_series_is_drawn_where_its_headers_say(number: int, tmp_path: Path, model: Any) -> None:
    where = awkward.place(awkward.orientations()[number])
    folder = awkward.save(tmp_path / "series", awkward.images(where), seed=number)
    layer = shown(model, folder)
    assert awkward.worst_voxels(np.asarray(layer.data), Drawn(layer), where.world_mm()) < 0.1
