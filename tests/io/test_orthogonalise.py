"""Axes off right angles: a hair is turned, a shear is resampled, and every point keeps its place in mm."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from made_scans import FIRST_MM, centres_mm
from voxtrace.errors import ReadError
from voxtrace.io import read, read_labels, write
from voxtrace.io.orthogonalise import orthogonalise, resample
from voxtrace.io.raw_affine import RawAffine
from voxtrace.volume import Array, LabelMap, Volume

SIZE = (20, 24, 16)  # x, y, z
SPACING_MM = (1.5, 1.0, 2.0)


def sheared(angle_deg: float, of: int = 2, towards: int = 1) -> Array:
    """Return steps (3, 3) whose axis ``of`` leans by an angle towards another."""
    directions = np.eye(3)
    directions[towards, of] = np.tan(np.radians(angle_deg))
    return directions / np.linalg.norm(directions, axis=0) * SPACING_MM


def indices(size=SIZE) -> Array:
    """Return (Z, Y, X, 3): the index (x, y, z) of every voxel."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in size[::-1]), indexing="ij")
    return np.stack([x, y, z], axis=-1)


def points_mm(steps: Array) -> Array:
    return indices() @ steps.T + FIRST_MM


def slope(points_mm: Array) -> Array:
    """Return an intensity that rises evenly through space, so that linear interpolation is exact."""
    rising: Array = points_mm @ (3.0, -5.0, 7.0) + 1000.0
    return rising


def ball(steps: Array, middle: tuple[int, int, int] = (9, 13, 7)) -> tuple[Array, Array]:
    """Return a ball of 5 mm about a voxel, (Z, Y, X) uint8, and where its middle lies, (L, P, S) mm."""
    middle_mm = steps @ middle + FIRST_MM
    inside = np.linalg.norm(points_mm(steps) - middle_mm, axis=-1) <= 5.0
    return inside.astype(np.uint8), middle_mm


def save(path: Path, steps: Array, array: Array) -> Path:
    if path.suffix == ".nii":
        affine = np.eye(4)
        affine[:3] = np.diag([-1, -1, 1]) @ np.column_stack([steps, FIRST_MM])
        nibabel.save(nibabel.Nifti1Image(array.T, affine), path)
    else:
        spacing = np.linalg.norm(steps, axis=0)
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing(tuple(spacing))
        image.SetOrigin(FIRST_MM)
        image.SetDirection(tuple((steps / spacing).ravel()))
        SimpleITK.WriteImage(image, str(path))
    return path


def lps_mm(volume: Volume | LabelMap) -> Array:
    """Return (Z, Y, X, 3): where each voxel of canonical data lies, (L, P, S)."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.geometry.shape), indexing="ij"), -1)
    return volume.geometry.world_mm(index)[..., ::-1]


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("angle_deg", [1.0, 12.0, -30.0])
def test_a_sheared_volume_is_resampled_so_that_every_intensity_keeps_its_place(
    tmp_path: Path, suffix: str, angle_deg: float
) -> None:
    steps = sheared(angle_deg)
    volume = read(save(tmp_path / f"a{suffix}", steps, slope(points_mm(steps)).astype(np.float32)))
    [found] = [f for f in volume.passport.findings if f.what == "axes"]
    assert (found.verdict, found.found) == ("corrected", f"sheared by {abs(angle_deg):.1f}°")
    directions = volume.geometry.matrix[:3, :3] / volume.geometry.spacing_mm
    assert np.allclose(directions.T @ directions, np.eye(3), atol=1e-12)
    where = lps_mm(volume)
    index = np.rint((where - FIRST_MM) @ np.linalg.inv(steps).T * 1e6) / 1e6
    inside = np.all((index >= 0) & (index <= np.asarray(SIZE) - 1), axis=-1)
    assert inside.sum() > 0.5 * np.prod(SIZE)
    assert volume.data[0][inside] == pytest.approx(slope(where)[inside], abs=0.01)
    assert np.all(volume.data[0][~inside] >= slope(points_mm(steps)).min() - 0.01)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_the_new_grid_holds_the_whole_volume(tmp_path: Path, suffix: str) -> None:
    """All 20 · 24 · 16 voxels of ones are found again: their volume in mL is as large as before."""
    steps = sheared(12.0)
    labels = read_labels(save(tmp_path / f"a{suffix}", steps, np.ones(SIZE[::-1], np.uint8)))
    before_ml = np.prod(SIZE) * np.prod(SPACING_MM) * np.cos(np.radians(12)) / 1000
    assert np.count_nonzero(labels.data) * labels.geometry.voxel_ml == pytest.approx(before_ml, rel=0.05)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_labels_of_a_sheared_image_are_written_where_they_were(tmp_path: Path, suffix: str) -> None:
    drawn, middle_mm = ball(sheared(12.0))
    volume = read(save(tmp_path / f"a{suffix}", sheared(12.0), drawn.astype(np.float32)))
    labels = LabelMap(volume.data[0] > 0.5, volume.geometry)
    out = write(labels, tmp_path / f"out{suffix}")
    assert np.linalg.norm(centres_mm(out)[1] - middle_mm) < 0.1
    again = read_labels(save(tmp_path / f"b{suffix}", sheared(12.0), drawn))
    assert set(np.unique(again.data)) == {0, 1}
    assert again.geometry == volume.geometry


def test_a_shear_within_the_plane_is_resampled_too() -> None:
    steps = sheared(20.0, of=1, towards=0)
    fit = orthogonalise(RawAffine(SIZE, steps, np.array(FIRST_MM)), Path("a"))
    assert fit.resample
    assert fit.affine.size[2] == SIZE[2]  # planes stay planes
    assert fit.affine.spacing_mm[2] == pytest.approx(SPACING_MM[2])


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_axes_a_hair_off_are_turned_and_no_voxel_is_changed(tmp_path: Path, suffix: str) -> None:
    drawn, middle_mm = ball(sheared(0.3))
    volume = read(save(tmp_path / f"a{suffix}", sheared(0.3), drawn))
    [found] = [f for f in volume.passport.findings if f.what == "axes"]
    assert found.verdict == "corrected"
    assert found.found == "0.3° off right angles"
    assert "no corner by more than 0." in found.remedy
    assert volume.data.dtype == np.uint8
    assert volume.data.sum() == drawn.sum()
    centre = np.argwhere(volume.data[0]).mean(axis=0)
    assert np.linalg.norm(volume.geometry.world_mm(centre)[::-1] - middle_mm) < 0.1
    out = write(LabelMap(volume.data[0], volume.geometry), tmp_path / f"out{suffix}")
    assert np.linalg.norm(centres_mm(out)[1] - middle_mm) < 0.1


def test_a_hair_over_a_long_way_is_a_shear() -> None:
    """0.3° over 512 voxels moves a corner by more than half a voxel, so the voxels are resampled."""
    steps = sheared(0.3)
    assert orthogonalise(RawAffine((512, 512, 512), steps, np.zeros(3)), Path("a")).resample
    assert not orthogonalise(RawAffine(SIZE, steps, np.zeros(3)), Path("a")).resample


def test_rounding_is_no_finding() -> None:
    fit = orthogonalise(RawAffine(SIZE, sheared(0.005), np.zeros(3)), Path("a"))
    assert (fit.finding.verdict, fit.resample) == ("fine", False)


def test_a_lean_that_would_leave_a_grid_mostly_empty_is_refused() -> None:
    """400 slices of 24 mm that lean by 85° need a grid 800 mm long."""
    with pytest.raises(ReadError, match=r"85° off right angles.*mostly empty"):
        orthogonalise(RawAffine((20, 24, 400), sheared(85.0), np.zeros(3)), Path("a"))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shear=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    spacing_mm=st.tuples(*[st.floats(0.5, 4.0)] * 3),
    mirrored=st.booleans(),
)
def test_any_affine_brings_an_even_slope_to_the_same_slope(seed, shear, spacing_mm, mirrored) -> None:
    leaning = np.eye(3) + np.array([[0, shear[0], shear[1]], [0, 0, shear[2]], [0, 0, 0]])
    mirror = (1, 1, -1 if mirrored else 1)
    steps = Rotation.random(random_state=seed).as_matrix() @ leaning * spacing_mm * mirror
    source = RawAffine((6, 7, 8), steps, np.array(FIRST_MM))
    try:
        fit = orthogonalise(source, Path("a"))
    except ReadError as refusal:  # rightly so only where the grid around it has more than eight times the voxels
        size = re.search(r"would have (\d+)×(\d+)×(\d+) voxels", str(refusal))
        assert size is not None
        assert np.prod([int(n) for n in size.groups()]) > 8 * 6 * 7 * 8
        return
    target = fit.affine
    at_mm = indices((6, 7, 8)) @ steps.T + FIRST_MM
    moved = resample(slope(at_mm).astype(np.float64), source, target, labels=False)
    where_mm = indices(target.size) @ target.steps_mm.T + target.origin_mm
    index = (where_mm - FIRST_MM) @ np.linalg.inv(steps).T
    inside = np.all((index >= 0.01) & (index <= np.array([4.99, 5.99, 6.99])), axis=-1)
    assert moved[inside] == pytest.approx(slope(where_mm)[inside], abs=0.02)
    corners = (source.landmarks_mm - target.origin_mm) @ np.linalg.inv(target.steps_mm).T
    assert fit.resample is False or np.all((corners > -1e-6) & (corners < np.asarray(target.size) - 1 + 1e-6))
    assert np.linalg.det(target.steps_mm) * np.linalg.det(steps) > 0  # never mirrored
