"""Files open in canonical orientation, and what is no volume is refused in one sentence."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from voxtrace.errors import GeometryError, ReadError
from voxtrace.io import SUFFIXES, read, read_labels
from voxtrace.volume import Array

ARRAY = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def save(path: Path, array: Array = ARRAY, spacing_mm=(1.0, 2.0, 5.0), compress=True, **options) -> Path:
    image = SimpleITK.GetImageFromArray(array, **options)
    image.SetSpacing(spacing_mm[: image.GetDimension()] + (1.0,) * (image.GetDimension() - 3))
    SimpleITK.WriteImage(image, str(path), compress)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_same_volume(tmp_path: Path, suffix: str) -> None:
    volume = read(save(tmp_path / f"my.case{suffix}"))
    assert np.array_equal(volume.data, ARRAY[np.newaxis])
    assert volume.data.dtype == np.int16
    assert volume.geometry.spacing_mm == (5.0, 2.0, 1.0)
    assert volume.name == "my.case"


def test_a_ras_nifti_is_turned_to_run_to_left_and_back(tmp_path: Path) -> None:
    """In RAS the first index runs to the patient's right and the second to the front: both turn round."""
    array = ARRAY.transpose()  # nibabel's (x, y, z)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 2.0, 5.0, 1.0])), tmp_path / "ras.nii")
    volume = read(tmp_path / "ras.nii")
    assert np.array_equal(volume.data[0], ARRAY[:, ::-1, ::-1])
    assert np.array_equal(np.sign(np.diag(volume.geometry.matrix)), [1, 1, 1, 1])
    assert volume.data.flags.c_contiguous


def test_double_precision_becomes_single_and_integers_stay(tmp_path: Path) -> None:
    assert read(save(tmp_path / "a.nrrd", ARRAY.astype(np.float64))).data.dtype == np.float32
    assert read(save(tmp_path / "b.nrrd", ARRAY.astype(np.uint8))).data.dtype == np.uint8


def test_several_files_are_the_channels_of_one_case(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"case_{k:04d}.nii.gz", ARRAY + np.int16(k)) for k in range(3)]
    volume = read(paths)
    assert volume.data[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert volume.name == "case"


def test_channels_on_different_grids_are_refused(tmp_path: Path) -> None:
    paths = [save(tmp_path / "a.nii.gz"), save(tmp_path / "b.nii.gz", spacing_mm=(2.0, 2.0, 5.0))]
    with pytest.raises(GeometryError, match="b lies on another grid than a"):
        read(paths)


def test_a_fourth_axis_of_length_one_is_no_obstacle(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 2, 1), np.int16), np.eye(4)), tmp_path / "one.nii.gz")
    assert read(tmp_path / "one.nii.gz").data.shape == (1, 2, 3, 4)


def refused(path: Path | list[Path], *words: str, by=read) -> None:
    with pytest.raises(ReadError) as caught:
        by(path)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.nii.gz", "does not exist")
    refused([], "empty list")


@pytest.mark.parametrize("name", ["notes.txt", "picture.png", "no_suffix"])
def test_what_is_not_a_volume_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x89PNG or words" * 20)
    refused(tmp_path / name, "is not a volume", ".nii.gz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_words_under_a_volumes_name_are_refused(tmp_path: Path, suffix: str, capfd) -> None:
    (tmp_path / f"a{suffix}").write_text("these are words\n" * 50)
    refused(tmp_path / f"a{suffix}", f"a{suffix}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_no_bytes_is_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").touch()
    refused(tmp_path / f"a{suffix}", "0 bytes")


@pytest.mark.parametrize("compress", [True, False], ids=["packed", "plain"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, compress: bool, capfd) -> None:
    path = save(
        tmp_path / f"a{suffix}", np.random.default_rng(0).integers(0, 999, (9, 30, 30), np.int16), compress=compress
    )
    voxels = path if suffix != ".mhd" else path.with_suffix(".zraw" if compress else ".raw")
    content = voxels.read_bytes()
    voxels.write_bytes(content[: len(content) * 2 // 3])
    refused(path, f"a{suffix}", "again")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_a_changed_byte_in_compressed_voxels_is_noticed(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}", np.random.default_rng(0).integers(0, 999, (9, 30, 30), np.int16))
    voxels = path if suffix != ".mhd" else path.with_suffix(".zraw")
    content = bytearray(voxels.read_bytes())
    content[len(content) // 2] ^= 0xFF
    voxels.write_bytes(content)
    refused(path, "again")


def test_a_header_without_its_voxels_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mhd")
    path.with_suffix(".zraw").unlink()
    refused(path, "a.zraw", "not beside it")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_nan_and_infinity_are_counted_and_refused(tmp_path: Path, suffix: str, kind: type) -> None:
    array = ARRAY.astype(kind)
    array[0, 0, :2], array[1, 2, 3] = np.nan, np.inf
    refused(save(tmp_path / f"a{suffix}", array), "3 of 24 voxels are NaN or infinite")


def test_a_picture_of_two_dimensions_is_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 4), np.int16), np.eye(4)), tmp_path / "flat.nii.gz")
    refused(tmp_path / "flat.nii.gz", "two-dimensional", "5×4")


def test_colours_are_refused(tmp_path: Path) -> None:
    refused(save(tmp_path / "rgb.mha", np.zeros((2, 3, 4, 3), np.uint8), isVector=True), "3 values in each voxel")


def test_labels_with_fractions_or_below_zero_are_refused(tmp_path: Path) -> None:
    refused(save(tmp_path / "a.nii.gz", ARRAY + np.float32(0.5)), "is not a label map", "fractions", by=read_labels)
    refused(save(tmp_path / "b.nii.gz", ARRAY - np.int16(9)), "is not a label map", "-9", by=read_labels)


def test_whole_numbers_in_floating_point_are_labels(tmp_path: Path) -> None:
    assert read_labels(save(tmp_path / "a.nii.gz", ARRAY.astype(np.float32))).data.dtype == np.uint8


def test_both_byte_orders_are_read(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ARRAY.transpose().astype(">f4"), np.eye(4))
    nibabel.save(nibabel.Nifti1Image(image.dataobj, None, image.header.as_byteswapped(">")), tmp_path / "big.nii.gz")
    with gzip.open(tmp_path / "big.nii.gz") as file:
        assert file.read(4) == b"\0\0\x01\x5c"
    assert np.array_equal(read(tmp_path / "big.nii.gz").data[0], ARRAY[:, ::-1, ::-1])


def test_real_labels_bring_the_names_that_other_programs_gave_them(real_data: Path) -> None:
    labels = read_labels(real_data / "ct_abdomen" / "upper_abdomen_3mm_labels.nii.gz")
    assert labels.names[5] == "liver"
    assert labels.colours[1] == (0.0, 1.0, 0.0)


def test_a_real_ct_lies_the_right_way_round(real_data: Path) -> None:
    """Read from a file stored in LAS or RAS, the liver is at the patient's right, low x, and the vertebrae behind."""
    labels = read_labels(real_data / "ct_abdomen" / "upper_abdomen_3mm_labels.nii.gz")
    middle = np.asarray(labels.data.shape) / 2
    centre = {
        name: np.argwhere(labels.data == k).mean(axis=0) for k, name in labels.names.items() if k in labels.values
    }
    assert centre["liver"][2] < middle[2] < centre["spleen"][2]
    assert centre["vertebrae_L1"][1] > middle[1]
    assert centre["vertebrae_T11"][0] > centre["vertebrae_L2"][0]
