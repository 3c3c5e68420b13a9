"""Six landmarks of a known phantom lie where DICOM's formula puts them, however awkward the files are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

import awkward_dicom as awkward
from awkward_dicom import LANDMARKS, Coding, Place
from voxtrace.errors import ReadError
from voxtrace.io import read
from voxtrace.io.dicom import DicomGrid, find_series, load, load_series
from voxtrace.volume import Geometry, Volume

TOLERANCE_VOXELS = 0.1
PLAIN = awkward.place()


def check(folder: Path, where: Place = PLAIN) -> Volume:
    """Open a folder, and hold the landmarks against where they must lie."""
    volume = read(folder)
    assert awkward.worst_voxels(volume.data[0], volume.geometry, where.world_mm()) < TOLERANCE_VOXELS
    return volume


def verdict(volume: Volume, what: str) -> tuple[str, str]:
    """Return verdict and text of the last finding of a name."""
    found = [f for f in volume.passport.findings if f.what == what][-1]
    return found.verdict, found.sentence


def stored(volume: Volume) -> DicomGrid:
    assert isinstance(volume.geometry.stored, DicomGrid)
    return volume.geometry.stored


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(folder)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_plain_and_shuffled_files_give_the_values_that_were_written(tmp_path: Path) -> None:
    for seed in (None, 1):
        folder = awkward.save(tmp_path / f"seed{seed}", awkward.images(PLAIN), seed=seed)
        volume = check(folder)
        assert np.array_equal(volume.data[0], awkward.values())
        assert (volume.data.dtype, volume.modality, volume.notes) == (np.int16, "CT", ())
        grid = stored(volume)
        assert not grid.regridded
        assert [s.path.is_file() for s in grid.sources] == [True] * awkward.PLANES


@pytest.mark.parametrize("number", range(24))
def test_each_of_the_24_orientations(tmp_path: Path, number: int) -> None:
    where = awkward.place(awkward.orientations()[number])
    volume = check(awkward.save(tmp_path, awkward.images(where), seed=number), where)
    assert sorted(volume.data[0].ravel()) == sorted(awkward.values().ravel())
    assert volume.geometry.obliquity_deg == pytest.approx(0.0, abs=1e-6)


def test_oblique_by_17_degrees(tmp_path: Path) -> None:
    where = awkward.rotated(17.0)
    volume = check(awkward.save(tmp_path, awkward.images(where)), where)
    assert np.array_equal(volume.data[0], awkward.values())  # nothing was resampled
    assert verdict(volume, "obliquity")[0] == "fine"
    assert volume.geometry.obliquity_deg > 10


@pytest.mark.parametrize("degrees", [12.0, -12.0])
def test_a_gantry_tilted_by_12_degrees_is_straightened(tmp_path: Path, degrees: float) -> None:
    where = awkward.tilted(degrees)
    volume = check(awkward.save(tmp_path, awkward.images(where)), where)
    assert verdict(volume, "tilt") == ("corrected", "tilt: 12.0°; slices were shifted back in plane")
    grid = stored(volume)
    assert grid.regridded
    assert grid.size[0] == awkward.COLUMNS
    leaning_pixels = 15 * 3.0 * np.sin(np.radians(12.0)) / 1.5  # 6.24
    assert grid.size[1] == awkward.ROWS + np.ceil(leaning_pixels)
    assert volume.data.min() == -1000  # air where no image reaches
    assert volume.geometry.spacing_mm[0] == pytest.approx(3.0 * np.cos(np.radians(12.0)))


def test_a_tilted_mr_is_filled_with_its_lowest_value(tmp_path: Path) -> None:
    files = awkward.mr(awkward.images(awkward.tilted(12.0)))
    volume = check(awkward.save(tmp_path, files), awkward.tilted(12.0))
    assert volume.data.min() >= awkward.values().min()


@pytest.mark.parametrize("lacking", [4, 5, 10])
def test_one_missing_slice_is_filled_in_and_told(tmp_path: Path, lacking: int) -> None:
    depths = [k for k in range(awkward.PLANES) if k != lacking]
    files = awkward.images(PLAIN, depths)
    volume = read(awkward.save(tmp_path, files, seed=2))
    truth = awkward.values()
    assert volume.data.shape[1] == awkward.PLANES
    assert np.array_equal(volume.data[0, depths], truth[depths])
    between = (truth[lacking - 1] + truth[lacking + 1]) / 2
    assert np.abs(volume.data[0, lacking] - between).max() <= 0.5
    mm = 110 + 3 * lacking
    expected = f"missing slices: 1 of 16, at S {mm} mm; each filled in between its neighbours"
    assert verdict(volume, "missing slices") == ("corrected", expected)
    assert stored(volume).regridded
    assert len(stored(volume).sources) == 15
    if lacking == 5:  # in no landmark's centre, and in the flank of two
        check(tmp_path)


def test_two_missing_in_a_row_are_refused_with_their_positions(tmp_path: Path) -> None:
    depths = [k for k in range(awkward.PLANES) if k not in (5, 6)]
    refused(awkward.save(tmp_path, awkward.images(PLAIN, depths)), "2 of 16, at S 125, S 128 mm, 2 in a row", "copy")


def test_single_gaps_far_apart_are_all_filled(tmp_path: Path) -> None:
    depths = [k for k in range(awkward.PLANES) if k not in (2, 13)]
    volume = check(awkward.save(tmp_path, awkward.images(PLAIN, depths)))
    assert "2 of 16, at S 116, S 149 mm" in verdict(volume, "missing slices")[1]


def test_equal_duplicates_are_left_out_and_told(tmp_path: Path) -> None:
    files = awkward.images(PLAIN)
    volume = check(awkward.save(tmp_path, [*files, files[3], files[9]], seed=4))
    assert np.array_equal(volume.data[0], awkward.values())
    assert verdict(volume, "duplicates")[0] == "corrected"
    assert "2 image(s) equal to another" in verdict(volume, "duplicates")[1]
    assert not stored(volume).regridded
    assert len(stored(volume).sources) == awkward.PLANES


def test_different_images_in_one_place_are_refused(tmp_path: Path) -> None:
    other = awkward.image(awkward.values([3])[0] + 7, PLAIN, 3)
    refused(awkward.save(tmp_path, [*awkward.images(PLAIN), other]), "2 different images at the same position")


def test_uneven_distances_are_resampled_and_told(tmp_path: Path) -> None:
    depths = np.asarray([*range(12), 12.3, 13.25, 14.4, 15.0]) * 1.0
    depths[5] += 0.3
    volume = check(awkward.save(tmp_path, awkward.images(PLAIN, list(depths)), seed=5))
    assert verdict(volume, "spacing")[0] == "corrected"
    assert "slices 1.8 to 3.9 mm apart (median 3 mm); resampled linearly to 3 mm" in verdict(volume, "spacing")[1]
    assert stored(volume).regridded
    assert volume.data.shape[1] == awkward.PLANES


def test_distances_too_wide_to_bridge_are_refused(tmp_path: Path) -> None:
    depths = [0, 1, 2, 3, 4, 6.4, 7.4, 8.4]
    refused(awkward.save(tmp_path, awkward.images(PLAIN, depths)), "slices 3 to 7.2 mm apart", "without gaps")


def test_two_acquisitions_in_one_series_are_two_series(tmp_path: Path) -> None:
    first = awkward.images(PLAIN, AcquisitionNumber=1)
    second = awkward.images(PLAIN, AcquisitionNumber=2)
    for n, file in enumerate(second):
        file.PixelData = Coding().stored(awkward.values([n])[0] + 11).tobytes()
    awkward.save(tmp_path, [*first, *second], seed=6)
    found = find_series(tmp_path)
    assert [s.description for s in found] == ["Phantom, acquisition 1", "Phantom, acquisition 2"]
    for extra, series in zip((0, 11), found, strict=True):
        loaded = load_series(series)
        assert np.array_equal(loaded.array, awkward.values() + extra)
        assert awkward.worst_voxels(loaded.array, Geometry.from_grid(loaded.grid), PLAIN.world_mm()) < TOLERANCE_VOXELS
    refused(tmp_path, "holds 2 DICOM series (of 16, 16 images)", "acquisition 2", "Point at any one file")


def test_time_points_are_series_in_order(tmp_path: Path) -> None:
    times = [awkward.images(PLAIN, TemporalPositionIdentifier=t, NumberOfTemporalPositions=3) for t in (3, 1, 2)]
    awkward.save(tmp_path, [file for one in times for file in one], seed=7)
    found = find_series(tmp_path)
    assert [s.part for s in found] == ["time 1 of 3", "time 2 of 3", "time 3 of 3"]
    assert [s.first.discriminators["time"] for s in found] == ["1", "2", "3"]
    assert {s.images for s in found} == {awkward.PLANES}


def test_a_localizer_in_the_folder_is_left_out_and_told(tmp_path: Path) -> None:
    awkward.save(tmp_path, awkward.images(PLAIN))
    awkward.save(tmp_path, awkward.localizer(), "LOC{}")
    awkward.save(tmp_path, [awkward.capture()], "SC{}")
    volume = check(tmp_path)
    assert volume.name == tmp_path.name
    assert "left out 2 that cannot be opened" in verdict(volume, "series")[1]
    assert "a localizer of 1 image" in verdict(volume, "series")[1]
    refused(tmp_path / "LOC0", "a localizer of 1 image", "choose a series that was planned on it")


def test_a_localizer_in_the_same_series_is_left_out(tmp_path: Path) -> None:
    scouts = awkward.localizer(series="2.25.2", count=2)
    for scout in scouts:
        scout.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    awkward.save(tmp_path, awkward.images(PLAIN))
    awkward.save(tmp_path, scouts, "LOC{}")
    what, told = verdict(check(tmp_path), "series")
    assert what == "corrected"
    assert "2 images beside a larger stack; left out, though part of the same series" in told


def test_an_enhanced_multi_frame_file(tmp_path: Path) -> None:
    order = list(np.random.default_rng(0).permutation(awkward.PLANES))
    awkward.save(tmp_path, [awkward.enhanced(awkward.images(PLAIN), [int(i) for i in order])])
    volume = check(tmp_path)
    assert np.array_equal(volume.data[0], awkward.values())
    assert [s.frame for s in stored(volume).sources] == [order.index(k) for k in range(awkward.PLANES)]
    assert volume.modality == "MR"


def test_time_points_in_an_enhanced_file_are_series(tmp_path: Path) -> None:
    times = [f for t in (1, 2) for f in awkward.images(PLAIN, TemporalPositionIdentifier=t)]
    awkward.save(tmp_path, [awkward.enhanced(times)])
    found = find_series(tmp_path)
    assert [s.part for s in found] == ["time 1 of 2", "time 2 of 2"]
    assert np.array_equal(load_series(found[1]).array, awkward.values())
    refused(tmp_path / "IM0000", "holds 2 DICOM series", "series=NAME", f"{tmp_path.name}_2: 3 MR Phantom, time 2 of 2")
    assert np.array_equal(load(tmp_path / "IM0000", series=f"{tmp_path.name}_2").array, awkward.values())


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless, JPEGLSLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("coding", [Coding(), Coding(intercept=0.0, signed=True)], ids=["unsigned", "signed"])
def test_compressed_images(tmp_path: Path, syntax: str, coding: Coding) -> None:
    files = awkward.compressed(awkward.images(PLAIN, coding=coding), syntax)
    assert {f.file_meta.TransferSyntaxUID for f in files} == {syntax}
    assert np.array_equal(check(awkward.save(tmp_path, files)).data[0], awkward.values())


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_other_encodings(tmp_path: Path, syntax: str) -> None:
    files = awkward.images(PLAIN)
    for file in files:
        file.file_meta.TransferSyntaxUID = syntax
    assert np.array_equal(check(awkward.save(tmp_path, files)).data[0], awkward.values())


@pytest.mark.parametrize(
    "coding",
    [
        Coding(slope=-1.0, intercept=2000.0),
        Coding(slope=0.5, intercept=-100.5),
        Coding(intercept=-1024.0, bits=12),
        Coding(intercept=0.0, signed=True),
        Coding(intercept=0.0, signed=True, bits=12),
    ],
)
def test_rescales(tmp_path: Path, coding: Coding) -> None:
    volume = check(awkward.save(tmp_path, awkward.images(PLAIN, coding=coding)))
    assert np.allclose(volume.data[0], awkward.values(), atol=1e-4)
    assert volume.data.dtype == (np.float32 if coding.slope == 0.5 else np.int16)


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    files = [awkward.images(PLAIN, coding=Coding(0.25 * (1 + k % 4), -200.0 - k))[k] for k in range(awkward.PLANES)]
    volume = check(awkward.save(tmp_path, files, seed=8))
    assert np.abs(volume.data[0] - awkward.values()).max() <= 0.5  # half a step of the coarsest slice
    assert volume.data.dtype == np.float32
    assert "16 different rescales" in verdict(volume, "intensities")[1]


def test_monochrome1_is_inverted_for_mr_and_not_for_ct(tmp_path: Path) -> None:
    signed = Coding(intercept=0.0, signed=True)
    ct = awkward.images(PLAIN, coding=signed, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(check(awkward.save(tmp_path / "ct", ct)).data[0], awkward.values())
    mr = awkward.mr(awkward.images(PLAIN, coding=signed, PhotometricInterpretation="MONOCHROME1"))
    for n, file in enumerate(mr):
        file.PixelData = signed.stored(-1 - awkward.values([n])[0]).tobytes()  # −1 − v turns the range of 16 bits over
    volume = check(awkward.save(tmp_path / "mr", mr))
    assert np.array_equal(volume.data[0], awkward.values())
    assert "MONOCHROME1" in verdict(volume, "intensities")[1]


@pytest.mark.parametrize("written", [-2000, 65536 - 2000])
def test_padding_becomes_the_lowest_value(tmp_path: Path, written: int) -> None:
    signed = Coding(intercept=0.0, signed=True)
    files = awkward.images(PLAIN, coding=signed)
    truth = awkward.values()
    for n, file in enumerate(files):
        plane = truth[n].copy()
        plane[:2] = -2000
        file.PixelData = signed.stored(plane).tobytes()
        file.add_new("PixelPaddingValue", "SS" if written < 0 else "US", written)
    volume = check(awkward.save(tmp_path, files))
    assert np.array_equal(volume.data[0, :, 2:], truth[:, 2:])
    assert np.all(volume.data[0, :, :2] == truth[:, 2:].min())
    expected = f"{16 * 2 * 36} pixels of padding; set to the lowest value of the scan"
    assert verdict(volume, "intensities") == ("corrected", f"intensities: {expected}")


def test_a_range_of_padding(tmp_path: Path) -> None:
    signed = Coding(intercept=0.0, signed=True)
    files = awkward.images(PLAIN, coding=signed, PixelPaddingValue=-3000, PixelPaddingRangeLimit=-2000)
    plane = awkward.values([0])[0]
    plane[0, :3] = -3000, -2500, -2000
    files[0].PixelData = signed.stored(plane).tobytes()
    assert "3 pixels of padding" in verdict(check(awkward.save(tmp_path, files)), "intensities")[1]


def test_a_tilted_scan_with_a_missing_slice_and_uneven_numbers_is_right_everywhere(tmp_path: Path) -> None:
    where = awkward.tilted(12.0)
    depths = [k for k in range(awkward.PLANES) if k != 5]
    volume = check(awkward.save(tmp_path, awkward.images(where, depths), seed=9), where)
    assert {f.what for f in volume.passport.findings if f.verdict == "corrected"} == {"tilt", "missing slices"}


def test_the_ruler_of_these_tests_sees_a_tenth_of_a_voxel() -> None:
    geometry = Geometry.from_spacing(
        (awkward.PLANES, awkward.ROWS, awkward.COLUMNS), awkward.SPACING_MM, PLAIN.origin_mm[::-1]
    )
    assert awkward.worst_voxels(awkward.values(), geometry, PLAIN.world_mm()) < 0.04
    off = PLAIN.world_mm(LANDMARKS + np.asarray([0.12, 0, 0]))
    assert awkward.worst_voxels(awkward.values(), geometry, off) > TOLERANCE_VOXELS
