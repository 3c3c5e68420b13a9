"""Zip archives: the one scan in them is read, nothing is left behind, and what could do harm is refused whole."""

from __future__ import annotations

import stat
import tempfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

import awkward_dicom as made
from voxtrace.batch.cases import find_cases
from voxtrace.batch.sources import describe_sources
from voxtrace.cli.inspect_path import inspect_path
from voxtrace.errors import ReadError
from voxtrace.io import count_timepoints, read, read_labels, write
from voxtrace.io.dicom import DicomGrid
from voxtrace.io.foreign import archive
from voxtrace.volume import LabelMap


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every test unpacks into a folder of its own, which is empty afterwards."""
    place = tmp_path / "unpacked here"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield
    # a reader process keeps an empty folder for its temporary files
    left = [one for one in place.iterdir() if not one.name.startswith("voxtrace-read-") or any(one.iterdir())]
    assert left == []


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def nifti(tmp_path: Path) -> bytes:
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -2, 3, 1])), tmp_path / "a.nii")  # type: ignore[no-untyped-call]
    return (tmp_path / "a.nii").read_bytes()


def test_dicom_in_an_archive_is_the_series_of_the_folder(tmp_path: Path) -> None:
    folder = made.save(tmp_path / "study", made.images(made.place()))
    contents = {f"DICOM/ST1/{one.name};1": one.read_bytes() for one in sorted(folder.iterdir())}
    path = packed(tmp_path / "patient 7.zip", {**contents, "README.TXT": b"a disc", "__MACOSX/DICOM/._a": b"x"})
    plain, unpacked = read(folder), read(path)
    np.testing.assert_array_equal(unpacked.data, plain.data)
    assert unpacked.geometry.is_close(plain.geometry, 1e-9)
    assert unpacked.name == "patient 7"
    # its images are gone, so nothing may refer to them
    assert isinstance(plain.geometry.grid, DicomGrid)
    assert not isinstance(unpacked.geometry.grid, DicomGrid)
    assert count_timepoints(path) == 1
    [series] = inspect_path(path)["series"]
    assert series["usable"]


@pytest.mark.parametrize("name", ["scan.nii", "a/b/scan.nii", "a\\b\\scan.nii"])
def test_a_volume_in_an_archive_is_read(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "x.zip", {name: nifti(tmp_path), "notes.txt": b"x"})
    np.testing.assert_array_equal(read(path).data, read(tmp_path / "a.nii").data)
    assert read(path).name == "x"
    assert inspect_path(path)["name"] == "x"
    [case] = find_cases([path])
    assert (case.name, case.read().data.shape) == ("x", (1, 5, 4, 3))
    assert describe_sources(case)[0]["files"] == 1


def test_labels_and_ome_zarr_in_an_archive_are_read(tmp_path: Path) -> None:
    scan = read(write(read(tmp_path / "a.nii") if nifti(tmp_path) else read(tmp_path), tmp_path / "b.nii.gz"))
    labels = LabelMap((scan.data[0] > 9).astype(np.uint8), scan.geometry, {1: "liver"})
    write(labels, tmp_path / "c.ome.zarr")
    files = {str(f.relative_to(tmp_path)): f.read_bytes() for f in (tmp_path / "c.ome.zarr").rglob("*") if f.is_file()}
    found = read_labels(packed(tmp_path / "x.zip", files))
    np.testing.assert_array_equal(found.data, labels.data)
    assert found.names == {1: "liver"}


def test_an_archive_with_several_scans_or_none_says_so(tmp_path: Path) -> None:
    content = nifti(tmp_path)
    with pytest.raises(ReadError, match=r"2 scans or label maps \(one.nii, two.nii\)"):
        read(packed(tmp_path / "x.zip", {"one.nii": content, "two.nii": content}))
    with pytest.raises(ReadError, match="no volume"):
        read(packed(tmp_path / "y.zip", {"notes.txt": b"nothing"}))


def test_messages_name_the_archive_and_not_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ReadError) as refused:
        read(packed(tmp_path / "x.zip", {"a/scan.nii": nifti(tmp_path)[:400]}))
    assert f"{tmp_path / 'x.zip'}/a/scan.nii is damaged" in str(refused.value)


@pytest.mark.parametrize(
    "name", ["../a.nii", "a/../../b.nii", "/etc/a.nii", "C:\\a.nii", "..\\a.nii", "\\\\host\\a.nii"]
)
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_unpacked(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "x.zip", {"fine.nii": nifti(tmp_path), name: b"x"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ReadError, match="leads out of the archive's folder; nothing was unpacked"):
        read(path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("a.nii")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ReadError, match="a link or a device"):
        read(tmp_path / "x.zip")


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="two files of one name"):
        read(packed(tmp_path / "x.zip", {"a.nii": b"x", "A.nii": b"y"}))


def test_an_archive_that_unpacks_to_far_more_is_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxtrace.io.integrity._BUDGET", 1 << 22)
    fine = packed(tmp_path / "fine.zip", {"a.nii": nifti(tmp_path), "a.raw": bytes(1 << 20)})
    assert read(fine).name == "fine"
    path = packed(tmp_path / "x.zip", {f"{n}.raw": bytes(1 << 20) for n in range(5)})
    assert path.stat().st_size < 1 << 14
    with pytest.raises(ReadError, match=r"promises 0\.00524 GB"):
        read(path)


def test_more_files_than_a_study_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxtrace.io.foreign.archive.MOST_FILES", 5)
    with pytest.raises(ReadError, match="holds 6 files; expected at most 5"):
        read(packed(tmp_path / "x.zip", {f"{n}.txt": b"x" for n in range(6)}))


def test_locked_and_unusual_archives_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", {"a.nii": nifti(tmp_path)})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ReadError, match="locked with a password"):
        read(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.nii", b"x")
    with pytest.raises(ReadError, match="unusual way"):
        read(path)


def test_a_file_without_a_name_is_refused(tmp_path: Path) -> None:
    content = bytearray(packed(tmp_path / "x.zip", {"\x01": b"x"}).read_bytes())
    for signature, at in ((b"PK\3\4", 30), (b"PK\1\2", 46)):
        content[content.index(signature) + at] = 0
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(ReadError, match="cannot be unpacked"):
        read(tmp_path / "x.zip")


def test_every_damage_of_an_archive_ends_in_our_error(tmp_path: Path) -> None:
    content = packed(tmp_path / "x.zip", {"a/scan.nii": nifti(tmp_path), "b.txt": b"text" * 50}).read_bytes()
    random = np.random.default_rng(3)
    refused = 0
    for number in range(200):
        damaged = bytearray(content)
        for at in random.integers(0, len(content), 4):
            damaged[at] = random.integers(0, 256)
        (tmp_path / "x.zip").write_bytes(damaged[: random.integers(1, len(content))] if number % 4 == 0 else damaged)
        try:
            read(tmp_path / "x.zip")
        except ReadError:
            refused += 1
    assert refused > 100


def test_an_archive_with_channels_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(240, dtype=np.int16).reshape(3, 4, 5, 4)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -2, 3, 1])), tmp_path / "a.nii")  # type: ignore[no-untyped-call]
    path = packed(tmp_path / "x.zip", {"a.nii": (tmp_path / "a.nii").read_bytes()})
    unpack, calls = archive._unpack, list[Path]()
    monkeypatch.setattr(archive, "_unpack", lambda *given: (calls.append(given[0]), unpack(*given)))
    np.testing.assert_array_equal(read(path, channels=4).data, read(tmp_path / "a.nii", channels=4).data)
    assert calls == [path]
    with pytest.raises(ReadError, match=r"x\.zip holds 4 volumes .* where 2 channels"):
        read(path, channels=2)
