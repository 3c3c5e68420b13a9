"""One bad file spoils itself alone: it is named, and the others open."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian

import awkward_dicom as awkward
from voxtrace.errors import ReadError
from voxtrace.io import read, read_labels
from voxtrace.io.dicom import Series, find_series, load, load_series
from voxtrace.io.export import read_rtstruct
from voxtrace.io.suffixes import is_dicom

PLAIN = awkward.place()
SHORT = range(4)


def good_and_bad(folder: Path) -> tuple[Series, str]:
    """Return the series that opens, and why the other one does not."""
    found = find_series(folder)
    (good,) = [one for one in found if one.usable]
    (bad,) = [one for one in found if not one.usable]
    return good, next(f.sentence for f in bad.passport.findings if f.verdict == "refused")


def spoilt(file: Path, old: bytes, new: bytes) -> None:
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"1.5\\1.25", b"1,5\\1,25", "PixelSpacing is '1,5', which is no number (a decimal comma"),
        (b"-20\\35\\", b"nan\\35\\", "ImagePositionPatient is 'nan'"),
        (b"-20\\35\\", b"inf\\35\\", "ImagePositionPatient is 'inf'"),
        (b"-20\\35\\", b"-2\\5\\6\\", "ImagePositionPatient has 4 values; expected 3"),
        (b"\x28\x00\x10\x00US", b"\x28\x00\x10\x00ZZ", "Rows is"),
    ],
)
def test_a_value_that_is_none_is_named_and_the_others_open(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    awkward.save(tmp_path / "good", awkward.images(PLAIN, SHORT))
    awkward.save(tmp_path / "bad", awkward.images(PLAIN, SHORT, SeriesInstanceUID="2.25.8", SeriesNumber=8))
    for file in (tmp_path / "bad").iterdir():
        spoilt(file, old, new)
    good, reason = good_and_bad(tmp_path)
    assert words in reason
    assert "IM0000 and 3 more" in reason
    assert np.array_equal(load_series(good).array, awkward.values(SHORT))


def test_a_date_that_is_none_spoils_nothing(tmp_path: Path) -> None:
    awkward.save(tmp_path, awkward.images(PLAIN, SHORT, AcquisitionTime="101500"))
    for file in tmp_path.iterdir():
        spoilt(file, b"101500", b"10:15x")
    assert np.array_equal(load(tmp_path).array, awkward.values(SHORT))


@pytest.mark.parametrize("left", [0.3, 0.6, 0.9])
def test_a_file_cut_within_its_header_at_the_end_of_the_stack_is_told(tmp_path: Path, left: float) -> None:
    last = sorted(awkward.save(tmp_path, awkward.images(PLAIN, range(5))).iterdir())[-1]
    content = last.read_bytes()
    header = content.index(struct.pack("<HH", 0x7FE0, 0x10))
    last.write_bytes(content[: int(left * header)])
    volume = read(tmp_path)
    assert volume.geometry.shape == (4, 40, 36)
    assert any(last.name in note and "ends within its header" in note for note in volume.notes)


@pytest.mark.parametrize(
    "changes",
    [{"Rows": 65535, "Columns": 65535}, {"NumberOfFrames": 10**9}, {"NumberOfFrames": -2}, {"Rows": 0}],
)
def test_sizes_that_the_file_does_not_hold_are_refused(tmp_path: Path, changes: dict) -> None:
    awkward.save(tmp_path, awkward.images(PLAIN, SHORT, **changes))
    with pytest.raises(ReadError, match=r"the file holds|without a position|ends within"):
        load(tmp_path)


def test_sequences_nested_too_deeply_end_in_one_sentence(tmp_path: Path) -> None:
    awkward.save(tmp_path, awkward.images(PLAIN, SHORT))
    content = (tmp_path / "IM0000").read_bytes()
    at = content.index(struct.pack("<HH", 0x7FE0, 0x10))
    begin = struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    (tmp_path / "NESTED").write_bytes(content[:at] + 20_000 * begin + content[at:])
    good, reason = good_and_bad(tmp_path)
    assert "NESTED: a header that cannot be read (its sequences are nested too deeply)" in reason
    assert good.images == 4


def deflated(megabytes: int) -> bytes:
    """Return a DICOM file with one element of zeros, deflated."""
    meta, begin = FileMetaDataset(), BytesIO()
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "2.25.9"
    write_file_meta_info(begin, meta)
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = engine.compress(struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, megabytes << 20))
    body += b"".join(engine.compress(bytes(1 << 20)) for _ in range(megabytes)) + engine.flush()
    return bytes(128) + b"DICM" + begin.getvalue() + body


def test_inflation_has_a_budget(tmp_path: Path) -> None:
    awkward.save(tmp_path, awkward.images(PLAIN, SHORT))
    (tmp_path / "BOMB").write_bytes(deflated(128))
    good, reason = good_and_bad(tmp_path)
    assert "inflates to more than 100 times its size" in reason
    assert good.images == 4


def test_contours_that_inflate_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.rtstruct.dcm"
    path.write_bytes(deflated(128))
    with pytest.raises(ReadError, match=r"a\.rtstruct\.dcm: .* inflates to more than 100 times its size"):
        read_rtstruct(path, tmp_path)


def test_deflated_images_are_read(tmp_path: Path) -> None:
    files = awkward.images(PLAIN, SHORT)
    for file in files:
        file.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    assert np.array_equal(load(awkward.save(tmp_path, files)).array, awkward.values(SHORT))


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("name", ["IM{}", "IM{}.dcm", "{}.001", "1.2.840.{}", "{}.IMA"])
def test_files_without_preamble_are_dicom_by_their_content(tmp_path: Path, name: str, explicit: bool) -> None:
    for number, file in enumerate(awkward.images(PLAIN, SHORT)):
        del file.file_meta
        file.save_as(
            tmp_path / name.format(number), implicit_vr=not explicit, little_endian=True, enforce_file_format=False
        )
    assert all(is_dicom(path) for path in tmp_path.iterdir())
    one = sorted(tmp_path.iterdir())[0]
    for path in (tmp_path, one):
        assert np.array_equal(read(path).data[0], awkward.values(SHORT))


def test_what_is_only_named_like_dicom_is_none(tmp_path: Path) -> None:
    awkward.save(tmp_path, awkward.images(PLAIN, SHORT))
    (tmp_path / "readme.dcm").write_text("no DICOM")
    (tmp_path / "._IM0000").write_bytes(b"\0\5\x16\7" + bytes(400))
    (tmp_path / "empty.dcm").touch()
    assert not is_dicom(tmp_path / "readme.dcm")
    assert load(tmp_path).passport.notes == ()


def test_a_dicomdir_opens_its_study(tmp_path: Path) -> None:
    awkward.save(tmp_path / "IMAGES", awkward.images(PLAIN, SHORT))
    index = Dataset()
    index.file_meta = FileMetaDataset()
    index.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    index.file_meta.MediaStorageSOPClassUID, index.file_meta.MediaStorageSOPInstanceUID = (
        "1.2.840.10008.1.3.10",
        "2.25.5",
    )
    index.FileSetID = "DISC"
    index.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    assert np.array_equal(read(tmp_path / "DICOMDIR").data[0], awkward.values(SHORT))


def test_contours_are_named(tmp_path: Path) -> None:
    (contours,) = awkward.images(PLAIN, [0], SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3", Modality="RTSTRUCT")
    del contours.PixelData, contours.Rows, contours.Columns
    path = awkward.save(tmp_path, [contours], "RS.dcm") / "RS.dcm"
    for call in (read, read_labels):
        with pytest.raises(ReadError, match=r"contours \((DICOM )?RTSTRUCT\)"):
            call(path)


def test_links_to_folders_are_mentioned(tmp_path: Path) -> None:
    awkward.save(tmp_path / "real", awkward.images(PLAIN, SHORT))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "there").symlink_to(tmp_path / "real")
    with pytest.raises(ReadError, match=r"links to folders are not followed: there"):
        read(tmp_path / "in")


def test_an_own_series_uid_for_each_image_is_said_in_one_sentence(tmp_path: Path) -> None:
    files = awkward.images(PLAIN)
    for number, file in enumerate(files):
        file.SeriesInstanceUID = f"2.25.77{number}"
    with pytest.raises(ReadError, match="each image has a series UID") as caught:
        read(awkward.save(tmp_path, files))
    assert len(str(caught.value)) < 600


def test_a_private_syntax_of_ge_has_its_own_sentence(tmp_path: Path) -> None:
    files = awkward.images(PLAIN, SHORT)
    folder = awkward.save(tmp_path, files)
    for path in folder.iterdir():
        spoilt(path, b"1.2.840.10008.1.2.1\0", b"1.2.840.113619.5.2\0\0"[:20])
    (series,) = find_series(folder)
    assert "GE's private transfer syntax" in series.passport.notes[0]


@pytest.mark.parametrize(
    ("syntax", "marker", "at"),
    [
        ("1.2.840.10008.1.2.4.70", b"\xff\xc3", 5),
        ("1.2.840.10008.1.2.4.80", b"\xff\xf7", 5),
        ("1.2.840.10008.1.2.4.90", b"\xff\x51", 6),
    ],
)
def test_compressed_pixels_of_another_size_are_not_decoded(tmp_path: Path, syntax: str, marker: bytes, at: int) -> None:
    for path in awkward.save(tmp_path, awkward.compressed(awkward.images(PLAIN, SHORT), syntax)).iterdir():
        content = bytearray(path.read_bytes())
        place = content.index(marker, content.index(struct.pack("<HH", 0x7FE0, 0x10))) + at
        content[place : place + 2] = b"\x7f\xff"
        path.write_bytes(content)
    with pytest.raises(ReadError, match="cannot be decoded"):
        load(tmp_path)
