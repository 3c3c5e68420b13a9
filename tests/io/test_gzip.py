"""Packed NIfTI is unpacked once, while it is checked; what comes out is what other readers see."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxtrace.errors import ReadError
from voxtrace.io import read, write
from voxtrace.io.itk import simpleitk
from voxtrace.io.nifti import read_nifti
from voxtrace.volume import Geometry, LabelMap

KINDS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")


def save(path: Path, array: np.ndarray, slope: float = 1.0) -> Path:
    """Save (Z, Y, X), or (T, Z, Y, X), as its own number type."""
    image = nibabel.Nifti1Image(array.T, np.diag([-1.0, -2.0, 3.0, 1.0]), dtype=array.dtype)
    image.header.set_slope_inter(slope, 0)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_that_itk_reads(tmp_path: Path, kind: str, order: str, suffix: str) -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(np.dtype(kind).newbyteorder(order))
    path = tmp_path / f"a{suffix}"
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(array.dtype)
    nibabel.Nifti1Image(array.T, np.diag([-1.0, -2.0, 3.0, 1.0]), header).to_filename(path)
    found = read_nifti(path).voxels
    assert found is not None
    assert found.dtype == np.dtype(kind)
    assert np.array_equal(found, simpleitk().GetArrayFromImage(simpleitk().ReadImage(str(path))))
    assert np.array_equal(read(path).data[0], array)


def test_what_is_not_one_volume_of_real_numbers_gives_no_voxels(tmp_path: Path) -> None:
    film = save(tmp_path / "film.nii.gz", np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5))
    assert read_nifti(film).voxels is None
    assert read_nifti(film, 2).voxels is None
    second = read_nifti(film, 1).voxels
    assert second is not None
    assert np.array_equal(second, np.arange(60, 120).reshape(3, 4, 5))
    assert read_nifti(save(tmp_path / "flat.nii.gz", np.zeros((3, 4), np.int16))).voxels is None
    assert read_nifti(save(tmp_path / "waves.nii.gz", np.zeros((2, 3, 4), np.complex64))).voxels is None


def test_a_header_that_promises_more_than_any_stream_could_hold_costs_no_memory(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros((2, 3, 4), np.int16))
    plain = bytearray(gzip.decompress(path.read_bytes()))
    plain[42:48] = np.full(3, 32767, "<i2").tobytes()  # 64 TiB
    path.write_bytes(gzip.compress(plain))
    with pytest.raises(ReadError, match="bytes cannot hold the"):
        read(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_voxel_that_is_no_number_is_counted_while_it_is_unpacked(tmp_path: Path, bad: float) -> None:
    array = np.zeros((2, 3, 4), np.float32)
    array[1, 2, 3] = bad
    with pytest.raises(ReadError, match="1 of 24 voxels are NaN or infinite"):
        read_nifti(save(tmp_path / "a.nii.gz", array))


def test_equal_labels_give_equal_bytes(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (5, 6, 7)).astype(np.uint8)
    item = LabelMap(labels, Geometry.from_spacing(labels.shape, (3.0, 1.0, 1.0)))
    first, second = (write(item, tmp_path / name).read_bytes() for name in ("a.nii.gz", "b.nii.gz"))
    assert first == second
    assert np.array_equal(nibabel.load(tmp_path / "a.nii.gz").get_fdata().T, labels)


def test_a_volume_is_its_own_and_not_the_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", np.ones((2, 3, 4), np.int16))
    before = path.read_bytes()
    read(path).data[:] = 7
    assert path.read_bytes() == before
