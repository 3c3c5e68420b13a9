"""NRRD and MetaImage are read as ITK reads them, from the one header that was checked, and never another file."""

from __future__ import annotations

import bz2
import gzip
import itertools
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from voxtrace.batch import CaseInput
from voxtrace.batch.sources import describe_sources, same_sources
from voxtrace.errors import ReadError
from voxtrace.io import count_timepoints, read, read_labels, write
from voxtrace.io.contents import file_digest
from voxtrace.io.metaimage import open_metaimage
from voxtrace.io.nrrd import open_nrrd
from voxtrace.volume import Geometry, Grid, LabelMap

VALUES = np.random.default_rng(3).integers(-900, 900, (4, 3, 5)).astype(np.int16)
SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "LPS", "RAS", "LAS")


def nrrd(path: Path, voxels: bytes, **changes: str) -> Path:
    """Save an NRRD file of 5×3×4 int16; ``changes`` replace or add fields, with _ for a blank; "" drops one."""
    fields = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "5 3 4",
        "space directions": "(0.5,0,0) (0,0.75,0) (0,0,2.5)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(-3,4.5,6)",
    }
    fields |= {name.replace("_", " "): value for name, value in changes.items()}
    text = "NRRD0005\n" + "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
    path.write_bytes(text.encode() + (b"" if "data_file" in changes else b"\n" + voxels))
    return path


def meta(path: Path, voxels: bytes, **changes: str) -> Path:
    """Save a MetaImage file of 5×3×4 int16; ``changes`` replace or add fields; "" drops one."""
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "-3 4.5 6",
        "ElementSpacing": "0.5 0.75 2.5",
        "DimSize": "5 3 4",
        "ElementType": "MET_SHORT",
    }
    fields |= {name: value for name, value in changes.items() if name != "ElementDataFile"}
    fields["ElementDataFile"] = changes.get("ElementDataFile", "LOCAL")
    text = "".join(f"{name} = {value}\n" for name, value in fields.items() if value)
    path.write_bytes(os.fsencode(text) + voxels)
    return path


def check_as_itk(path: Path) -> None:
    image, volume = SimpleITK.ReadImage(str(path)), read(path)
    grid = volume.geometry.grid
    assert grid.size == image.GetSize()
    np.testing.assert_allclose(grid.spacing_mm, image.GetSpacing(), rtol=1e-12)
    np.testing.assert_allclose(grid.origin_mm, image.GetOrigin(), rtol=1e-12)
    np.testing.assert_allclose(grid.direction, image.GetDirection(), atol=1e-12)
    stored = grid.layout.to_stored(volume.data[0])
    assert np.array_equal(stored, SimpleITK.GetArrayFromImage(image))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("directions", ["(0.5,0,0) (0,0.75,0) (0,0,2.5)", "(0,0,-0.5) (0.6,0.8,0) (-0.8,0.6,0)"])
def test_every_space_of_nrrd_places_voxels_as_itk_does(tmp_path: Path, space: str, directions: str) -> None:
    check_as_itk(nrrd(tmp_path / "a.nrrd", VALUES.tobytes(), space=space, space_directions=directions))


def test_nrrd_without_directions_is_placed_as_itk_does(tmp_path: Path) -> None:
    plain = {"space": "", "space_directions": "", "space_origin": "", "spacings": "0.5 0.75 2.5"}
    check_as_itk(nrrd(tmp_path / "a.nrrd", VALUES.tobytes(), **plain))
    for centers in ("cell cell cell", "node node node"):
        named = {**plain, "axis_mins": "-3 4.5 6", "centers": centers}
        check_as_itk(nrrd(tmp_path / f"{centers[:4]}.nrrd", VALUES.tobytes(), **named))


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "text", "hex"])
@pytest.mark.parametrize("order", ["little", "big"])
def test_every_encoding_of_nrrd_holds_the_same_voxels(tmp_path: Path, encoding: str, order: str) -> None:
    stored = VALUES.astype("<i2" if order == "little" else ">i2").tobytes()
    voxels = {
        "raw": stored,
        "gzip": gzip.compress(stored),
        "bzip2": bz2.compress(stored),
        "text": " ".join(str(v) for v in VALUES.ravel()).encode(),
        "hex": stored.hex().encode(),
    }[encoding]
    path = nrrd(tmp_path / "a.nrrd", voxels, encoding=encoding, endian=order)
    assert np.array_equal(read(path).data[0], VALUES)


@pytest.mark.parametrize("time_axis", [0, 1, 2, 3])
def test_time_may_be_any_axis_of_nrrd(tmp_path: Path, time_axis: int) -> None:
    """The axis of kind list lies before, among or after those in space."""
    film = np.stack([VALUES, VALUES + 1, VALUES + 2])
    stored = np.moveaxis(film, 0, 3 - time_axis)
    vectors = ["(0.5,0,0)", "(0,0.75,0)", "(0,0,2.5)"]
    vectors.insert(time_axis, "none")
    kinds = ["domain"] * 3
    kinds.insert(time_axis, "list")
    sizes = " ".join(str(n) for n in stored.shape[::-1])
    changes = {"dimension": "4", "sizes": sizes, "space_directions": " ".join(vectors), "kinds": " ".join(kinds)}
    path = nrrd(tmp_path / "a.nrrd", np.ascontiguousarray(stored).tobytes(), **changes)
    assert count_timepoints(path) == 3
    for number in range(3):
        assert np.array_equal(read(path, number).data[0], VALUES + number)


def test_detached_voxels_are_read_from_their_end_or_after_a_skip(tmp_path: Path) -> None:
    (tmp_path / "v.raw").write_bytes(b"head\n" + VALUES.tobytes())
    (tmp_path / "v.gz").write_bytes(gzip.compress(b"head\n" + VALUES.tobytes()))
    for number, (file, changes) in enumerate(
        itertools.product(("v.raw", "v.gz"), ({"byte_skip": "-1"}, {"byte_skip": "5"}))
    ):
        encoding = "raw" if file == "v.raw" else "gzip"
        path = nrrd(tmp_path / f"{number}.nrrd", b"", data_file=file, encoding=encoding, **changes)
        assert np.array_equal(read(path).data[0], VALUES)
    path = nrrd(tmp_path / "lines.nrrd", b"", data_file="v.raw", line_skip="1")
    assert np.array_equal(read(path).data[0], VALUES)


def test_a_header_beside_its_voxels_is_read_and_none_without_them(tmp_path: Path) -> None:
    (tmp_path / "v.raw").write_bytes(VALUES.tobytes())
    check_as_itk(nrrd(tmp_path / "a.nhdr", b"", data_file="v.raw"))
    with pytest.raises(ReadError, match="names no data file"):
        read(nrrd(tmp_path / "b.nhdr", VALUES.tobytes()))
    (tmp_path / "long.raw").write_bytes(b"head\n" + VALUES.tobytes())
    with pytest.raises(ReadError, match="is damaged: it holds 125 bytes"):
        read(nrrd(tmp_path / "c.nhdr", b"", data_file="long.raw"))


def test_voxels_in_a_file_for_each_slice_are_put_together(tmp_path: Path) -> None:
    for number, plane in enumerate(VALUES, start=1):
        (tmp_path / f"s{number:02d}.raw").write_bytes(plane.tobytes())
    (tmp_path / "list.mhd").write_bytes(
        meta(tmp_path / "head.mhd", b"", ElementDataFile="LIST").read_bytes() + b"s01.raw\ns02.raw\ns03.raw\ns04.raw\n"
    )
    for path in (
        tmp_path / "list.mhd",
        meta(tmp_path / "numbered.mhd", b"", ElementDataFile="s%02d.raw 1 4 1"),
        nrrd(tmp_path / "numbered.nrrd", b"", data_file="s%02d.raw 1 4 1 2"),
    ):
        if path.suffix == ".nrrd":  # a subdimension is not supported and must not be passed over
            with pytest.raises(ReadError, match="numbering"):
                read(path)
        else:
            assert np.array_equal(read(path).data[0], VALUES)


@pytest.mark.parametrize("size", [None, 3])
def test_packed_metaimage_is_read_whatever_size_its_header_gives(tmp_path: Path, size: int | None) -> None:
    stated = {} if size is None else {"CompressedDataSize": str(size)}
    packed = zlib.compress(VALUES.tobytes())
    path = meta(tmp_path / "a.mha", packed, CompressedData="True", **stated)
    assert np.array_equal(read(path).data[0], VALUES)


@pytest.mark.parametrize(
    "changes",
    [
        {"TransformMatrix": "0 1 0 0 0 1 1 0 0"},
        {"TransformMatrix": "0.6 0.8 0 -0.8 0.6 0 0 0 1"},
        {"ElementSpacing": "0.5 -0.75 2.5"},
        {"BinaryDataByteOrderMSB": "True"},
        {"TransformMatrix": "", "Offset": ""},
        {"Offset": "", "Position": "1 2 3"},
        {"ElementSpacing": "", "ElementSize": "1 2 3"},
    ],
    ids=str,
)
def test_metaimage_is_placed_as_itk_does(tmp_path: Path, changes: dict[str, str]) -> None:
    check_as_itk(meta(tmp_path / "a.mha", VALUES.tobytes(), **changes))


@pytest.mark.parametrize(("kind", "itemsize"), [("MET_LONG", 4), ("MET_LONG", 8), ("MET_ULONG", 8)])
@pytest.mark.parametrize("packed", [False, True])
def test_a_long_has_the_bytes_that_the_file_holds(tmp_path: Path, kind: str, itemsize: int, packed: bool) -> None:
    values = np.abs(VALUES).astype(f"<i{itemsize}")
    voxels = zlib.compress(values.tobytes()) if packed else values.tobytes()
    path = meta(tmp_path / "a.mha", voxels, ElementType=kind, CompressedData=str(packed))
    assert np.array_equal(read(path).data[0], np.abs(VALUES))


@pytest.mark.parametrize("rest", [b"x", bytes(60)])
def test_voxels_too_few_or_too_many_are_refused(tmp_path: Path, rest: bytes) -> None:
    raw = VALUES.tobytes()
    for voxels in (raw[:-2], raw + rest + b"yyyy"):
        for path in (
            meta(tmp_path / "a.mha", voxels),
            meta(tmp_path / "z.mha", zlib.compress(voxels), CompressedData="True"),
            nrrd(tmp_path / "a.nrrd", voxels),
            nrrd(tmp_path / "z.nrrd", gzip.compress(voxels), encoding="gzip"),
            nrrd(tmp_path / "b.nrrd", bz2.compress(voxels), encoding="bzip2"),
        ):
            with pytest.raises(ReadError, match="is damaged: it holds"):
                read(path)


def test_a_packed_stream_that_is_cut_or_altered_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(VALUES.tobytes())
    for voxels in (packed[:-9], packed[:30] + bytes([packed[30] ^ 255]) + packed[31:], packed[:-8] + bytes(8)):
        with pytest.raises(ReadError, match="damaged"):
            read(nrrd(tmp_path / "a.nrrd", voxels, encoding="gzip"))


@pytest.mark.parametrize("name", ["/etc/passwd", "../v.raw", "below/../../v.raw", "out.raw"])
def test_a_header_names_files_beside_and_below_itself_only(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "scan"
    (folder / "below").mkdir(parents=True)
    (tmp_path / "v.raw").write_bytes(VALUES.tobytes())
    (folder / "out.raw").symlink_to(tmp_path / "v.raw")
    (folder / "below" / "v.raw").write_bytes(VALUES.tobytes())
    for path in (
        meta(folder / "a.mhd", b"", ElementDataFile=name),
        nrrd(folder / "a.nrrd", b"", data_file=name),
        meta(folder / "l.mhd", f"{name}\n".encode(), ElementDataFile="LIST"),
    ):
        with pytest.raises(ReadError, match="expected a file beside or below it") as refused:
            read(path)
        assert ("a link that leads out" in str(refused.value)) == (name == "out.raw")
    assert np.array_equal(read(meta(folder / "b.mhd", b"", ElementDataFile="below/v.raw")).data[0], VALUES)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"NDims": "999999999"}, "in '999999999' dimensions"),
        ({"NDims": "-1"}, "in '-1' dimensions"),
        ({"NDims": "40", "DimSize": "1 " * 40}, "dimensions"),
        ({"DimSize": "5 3 -4"}, "sizes '5 3 -4'"),
        ({"DimSize": "2000000000 2000000000 2000000000"}, "where its header promises"),
        ({"ElementSpacing": "1 nan 1"}, "ElementSpacing"),
        ({"Offset": "inf 0 0"}, "Offset"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "run the same way"),
        ({"TransformMatrix": "1 0 0"}, "expected 9 finite numbers"),
        ({"ElementType": "MET_STRING"}, "ElementType MET_STRING"),
        ({"HeaderSize": "-7"}, "HeaderSize '-7'"),
        ({"Position": "9 9 9"}, "contradicts itself: offset and position differ"),
        ({"ElementNumberOfChannels": "3"}, "3 values in each voxel"),
        ({"ElementDataFile": "%s%n.raw 1 4 1"}, "no numbering"),
    ],
    ids=str,
)
def test_a_metaimage_header_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ReadError, match=words):
        read(meta(tmp_path / "a.mha", VALUES.tobytes(), **changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dimension": "3000000000"}, "dimensions"),
        ({"sizes": "5 3"}, "sizes '5 3'"),
        ({"sizes": "5 3 0"}, "sizes '5 3 0'"),
        ({"kinds": "domain domain"}, "kinds for 2 of 3 axes"),
        ({"kinds": "list list domain"}, "two-dimensional"),
        ({"endian": ""}, "how its bytes are ordered"),
        ({"type": "block"}, "type that cannot be read"),
        ({"encoding": "zrl"}, "packs its voxels as 'zrl'"),
        ({"byte_skip": "-5"}, "skips 0 lines and -5 bytes"),
        ({"byte_skip": "1e3"}, "byteskip '1e3'"),
        ({"space_directions": "(1,0,0) (0,1,0) (0,0,x)"}, "space directions"),
        ({"space_directions": "(1,0,0) (0,1,0) none"}, "for 2 of three axes"),
        ({"space_directions": "(1,0,0) (0,1,0) (0,0,1) (0,0,1)"}, "for each of 3 axes"),
        ({"space_directions": "(1,0,0) (1,0,0) (0,0,1)"}, "run the same way"),
        ({"space_origin": "(1,2)"}, "expected three numbers"),
        ({"space_units": '"mm" "um" "mm"'}, "measures in 'um'"),
        ({"type": "long " + "l" * 5000}, "type that cannot be read"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_nrrd_header_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ReadError, match=words):
        read(nrrd(tmp_path / "a.nrrd", VALUES.tobytes(), **changes))


def test_a_field_given_twice_is_refused(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", VALUES.tobytes())
    path.write_bytes(path.read_bytes().replace(b"kinds:", b"sizes: 4 3 5\nkinds:"))
    with pytest.raises(ReadError, match="'sizes' twice"):
        read(path)


def test_letters_that_are_no_utf8_in_a_header_are_read_as_latin1(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", np.abs(VALUES).tobytes())
    keys = b"Segment0_Name:=M\xfcller\nSegment0_LabelValue:=1\n\xff\xfe:=x\n"
    path.write_bytes(path.read_bytes().replace(b"endian:", keys + b"endian:"))
    assert read_labels(path).names == {1: "Müller"}
    other = meta(tmp_path / "a.mha", VALUES.tobytes())
    other.write_bytes(b"\xff\xfeComment = \xfc\n" + other.read_bytes())
    assert np.array_equal(read(other).data[0], VALUES)


def test_a_small_file_does_not_unpack_to_much_more_than_it_promises(tmp_path: Path) -> None:
    packed = gzip.compress(bytes(200 << 20), 9)
    with pytest.raises(ReadError, match="holds more than the 120 bytes"):
        read(nrrd(tmp_path / "a.nrrd", packed, encoding="gzip"))
    with pytest.raises(ReadError, match="promises 2 GB of voxels in a file of"):
        read(nrrd(tmp_path / "b.nrrd", packed + bytes(2_000_000), encoding="gzip", sizes="1000 1000 1000"))


@pytest.mark.parametrize(
    "name", ["50%d", "100% done", " blank", "LIST of scans", "local", "ünï 肝", "a+b", "tab\there"]
)
def test_any_name_of_a_metaimage_can_be_written_and_read(tmp_path: Path, name: str) -> None:
    labels = LabelMap(np.eye(3, dtype=np.uint8)[None].repeat(2, 0), Geometry.from_spacing((2, 3, 3), (2.0, 1.0, 1.0)))
    path = write(labels, tmp_path / f"{name}.mhd")
    assert np.array_equal(read_labels(path).data, labels.data)
    assert np.array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))), labels.data)


@pytest.mark.skipif(os.name != "posix", reason="names of files are text on this system")
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_a_name_that_is_no_utf8_is_written_read_and_shown(tmp_path: Path, suffix: str) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + suffix.encode()))
    labels = LabelMap(np.ones((2, 3, 4), np.uint8), Geometry.from_spacing((2, 3, 4), (2.0, 1.0, 1.0)))
    write(labels, path)
    assert read_labels(path).name == "caf%E9"
    assert np.array_equal(read(path).data[0], labels.data)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_what_is_written_is_what_itk_reads(tmp_path: Path, kind: str) -> None:
    from voxtrace.io import metaimage
    from voxtrace.io import nrrd as nrrd_format

    grid = Grid((5, 3, 4), (0.5, 0.75, 2.5), (-3.0, 4.5, 6.0), (0.6, -0.8, 0.0, 0.8, 0.6, 0.0, 0.0, 0.0, 1.0))
    values = (np.abs(VALUES) % 100).astype(kind)
    packed = zlib.compress(values.tobytes())
    header = metaimage.header_text(grid, kind, {"Key": "a b"}, "LOCAL", len(packed))
    (tmp_path / "a.mha").write_bytes(header.encode() + packed)
    text = nrrd_format.header_text(grid, kind, {"Key": "a\\b\nc"})
    (tmp_path / "a.nrrd").write_bytes(text.encode() + gzip.compress(values.tobytes()))
    for path in (tmp_path / "a.mha", tmp_path / "a.nrrd"):
        image = SimpleITK.ReadImage(str(path))
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), values)
        np.testing.assert_allclose(image.GetDirection(), grid.direction, atol=1e-15)
        assert image.GetOrigin() == grid.origin_mm
    assert open_nrrd(tmp_path / "a.nrrd").entries["Key"] == "a\\b\nc"
    assert open_metaimage(tmp_path / "a.mha").grid == grid


@pytest.mark.parametrize("ending", [".mhd", ".mha", ".nhdr", ".nrrd"])
@pytest.mark.parametrize("where", ["sub/v.raw", "s%03d.raw 0 3 1", "LIST"])
def test_changed_voxels_are_noticed_wherever_the_header_has_them(tmp_path: Path, ending: str, where: str) -> None:
    names = ["sub/v.raw"] if where == "sub/v.raw" else [f"s{number:03d}.raw" for number in range(4)]
    (tmp_path / "sub").mkdir()
    for name, part in zip(names, np.split(VALUES, len(names)), strict=True):
        (tmp_path / name).write_bytes(part.tobytes())
    value = "\n".join(["LIST 2", *names]) if where == "LIST" and "n" in ending else where
    path = tmp_path / f"a{ending}"
    if ending.startswith(".m"):
        meta(path, "\n".join(names).encode() if where == "LIST" else b"", ElementDataFile=value)
    else:
        nrrd(path, b"", data_file=value)
    (tmp_path / "a.txt").write_text("not read")
    np.testing.assert_array_equal(np.sort(read(path).data.ravel()), np.sort(VALUES.ravel()))
    case = CaseInput("a", (path,))
    before, digest = describe_sources(case), file_digest(path)
    assert before[0]["files"] == 1 + len(names)
    (tmp_path / names[-1]).write_bytes((tmp_path / names[-1]).read_bytes()[::-1])
    assert not same_sources(before, case)
    assert file_digest(path) != digest
