"""A DICOM series opens whole and in order, or is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from voxtrace.errors import ReadError
from voxtrace.io import read, read_labels
from voxtrace.io.dicom import find_series, load

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
SLICES = 5


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Copy five neighbouring slices of the sample series."""
    folder = tmp_path / "study"
    folder.mkdir()
    for path in sorted((SAMPLES / "abdomen_phantom_dicom").glob("*.dcm"))[:SLICES]:
        shutil.copy(path, folder)
    return folder


def change(path: Path, **values) -> None:
    header = pydicom.dcmread(path)
    for tag, value in values.items():
        setattr(header, tag, value)
    header.save_as(path)


def slices(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.dcm"))


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_sample_series_opens_in_hu_on_the_grid_of_its_truth() -> None:
    volume = read(SAMPLES / "abdomen_phantom_dicom")
    labels = read_labels(SAMPLES / "abdomen_phantom_dicom_labels.nii.gz")
    assert volume.data.shape == (1, 24, 128, 128)
    assert (volume.modality, volume.name) == ("CT", "abdomen_phantom_dicom")
    assert volume.geometry.is_close(labels.geometry)
    assert 60 < np.median(volume.data[0][labels.data == 1]) < 135


def test_slices_are_sorted_by_position_not_by_name(series: Path) -> None:
    expected = read(series).data
    for new, path in zip("dbeac", slices(series), strict=True):
        path.rename(series / f"{new}.dcm")
    assert np.array_equal(read(series).data, expected)


def test_one_file_stands_for_its_series(series: Path) -> None:
    assert np.array_equal(read(slices(series)[2]).data, read(series).data)


def test_files_without_suffix_are_recognised(series: Path) -> None:
    expected = read(series).data
    for path in slices(series):
        path.rename(path.with_suffix(""))
    assert np.array_equal(read(series / "IM0001").data, expected)


def test_other_files_in_the_folder_are_passed_over(series: Path) -> None:
    (series / "notes.txt").write_text("words")
    (series / "empty").touch()
    assert read(series).data.shape[1] == SLICES


def test_rescale_that_differs_between_slices_is_applied_to_each(series: Path) -> None:
    before = read(series).data
    change(slices(series)[0], RescaleSlope="0.5")
    after = read(series).data
    assert after.dtype == np.float32
    assert np.allclose(after[0, -1], before[0, -1] * 0.5)
    assert np.allclose(after[0, :-1], before[0, :-1])


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "is an empty folder", "expected a folder with one DICOM series")
    (tmp_path / "notes.txt").write_text("words")
    refused(tmp_path, "holds no DICOM images")


def test_two_series_are_refused_and_each_opens_by_one_of_its_files_or_its_name(series: Path) -> None:
    for path in slices(series)[:2]:
        shutil.copy(path, path.with_name(f"B{path.name}"))
        change(path.with_name(f"B{path.name}"), SeriesInstanceUID="2.25.1", SeriesNumber=7)
    refused(series, "holds 2 DICOM series (of 5, 2 images)", "Point at any one file", "study_2: 7 CT Abdomen phantom")
    assert read(series / "BIM0001.dcm").data.shape[1] == 2
    assert [s.name for s in find_series(series)] == ["study_1", "study_2"]
    assert load(series, series="study_2").array.shape[0] == load(series, series="7").array.shape[0] == 2
    with pytest.raises(ReadError, match="no DICOM series called 8"):
        load(series, series="8")


def test_a_missing_slice_is_filled_in_between_its_neighbours(series: Path) -> None:
    whole = read(series).data[0].astype(float)
    slices(series)[2].unlink()
    volume = read(series)
    assert volume.notes == ("missing slices: 1 of 5, at S 47.5 mm; each filled in between its neighbours",)
    assert np.abs(volume.data[0, 2] - (whole[1] + whole[3]) / 2).max() <= 0.5
    assert np.array_equal(volume.data[0, [0, 1, 3, 4]], whole[[0, 1, 3, 4]])


def test_a_slice_that_is_there_twice_is_left_out(series: Path) -> None:
    expected = read(series).data
    shutil.copy(slices(series)[0], series / "again.dcm")
    volume = read(series)
    assert np.array_equal(volume.data, expected)
    assert volume.notes == ("duplicates: 1 image(s) equal to another at the same position; left out",)


def test_uneven_distances_are_resampled(series: Path) -> None:
    x, y, z = pydicom.dcmread(slices(series)[0]).ImagePositionPatient
    change(slices(series)[0], ImagePositionPatient=[x, y, z + 0.4])
    volume = read(series)
    assert "5 to 5.4 mm apart (median 5 mm); resampled linearly to 5.1 mm" in volume.notes[0]
    assert volume.geometry.spacing_mm[0] == pytest.approx(20.4 / 4)


def test_distances_within_one_percent_are_even(series: Path) -> None:
    x, y, z = pydicom.dcmread(slices(series)[0]).ImagePositionPatient
    change(slices(series)[0], ImagePositionPatient=[x, y, z + 0.04])
    assert read(series).data.shape[1] == SLICES


def test_a_tilted_gantry_is_straightened(series: Path) -> None:
    for path in slices(series):
        x, y, z = pydicom.dcmread(path).ImagePositionPatient
        change(path, ImagePositionPatient=[x, y + 0.2 * z, z])
    assert read(series).notes == ("tilt: 11.3°; slices were shifted back in plane",)


def test_a_slice_of_another_pixel_spacing_is_a_series_of_its_own(series: Path) -> None:
    change(slices(series)[1], PixelSpacing=[2.0, 2.0])
    volume = read(series)
    assert volume.notes[0].startswith("series: 1 that cannot be opened: 1 CT (1 image)")
    assert "missing slices: 1 of 5" in volume.notes[1]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"NumberOfFrames": 2}, "without position"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"ImagePositionPatient": None}, "without position"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.6, 0.8, 0]}, "right angles"),
    ],
)
def test_images_that_are_no_plain_slices_are_refused(series: Path, values: dict, words: str) -> None:
    for path in slices(series):
        change(path, **values)
    refused(series, words)


def test_a_single_image_is_refused(series: Path) -> None:
    for path in slices(series)[1:]:
        path.unlink()
    refused(series, "a single image")


def test_pixels_cut_short_are_refused(series: Path) -> None:
    content = slices(series)[2].read_bytes()
    slices(series)[2].write_bytes(content[: len(content) // 2])
    refused(series, "again")


def test_the_patient_is_nowhere_in_the_volume(series: Path) -> None:
    for path in slices(series):
        change(path, PatientName="Doe^Jane", PatientID="4711")
    assert "Doe" not in repr(read(series))
    assert "4711" not in repr(read(series))


def test_a_real_compressed_series_opens_in_hu_on_the_grid_of_its_labels(real_data: Path) -> None:
    """JPEG 2000 lossless; the labels were stored by another program in another orientation."""
    volume = read(real_data / "ct_abdomen" / "dicom")
    labels = read_labels(real_data / "ct_abdomen" / "dicom_labels.nii.gz")
    assert volume.data.shape == (1, 20, 512, 512)
    assert volume.geometry.is_close(labels.geometry)
    value = next(k for k, name in labels.names.items() if name == "liver")
    assert 40 < np.median(volume.data[0][labels.data == value]) < 150
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in labels.data.shape], indexing="ij"), -1)
    assert np.allclose(volume.geometry.world_mm(corners), labels.geometry.world_mm(corners), atol=1e-3)
    for slice_ in find_series(real_data / "ct_abdomen" / "dicom")[0].slices:
        one = pydicom.dcmread(slice_.path)
        plane = round((float(one.ImagePositionPatient[2]) - labels.geometry.origin_mm[0]) / 2.0)
        assert np.array_equal(volume.data[0, plane], one.pixel_array.astype(int) - 1024)


def test_a_real_mixed_study_is_five_series(real_data: Path) -> None:
    folder = real_data / "dicom_mixed_study"
    refused(folder, "holds 5 DICOM series")
    for found in find_series(folder):
        volume = read(found.slices[0].path)
        assert volume.data.shape[1] == len(found.slices)
        assert volume.modality == "MR"


def test_real_slices_keep_the_position_of_their_headers(real_data: Path) -> None:
    """Oblique series: every header's corner is where the geometry puts that plane."""
    found = find_series(real_data / "dicom_mixed_study")[-1]
    volume = read(found.slices[0].path)
    assert volume.geometry.obliquity_deg > 5
    reader = SimpleITK.ImageFileReader()
    for slice_ in found.slices[::5]:
        reader.SetFileName(str(slice_.path))
        z, y, x = volume.geometry.voxel(slice_.position_mm[::-1])
        plane = SimpleITK.GetArrayFromImage(reader.Execute())[0]
        assert np.allclose([z % 1 if z % 1 < 0.5 else z % 1 - 1, y, x], 0, atol=0.02)
        assert np.array_equal(volume.data[0, round(z)], plane)
