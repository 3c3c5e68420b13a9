"""Headers of NIfTI are read as ITK and nibabel read them, and written so that both see the same place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import voxtrace
from voxtrace.errors import OutputError, ReadError
from voxtrace.io import label_names, read, read_labels
from voxtrace.io.nifti import affine_of, parse_header, read_header
from voxtrace.io.nifti.encoding import encode_header, quaternion_of
from voxtrace.io.raw_affine import RawAffine
from voxtrace.volume import Array, Geometry, Grid, LabelMap

SIZE = (3, 4, 5)
XML = '<LabelTable><Label Key="1" Red="1" Green="0" Blue="0">liver</Label></LabelTable>'


def grid_at(seed: int, *, left_handed: bool) -> Grid:
    rng = np.random.default_rng(seed)
    direction = Rotation.random(random_state=seed).as_matrix() * (1, 1, -1 if left_handed else 1)
    spacing, origin = rng.uniform(0.3, 5.0, 3).tolist(), rng.normal(scale=200.0, size=3).tolist()
    return Grid(SIZE, tuple(spacing), tuple(origin), tuple(direction.ravel().tolist()))


@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_what_is_written_lies_where_nibabel_and_itk_see_it(tmp_path: Path, seed: int, left_handed: bool) -> None:
    grid = grid_at(seed, left_handed=left_handed)
    path = tmp_path / "a.nii"
    path.write_bytes(encode_header(grid, np.dtype(np.uint8)) + bytes(60))
    image = nibabel.load(path)
    expected = np.diag([-1.0, -1.0, 1.0]) @ (np.reshape(grid.direction, (3, 3)) * grid.spacing_mm)
    assert image.get_sform()[:3, :3] == pytest.approx(expected, abs=1e-5)
    # near a half turn the fourth number of the quaternion is the root of a small difference of 32-bit numbers
    assert image.get_qform()[:3, :3] == pytest.approx(expected, abs=1e-4)
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (1, 1)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    by_itk = SimpleITK.ReadImage(str(path))
    assert by_itk.GetSize() == SIZE
    assert by_itk.GetSpacing() == pytest.approx(grid.spacing_mm, rel=1e-6)
    assert by_itk.GetOrigin() == pytest.approx(grid.origin_mm, rel=1e-6)
    assert by_itk.GetDirection() == pytest.approx(grid.direction, abs=1e-6)


@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_header_is_the_one_that_itk_writes(tmp_path: Path, seed: int, left_handed: bool) -> None:
    grid = grid_at(seed, left_handed=left_handed)
    image = SimpleITK.GetImageFromArray(np.zeros(SIZE[::-1], np.uint16))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    SimpleITK.WriteImage(image, str(tmp_path / "itk.nii"))
    theirs = nibabel.Nifti1Header((tmp_path / "itk.nii").read_bytes()[:348])
    ours = nibabel.Nifti1Header(encode_header(grid, np.dtype(np.uint16))[:348])
    for key in theirs:
        found, expected = np.asarray(ours[key]), np.asarray(theirs[key])
        same = np.allclose(found, expected, atol=1e-5) if found.dtype.kind == "f" else np.array_equal(found, expected)
        assert same, key


rotations = st.integers(0, 2**32 - 1).map(lambda seed: Rotation.random(random_state=seed).as_matrix())
half_turns = st.sampled_from([np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), np.diag([-1.0, -1, 1]), np.eye(3)])


@given(st.one_of(rotations, half_turns), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_quaternion_leads_back_to_its_directions(turn: Array, left_handed: bool) -> None:
    directions = turn * (1, 1, -1 if left_handed else 1)
    handedness, (b, c, d) = quaternion_of(directions)
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    assert handedness == (-1.0 if left_handed else 1.0)
    assert Rotation.from_quat([b, c, d, a]).as_matrix() * (1, 1, handedness) == pytest.approx(directions, abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_header_read_back_puts_the_voxels_where_they_were(seed: int, left_handed: bool) -> None:
    grid = grid_at(seed, left_handed=left_handed)
    header = parse_header(encode_header(grid, np.dtype(np.int16)).ljust(540, b"\0"), Path("a"))
    affine, _ = affine_of(header, Path("a"))
    assert (header.sizes[:3], header.number_type, header.rescale) == (SIZE, "<i2", None)
    assert affine.distance_mm(RawAffine.of(grid)) < 1e-3


def test_a_number_type_that_nifti_does_not_have_is_refused() -> None:
    with pytest.raises(OutputError, match="cannot be written as NIfTI; convert them to float32"):
        encode_header(grid_at(0, left_handed=False), np.dtype(np.complex64))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_file_is_opened_once_to_be_read_and_once_more_to_be_verified(tmp_path: Path, suffix: str) -> None:
    labels = LabelMap(np.ones((2, 3, 4), np.uint8), Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0)), {1: "liver"})
    voxtrace.write(labels, tmp_path / f"a{suffix}")
    script = f"""
import os, sys
import voxtrace
from pathlib import Path
folder, opened = Path({str(tmp_path)!r}), []
def hook(event, args):
    if event == "open" and isinstance(args[0], (str, os.PathLike)) and Path(args[0]).parent == folder:
        opened.append(Path(args[0]).name)
sys.addaudithook(hook)
labels = voxtrace.read_labels(folder / "a{suffix}")
assert opened == ["a{suffix}"], opened
opened.clear()
voxtrace.read(folder / "a{suffix}")
assert opened == ["a{suffix}"], opened
opened.clear()
voxtrace.write(labels, folder / "b{suffix}")
assert len(opened) == 3 and len(set(opened)) == 1, opened  # written, read back, flushed to the disk
assert not {{"SimpleITK", "nibabel"}} & set(sys.modules)
"""
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


def test_a_packed_file_beside_a_plain_one_of_its_name_is_read_itself(tmp_path: Path) -> None:
    packed, plain = np.full((2, 3, 4), 5, np.int16), np.full((2, 3, 4), 7, np.int16)
    for name, array in (("a.nii.gz", packed), ("a.nii", plain)):
        image = nibabel.Nifti1Image(array.T, np.eye(4))
        image.header.set_slope_inter(2, 0)
        nibabel.save(image, tmp_path / name)
    assert read(tmp_path / "a.nii.gz").data.max() == 10.0
    assert read(tmp_path / "a.nii").data.max() == 14.0


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("scale", [(2.0, 0.0), (0.5, -1024.0), (-1.0, 3.0), (1.0, 7.0)])
def test_values_are_rescaled_as_nibabel_does(tmp_path: Path, kind: type, scale: tuple[float, float]) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    image = nibabel.Nifti1Image(array.T, np.diag([-1.0, -1.0, 1.0, 1.0]), dtype=kind)
    image.header.set_slope_inter(*scale)
    nibabel.save(image, tmp_path / "a.nii.gz")
    found = read(tmp_path / "a.nii.gz").data[0]
    assert found.dtype == np.float32
    assert np.array_equal(found, nibabel.load(tmp_path / "a.nii.gz").get_fdata().T.astype(np.float32))


@pytest.mark.parametrize("version", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_names_are_read_from_both_versions(tmp_path: Path, version: type) -> None:
    image = version(np.ones((2, 3, 4), np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, XML.encode()))
    nibabel.save(image, tmp_path / "a.nii.gz")
    assert label_names(tmp_path / "a.nii.gz") == {1: "liver"}
    assert dict(read_labels(tmp_path / "a.nii.gz").colours) == {1: (1.0, 0.0, 0.0)}


@pytest.mark.parametrize("code", [0, 1, 1536, 2048, 77])
def test_numbers_of_an_unknown_type_are_refused_by_name(tmp_path: Path, code: int) -> None:
    start = bytearray(encode_header(grid_at(0, left_handed=False), np.dtype(np.uint8)))
    start[70:72] = code.to_bytes(2, "little")
    (tmp_path / "a.nii").write_bytes(bytes(start) + bytes(2000))
    with pytest.raises(ReadError, match=f"NIfTI datatype {code}.*Convert the file"):
        read(tmp_path / "a.nii")


def test_an_axis_without_voxels_is_refused(tmp_path: Path) -> None:
    start = bytearray(encode_header(grid_at(0, left_handed=False), np.dtype(np.uint8)))
    start[46:48] = bytes(2)
    (tmp_path / "a.nii").write_bytes(bytes(start) + bytes(60))
    with pytest.raises(ReadError, match="3×4×0 voxels; expected at least one along each axis"):
        read(tmp_path / "a.nii")


@pytest.mark.parametrize(("at", "value"), [(176, 1e300), (400, 1e200), (400, np.nan), (168, 2**62)])
def test_numbers_beyond_all_measure_are_refused(tmp_path: Path, at: int, value: float) -> None:
    """64-bit numbers of a NIfTI-2 header: slope, matrix (twice), and an offset that is no position in a file."""
    image = nibabel.Nifti2Image(np.ones((4, 3, 2), np.uint8), np.diag([-1.0, -2.0, 3.0, 1.0]))
    image.header["qform_code"] = 0
    nibabel.save(image, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[at : at + 8] = np.array(value, "<i8" if isinstance(value, int) else "<f8").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(ReadError):
        read(tmp_path / "a.nii")


def test_a_header_is_read_without_its_voxels(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(encode_header(grid_at(0, left_handed=False), np.dtype(np.uint8)) + bytes(200))
    assert read_header(tmp_path / "a.nii").voxels is None
