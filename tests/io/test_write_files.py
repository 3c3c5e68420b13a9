"""Label maps return to the grid of the input, bit for bit, and nothing half-written stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from voxtrace import atomic
from voxtrace.errors import OutputError
from voxtrace.io import SUFFIXES, read, read_labels, voxel_writing, write
from voxtrace.io.gzip import as_bytes
from voxtrace.io.nifti import encoding
from voxtrace.volume import Geometry, LabelMap, Volume

NAMES = {1: "liver", 2: "kidney, left & <right>", 300: "Milz – groß"}
COLOURS = {1: (0.1, 0.2, 0.3), 300: (1.0, 0.0, 1.0 / 3.0)}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def grid(path: Path) -> tuple:
    image = SimpleITK.ReadImage(str(path))
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


def labels_on(geometry: Geometry) -> LabelMap:
    data = np.arange(np.prod(geometry.shape)).reshape(geometry.shape) % 301
    return LabelMap(data.astype(np.uint16), geometry, NAMES, COLOURS)


def oblique_nifti(path: Path, seed: int, sform: int, qform: int, byte_order: str = "<") -> Path:
    """Write a NIfTI file at a random angle, right- or left-handed, as nibabel would."""
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    handed = (1, 1, -1) if seed % 2 else (1, 1, 1)
    affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() * rng.uniform(0.3, 5.0, 3) * handed
    affine[:3, 3] = rng.normal(scale=200.0, size=3)
    image = nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(6, 5, 4), affine)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    nibabel.save(nibabel.Nifti1Image(image.dataobj, None, image.header.as_byteswapped(byte_order)), path)
    return path


@pytest.mark.parametrize("codes", [(1, 1), (2, 1), (0, 1), (4, 0)], ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_nifti_returns_to_an_oblique_nifti_grid_bit_for_bit(tmp_path: Path, seed: int, codes: tuple[int, int]) -> None:
    source = oblique_nifti(tmp_path / "in.nii.gz", seed, *codes, byte_order="<>"[seed % 2])
    volume = read(source)
    out = write(volume, tmp_path / "out.nii.gz")
    assert grid(out) == grid(source)
    before, after = nibabel.load(source), nibabel.load(out)
    assert np.array_equal(before.affine, after.affine)
    assert np.array_equal(np.asarray(before.dataobj), np.asarray(after.dataobj))
    for field in ("qform_code", "sform_code", "xyzt_units"):
        assert before.header[field] == after.header[field]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_return_to_the_input_grid(tmp_path: Path, suffix: str) -> None:
    image = SimpleITK.GetImageFromArray(np.zeros((3, 4, 5), np.int16))
    image.SetSpacing((0.7, 1.1, 3.3))
    image.SetOrigin((-12.3, 45.6, -78.9))
    image.SetDirection((0, 0, -1, 1, 0, 0, 0, -1, 0))
    SimpleITK.WriteImage(image, str(tmp_path / f"in{suffix}"))
    labels = labels_on(read(tmp_path / f"in{suffix}").geometry)
    out = write(labels, tmp_path / f"out{suffix}")
    assert grid(out) == grid(tmp_path / f"in{suffix}")
    again = read_labels(out)
    assert np.array_equal(again.data, labels.data)
    assert again.geometry == labels.geometry


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_and_colours_travel_with_the_labels(tmp_path: Path, suffix: str) -> None:
    labels = labels_on(Geometry.from_spacing((7, 8, 9), (3.0, 2.0, 1.0)))
    again = read_labels(write(labels, tmp_path / f"a{suffix}"))
    assert dict(again.names) == NAMES
    assert dict(again.colours) == COLOURS
    assert np.array_equal(again.data, labels.data)


def test_a_hostile_label_table_is_passed_over(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><LabelTable><Label Key="1">&a;</Label></LabelTable>'
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, bomb))
    nibabel.save(image, tmp_path / "a.nii.gz")
    assert read_labels(tmp_path / "a.nii.gz").names == {}


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_nibabel_reads_labels_behind_the_table_of_names(tmp_path: Path, suffix: str) -> None:
    labels = labels_on(Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0)))
    image = nibabel.load(write(labels, tmp_path / f"a{suffix}"))
    assert np.array_equal(np.asarray(image.dataobj).T, labels.data)
    assert b"liver" in image.header.extensions[0].get_content()


def test_a_volume_made_in_memory_is_written_as_it_is(tmp_path: Path) -> None:
    geometry = Geometry.from_spacing((2, 3, 4), (5.0, 2.0, 1.0), (7.0, 8.0, 9.0))
    volume = Volume(np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4), geometry)
    again = read(write(volume, tmp_path / "a.nii.gz"))
    assert np.array_equal(again.data, volume.data)
    assert again.geometry == geometry


@pytest.mark.parametrize("kind", [bool, np.float16, np.int8, np.uint16, np.int64, np.float64])
def test_every_number_type_can_be_written(tmp_path: Path, kind: type) -> None:
    volume = Volume(np.ones((1, 2, 2, 2), kind), Geometry.from_spacing((2, 2, 2), (1.0, 1.0, 1.0)))
    assert np.all(read(write(volume, tmp_path / "a.nrrd")).data == 1)


def test_equal_labels_give_equal_files(tmp_path: Path) -> None:
    labels = labels_on(Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0)))
    assert write(labels, tmp_path / "a.nii.gz").read_bytes() == write(labels, tmp_path / "b.nii.gz").read_bytes()


def refused(item: LabelMap | Volume, path: Path, *words: str) -> None:
    with pytest.raises(OutputError) as caught:
        write(item, path)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    geometry = Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0))
    labels = labels_on(geometry)
    refused(labels, tmp_path / "a.dcm", "does not know the DICOM images it belongs to")
    refused(labels, tmp_path / "a.png", "names no format", ".nii.gz, .nii, .nrrd, .mha, .mhd", ".json")
    refused(Volume(np.zeros((2, 2, 3, 4)), geometry), tmp_path / "a.nii", "2 channels")
    assert names_in(tmp_path) == []


def test_an_array_that_no_longer_fits_its_stored_grid_is_refused(tmp_path: Path) -> None:
    stored = Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0)).grid
    cropped = Geometry((1, 3, 4), Geometry.from_grid(stored).affine, stored)
    refused(labels_on(cropped), tmp_path / "a.nii", "expected equal shapes", "Geometry.part")
    part = Geometry.from_grid(stored).part((1, 0, 0), (1, 3, 4))
    assert read_labels(write(labels_on(part), tmp_path / "a.nii")).geometry.origin_mm == (3.0, 0.0, 0.0)


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(labels_on(Geometry.from_spacing((1, 1, 1), (1.0, 1.0, 1.0))), tmp_path / "file" / "a.nii", "not a folder")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_half_written_stays_when_the_disk_is_full(tmp_path: Path, suffix: str, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    monkeypatch.setattr(atomic.os, "fsync", full)
    refused(labels_on(Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0))), path, "no space left")
    assert names_in(tmp_path) == [path.name]
    assert path.read_text() == "old"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_half_written_stays_when_the_file_is_incomplete(tmp_path: Path, suffix: str, monkeypatch) -> None:
    for module in (encoding, voxel_writing):
        monkeypatch.setattr(module, "as_bytes", lambda array: as_bytes(array)[:-7])
    geometry = Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0))
    refused(labels_on(geometry), tmp_path / f"a{suffix}", "No file was kept")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["upper_abdomen_3mm_ct.nii.gz", "trunk_3mm_ct.nii.gz", "mr_3mm.nii.gz", "dicom_labels.nii.gz"]
)
def test_real_nifti_grids_come_back_exactly(tmp_path: Path, real_data: Path, name: str) -> None:
    source = real_data / "ct_abdomen" / name
    volume = read(source)
    out = write(LabelMap(volume.data[0] > 0, volume.geometry, NAMES), tmp_path / "out.nii.gz")
    assert grid(out) == grid(source)
    assert np.array_equal(nibabel.load(out).affine, nibabel.load(source).affine)
    assert np.array_equal(np.asarray(nibabel.load(out).dataobj) > 0, np.asarray(nibabel.load(source).dataobj) > 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_grid_of_a_real_dicom_series_comes_back_exactly(tmp_path: Path, real_data: Path, suffix: str) -> None:
    folder = real_data / "ct_abdomen" / "dicom"
    volume = read(folder)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(sorted(map(str, folder.iterdir()), reverse=True))
    image = reader.Execute()
    out = write(LabelMap(volume.data[0] > 0, volume.geometry), tmp_path / f"out{suffix}")
    assert grid(out) == (image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    again = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(out)))
    assert np.array_equal(again > 0, SimpleITK.GetArrayFromImage(image) > 0)


@pytest.mark.parametrize("name", ["a.MHD", "a.Mha"])
def test_metaimage_in_capital_letters_that_itk_does_not_open_is_refused(tmp_path: Path, name: str) -> None:
    made = labels_on(Geometry.from_spacing((4, 5, 6), (1.0, 1.0, 1.0)))
    with pytest.raises(OutputError, match=f"name it .*a{name[1:].lower()}"):
        write(made, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    for other in ("a.NII.GZ", "a.NRRD"):
        write(made, tmp_path / other)
        assert SimpleITK.ReadImage(str(tmp_path / other)).GetDimension() == 3
