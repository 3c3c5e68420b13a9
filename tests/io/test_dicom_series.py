"""A folder becomes its series by headers alone, each with what it is and what is wrong with it."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

import awkward_dicom as awkward
from voxtrace.errors import ReadError
from voxtrace.io import read
from voxtrace.io.dicom import Series, find_series, load, load_series
from voxtrace.io.dicom.pixels import PixelDecoder

PLAIN = awkward.place()
SHORT = range(4)


def only(folder: Path) -> Series:
    (series,) = find_series(folder)
    return series


def refusal(series: Series) -> str:
    assert not series.usable
    return next(f.sentence for f in series.passport.findings if f.verdict == "refused")


def test_a_series_tells_what_its_headers_say(tmp_path: Path) -> None:
    series = only(awkward.save(tmp_path, awkward.images(PLAIN)))
    assert (series.name, series.number, series.modality) == (tmp_path.name, "3", "CT")
    assert (series.description, series.images, series.rows, series.columns) == ("Phantom", 16, 40, 36)
    assert (series.pixel_spacing_mm, series.slice_distance_mm) == ((1.5, 1.25), pytest.approx(3.0))
    assert (series.orientation, series.usable, series.part) == ("LPS", True, "")
    assert series.title == "3 CT Phantom (16 images)"


def test_no_series_or_error_names_the_patient(tmp_path: Path) -> None:
    series = only(awkward.save(tmp_path, awkward.images(PLAIN)))
    assert "Doe" not in repr(series)
    assert "4711" not in repr([*series.slices, series.passport, load_series(series)])


def test_pixels_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    awkward.save(tmp_path, awkward.images(PLAIN))
    monkeypatch.setattr(PixelDecoder, "stored", None)
    assert only(tmp_path).usable


def test_pixels_cut_short_are_seen_in_the_headers(tmp_path: Path) -> None:
    for file in awkward.save(tmp_path, awkward.images(PLAIN)).iterdir():
        file.write_bytes(file.read_bytes()[:-2000])
    assert "40×36 pixels, 2880 bytes, and the file holds 880" in refusal(only(tmp_path))
    with pytest.raises(ReadError, match="the file holds 880"):
        load_series(only(tmp_path))


def test_nested_folders_and_files_without_suffix_are_looked_through(tmp_path: Path) -> None:
    files = awkward.images(PLAIN)
    awkward.save(tmp_path / "ST0" / "SE0", files[:8], "IM{:02d}")
    awkward.save(tmp_path / "ST0" / "SE1", files[8:], "{:02d}.IMA")
    (tmp_path / "ST0" / "report.txt").write_text("words")
    (tmp_path / "ST0" / "SE1" / "._07.IMA").write_bytes(b"\0\5\x16\7")
    (tmp_path / "ST0" / "empty.dcm").touch()
    assert np.array_equal(load(tmp_path).array, awkward.values())


def test_a_dicomdir_is_passed_over(tmp_path: Path) -> None:
    folder = awkward.save(tmp_path, awkward.images(PLAIN))
    directory = pydicom.Dataset()
    directory.file_meta = pydicom.dataset.FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = "2.25.5"
    directory.FileSetID = "DISC"
    directory.save_as(folder / "DICOMDIR", enforce_file_format=True)
    assert only(folder).images == awkward.PLANES


def test_old_files_without_a_preamble_are_read(tmp_path: Path) -> None:
    for n, file in enumerate(awkward.images(PLAIN)):
        del file.file_meta
        file.save_as(tmp_path / f"{n}.img", implicit_vr=True, little_endian=True)
    assert np.array_equal(load(tmp_path).array, awkward.values())


def test_a_damaged_header_is_named_and_the_others_open(tmp_path: Path) -> None:
    folder = awkward.save(tmp_path, awkward.images(PLAIN))
    damaged = awkward.image(awkward.values([0])[0], PLAIN, 0)
    damaged.add_new("PixelSpacing", "LO", ["wide", "narrow"])
    awkward.save(folder, [damaged], "DAMAGED")
    good, bad = sorted(find_series(folder), key=lambda one: not one.usable)
    assert "DAMAGED: PixelSpacing is 'wide', which is no number" in refusal(bad)
    assert np.array_equal(load_series(good).array, awkward.values())
    assert any("DAMAGED" in note for note in load(folder).passport.notes)


def test_series_are_ordered_by_number_and_named_by_folder(tmp_path: Path) -> None:
    for number, uid in ((10, "2.25.20"), (2, "2.25.30")):
        awkward.save(
            tmp_path, awkward.images(PLAIN, SHORT, SeriesNumber=number, SeriesInstanceUID=uid), f"{number}_{{}}"
        )
    assert [(s.number, s.name) for s in find_series(tmp_path)] == [
        ("2", f"{tmp_path.name}_1"),
        ("10", f"{tmp_path.name}_2"),
    ]


@pytest.mark.parametrize(
    ("attribute", "values", "parts"),
    [
        ("EchoNumbers", [1, 2], ["echo 1", "echo 2"]),
        ("DiffusionBValue", [0.0, 800.0], ["b-value 0.0", "b-value 800.0"]),
        ("TriggerTime", [0, 40], ["time 1 of 2", "time 2 of 2"]),
        ("ContentTime", ["101500", "101530"], ["time 1 of 2", "time 2 of 2"]),
    ],
)
def test_images_in_one_place_are_told_apart(tmp_path: Path, attribute: str, values: list, parts: list[str]) -> None:
    files = [file for v in values for file in awkward.images(PLAIN, SHORT, **{attribute: v})]
    assert [s.part for s in find_series(awkward.save(tmp_path, files, seed=1))] == parts


def test_clocks_that_run_on_from_slice_to_slice_give_time_points(tmp_path: Path) -> None:
    files = awkward.images(PLAIN, SHORT) + awkward.images(PLAIN, SHORT)
    for n, file in enumerate(files):
        file.AcquisitionTime = f"10{n:02d}00"
    found = find_series(awkward.save(tmp_path, files, seed=2))
    assert [s.part for s in found] == ["time 1 of 2", "time 2 of 2"]
    assert [sorted(s.discriminators["acquisition time"][:4] for s in one.slices) for one in found] == [
        ["1000", "1001", "1002", "1003"],
        ["1004", "1005", "1006", "1007"],
    ]


def test_two_marks_together_tell_apart_what_neither_does(tmp_path: Path) -> None:
    files = [
        file
        for acquisition in (1, 2)
        for echo in (1, 2)
        for file in awkward.images(PLAIN, SHORT, AcquisitionNumber=acquisition, EchoNumbers=echo)
    ]
    assert [s.part for s in find_series(awkward.save(tmp_path, files))] == [
        "acquisition 1, echo 1",
        "acquisition 1, echo 2",
        "acquisition 2, echo 1",
        "acquisition 2, echo 2",
    ]


def test_one_stray_image_does_not_scatter_a_series(tmp_path: Path) -> None:
    """Content times that differ in every image are no time points."""
    files = [*awkward.images(PLAIN), awkward.image(awkward.values([3])[0], PLAIN, 3)]
    for n, file in enumerate(files):
        file.ContentTime = f"10{n:02d}00"
    assert only(awkward.save(tmp_path, files)).images == awkward.PLANES + 1


def test_each_orientation_is_a_series_of_its_own(tmp_path: Path) -> None:
    awkward.save(tmp_path, awkward.images(PLAIN), "A{}")
    sagittal = awkward.place(np.asarray([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]]))
    awkward.save(tmp_path, awkward.images(sagittal), "B{}")
    found = find_series(tmp_path)
    assert sorted(s.orientation for s in found) == ["LPS", "PSL"]
    assert all(s.usable for s in found)


def test_what_is_no_scan_says_why_and_what_to_do(tmp_path: Path) -> None:
    sheared = awkward.images(PLAIN, SHORT, ImageOrientationPatient=[1, 0, 0, 0.6, 0.8, 0])
    assert "not at right angles" in refusal(only(awkward.save(tmp_path / "sheared", sheared)))
    assert "localizer of 3 images" in refusal(only(awkward.save(tmp_path / "scout", awkward.localizer(count=3))))
    assert "secondary captures" in refusal(only(awkward.save(tmp_path / "capture", [awkward.capture()])))
    assert "a single image" in refusal(only(awkward.save(tmp_path / "one", awkward.images(PLAIN, [0]))))
    pile = awkward.images(PLAIN, [0, 0, 0])
    assert "3 images that are all at the same position" in refusal(only(awkward.save(tmp_path / "pile", pile)))
    fan = awkward.images(PLAIN)
    for file in fan[5:9]:
        x, y, z = file.ImagePositionPatient
        file.ImagePositionPatient = [x + 9, y, z]
    assert "off a straight line by up to 7.2 pixels" in refusal(only(awkward.save(tmp_path / "fan", fan)))


def test_colour_images_are_refused(tmp_path: Path) -> None:
    files = awkward.images(PLAIN, SHORT, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    assert "colour images" in refusal(only(awkward.save(tmp_path, files)))


def test_values_behind_a_lookup_table_are_refused(tmp_path: Path) -> None:
    table = pydicom.Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [2, 0, 16], "US"
    table.add_new("LUTData", "OW", b"\0\0\1\0")
    files = awkward.images(PLAIN, SHORT, ModalityLUTSequence=pydicom.sequence.Sequence([table]))
    assert "lookup table" in refusal(only(awkward.save(tmp_path, files)))


def test_a_folder_where_nothing_opens_gives_every_reason(tmp_path: Path) -> None:
    awkward.save(tmp_path, awkward.localizer(), "A{}")
    awkward.save(tmp_path, [awkward.capture()], "B{}")
    with pytest.raises(ReadError, match=r"none to be opened: 1 CT Phantom .* localizer .*; 99 OT .* captures"):
        read(tmp_path)


def test_a_compression_without_decoder_is_named(tmp_path: Path) -> None:
    files = awkward.compressed(awkward.images(PLAIN, SHORT), "1.2.840.10008.1.2.4.90")
    for file in files:
        file.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"  # a film
    with pytest.raises(ReadError, match=r"compressed as MPEG-4 .* cannot be decoded"):
        load(awkward.save(tmp_path, files))


def test_a_decoder_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders import JPEGLSLosslessDecoder

    folder = awkward.save(tmp_path, awkward.compressed(awkward.images(PLAIN, SHORT), "1.2.840.10008.1.2.4.80"))
    monkeypatch.delitem(JPEGLSLosslessDecoder._available, "pyjpegls")
    with pytest.raises(ReadError, match="its decoder pyjpegls is not installed"):
        load(folder)


def test_jpeg_of_8_bits_is_decoded(tmp_path: Path) -> None:
    files = awkward.images(PLAIN, SHORT, BitsAllocated=8, BitsStored=8, HighBit=7, RescaleIntercept=0)
    truth = np.add.outer(np.arange(40) * 3, np.arange(36) * 2).astype(np.uint8)
    for n, file in enumerate(files):
        buffer = BytesIO()
        Image.fromarray(truth + 10 * n).save(buffer, "JPEG", quality=95)
        file.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"
        file.PixelData = encapsulate([buffer.getvalue()])
        file["PixelData"].is_undefined_length = True
    loaded = load(awkward.save(tmp_path, files))
    assert loaded.array.dtype == np.uint8
    assert all(np.abs(loaded.array[n].astype(int) - truth - 10 * n).max() <= 3 for n in SHORT)


def test_numbers_that_do_not_fit_16_bits_widen_the_volume(tmp_path: Path) -> None:
    coding = awkward.Coding(intercept=-30.0)
    files = awkward.images(PLAIN, SHORT, coding=coding)
    assert load(awkward.save(tmp_path, files)).array.dtype == np.int16
    files[2].PixelData = np.full((40, 36), 65000, np.uint16).tobytes()
    loaded = load(awkward.save(tmp_path, files))
    assert (loaded.array.dtype, loaded.array.max()) == (np.int32, 64970)
    assert np.array_equal(loaded.array[0], awkward.values([0])[0])


def test_a_real_study_copied_into_nested_folders_keeps_its_five_series(real_data: Path, tmp_path: Path) -> None:
    for n, path in enumerate(sorted((real_data / "dicom_mixed_study").iterdir())):
        place = tmp_path / f"{n % 7}"
        place.mkdir(exist_ok=True)
        shutil.copy(path, place / f"IM{n}")
    assert [s.images for s in find_series(tmp_path)] == [40, 22, 22, 22, 22]
