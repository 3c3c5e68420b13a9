"""OME-Zarr in and out: voxels and places in mm, read by zarr alone; what is converted and what is refused."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

import awkward_dicom as made
from voxtrace.batch.cases import find_cases
from voxtrace.batch.sources import describe_sources
from voxtrace.cli import app
from voxtrace.errors import GeometryError, OutputError, ReadError
from voxtrace.io import count_timepoints, label_names, read, read_labels, write
from voxtrace.io.export import ExportOptions, export_all
from voxtrace.volume import DEMONSTRATION, Geometry, Grid, LabelMap, Volume

SIZE, SPACING = (70, 40, 9), (0.8, 0.7, 3.0)
VERSIONS = ["0.4", "0.5"]
RANDOM = np.random.default_rng(2)


def geometry(turn_deg: float = 0.0) -> Geometry:
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    direction = turn @ np.diag([-1.0, -1.0, 1.0])
    return Geometry.from_grid(Grid(SIZE, SPACING, (10.0, -20.0, 33.0), tuple(float(v) for v in direction.ravel())))


def scan(turn_deg: float = 0.0, channels: int = 1) -> Volume:
    return Volume(RANDOM.integers(-1000, 1000, (channels, *SIZE[::-1])).astype(np.int16), geometry(turn_deg))


def labels(turn_deg: float = 0.0) -> LabelMap:
    data = (RANDOM.random(SIZE[::-1]) > 0.7).astype(np.uint8) * 3
    return LabelMap(data, geometry(turn_deg), {3: "liver", 7: "left kidney"}, {3: (1.0, 0.2, 0.0)})


def attributes(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = dict(zarr.open_group(str(folder), mode="r").attrs)
    return found.get("ome", found)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("turn_deg", [0.0, 20.0])
def test_an_image_with_its_labels_comes_back_in_place(tmp_path: Path, version: Any, turn_deg: float) -> None:
    image, mask = scan(turn_deg), labels(turn_deg)
    written = export_all(mask, tmp_path / "a.ome.zarr", ExportOptions(image=image, ngff=version))
    assert len(written.notes) == (turn_deg > 0)
    found = read(tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(found.data, image.data)
    assert found.geometry.is_close(image.geometry, 1e-6)
    assert (found.name, found.data.dtype) == ("a", np.int16)
    for path in (tmp_path / "a.ome.zarr", tmp_path / "a.ome.zarr" / "labels" / "segmentation"):
        back = read_labels(path)
        np.testing.assert_array_equal(back.data, mask.data)
        assert back.geometry.is_close(mask.geometry, 1e-6)
        assert back.names == mask.names
        assert back.colours[3] == (1.0, 51 / 255, 0.0)
    assert label_names(tmp_path / "a.ome.zarr") == {}
    assert label_names(tmp_path / "a.ome.zarr" / "labels" / "segmentation") == mask.names


@pytest.mark.parametrize("version", VERSIONS)
def test_zarr_alone_finds_voxels_and_places_of_every_level(tmp_path: Path, version: Any) -> None:
    image = scan()
    export_all(image, tmp_path / "a.zarr", ExportOptions(ngff=version))
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    assert group.metadata.zarr_format == (2 if version == "0.4" else 3)
    [multiscale] = attributes(tmp_path / "a.zarr")["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in multiscale["axes"]} == {"millimeter"}
    places = []
    for dataset in multiscale["datasets"]:
        array: Any = group[dataset["path"]]
        scale, shift = (one[one["type"]] for one in dataset["coordinateTransformations"])
        # the middle of what a level covers stays where it is
        places.append(np.asarray(shift) + np.asarray(scale) * (np.asarray(array.shape) - 1) / 2)
        if version == "0.5":
            assert array.metadata.dimension_names == ("z", "y", "x")
    assert len(places) == 2
    np.testing.assert_allclose(places[1], places[0], atol=1e-9)
    first: Any = group["0"]
    np.testing.assert_array_equal(first[:], image.data[0])
    np.testing.assert_allclose(multiscale["datasets"][0]["coordinateTransformations"][0]["scale"], (3.0, 0.7, 0.8))


def test_coarser_labels_hold_no_label_that_is_not_there(tmp_path: Path) -> None:
    write(labels(), tmp_path / "a.zarr")
    coarser: Any = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")["1"]
    assert coarser.shape == (9, 40, 35)
    assert set(np.unique(coarser[:])) == {0, 3}


def test_channels_come_back_as_channels(tmp_path: Path) -> None:
    image = scan(channels=3)
    write(image, tmp_path / "a.ome.zarr")
    assert count_timepoints(tmp_path / "a.ome.zarr") == 3
    np.testing.assert_array_equal(read(tmp_path / "a.ome.zarr", channels=3).data, image.data)
    with pytest.raises(ReadError, match="holds 3 frames"):
        read(tmp_path / "a.ome.zarr")


def test_the_note_of_a_demonstration_comes_back(tmp_path: Path) -> None:
    mask = LabelMap(labels().data, geometry(), note=DEMONSTRATION)
    write(mask, tmp_path / "a.ome.zarr")
    assert read_labels(tmp_path / "a.ome.zarr").note == DEMONSTRATION


def test_nothing_that_is_there_is_replaced(tmp_path: Path) -> None:
    write(scan(), tmp_path / "a.ome.zarr")
    with pytest.raises(OutputError, match="exists already; name a new folder"):
        write(labels(), tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(read(tmp_path / "a.ome.zarr").data.shape, (1, *SIZE[::-1]))


def test_labels_on_another_grid_than_the_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="does not lie on the grid"):
        export_all(labels(20.0), tmp_path / "a.ome.zarr", ExportOptions(image=scan()))
    assert not (tmp_path / "a.ome.zarr").exists()


def test_a_dicom_folder_becomes_an_image_by_the_command(tmp_path: Path) -> None:
    folder = made.save(tmp_path / "study", made.images(made.place()))
    arguments = ["export", str(folder), str(tmp_path / "a.ome.zarr"), str(tmp_path / "a.nii.gz"), "--ngff", "0.5"]
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 0, run.output
    plain = read(folder)
    for name in ("a.ome.zarr", "a.nii.gz"):
        found = read(tmp_path / name)
        np.testing.assert_array_equal(found.data, plain.data)
        assert found.geometry.is_close(plain.geometry, 1e-3)


def test_an_image_is_one_case_and_its_files_are_remembered(tmp_path: Path) -> None:
    write(scan(), tmp_path / "case 1.ome.zarr")
    for given in (tmp_path, tmp_path / "case 1.ome.zarr"):
        [case] = find_cases([given])
        assert (case.name, case.read().name) == ("case 1", "case 1")
        before = describe_sources(case)
        assert before[0]["files"] > 5
    chunk = next(file for file in (tmp_path / "case 1.ome.zarr" / "0").rglob("0") if file.is_file())
    chunk.write_bytes(chunk.read_bytes()[::-1])
    assert describe_sources(case) != before


def foreign(folder: Path, data: np.ndarray[Any, Any], axes: str, **changes: Any) -> Path:
    """Write an image as other programs do, version 0.4."""
    unit = changes.pop("unit", "millimeter")
    kinds = {"t": "time", "c": "channel"}
    listed = [{"name": name, "type": kinds.get(name, "space")} for name in axes]
    for axis in listed:
        if axis["type"] == "space" and unit:
            axis["unit"] = unit
    described = changes.pop("described", listed)
    transforms = changes.pop("transforms", [{"type": "scale", "scale": [float(n + 1) for n in range(len(axes))]}])
    dataset = {"path": changes.pop("path", "0"), "coordinateTransformations": transforms}
    image = {"version": "0.4", "axes": described, "datasets": [dataset], **changes}
    group = zarr.create_group(str(folder), zarr_format=2, attributes={"multiscales": [image]})
    group.create_array("0", data=data, chunks=data.shape)
    return folder


def test_axes_in_any_order_are_read(tmp_path: Path) -> None:
    data = RANDOM.integers(0, 99, (2, 5, 4, 3)).astype(np.uint8)  # t, x, z, y
    path = foreign(tmp_path / "a.zarr", data, "txzy")
    found = read(path, 1)
    np.testing.assert_array_equal(found.data[0], data[1].transpose(1, 2, 0))
    assert found.geometry.spacing_mm == (3.0, 4.0, 2.0)


@pytest.mark.parametrize(("unit", "factor"), [("micrometer", 1e-3), ("meter", 1e3), ("centimeter", 10.0)])
def test_other_units_are_converted(tmp_path: Path, unit: str, factor: float) -> None:
    transforms = [
        {"type": "scale", "scale": [2 / factor, 3 / factor, 4 / factor]},
        {"type": "translation", "translation": [7 / factor, 8 / factor, 9 / factor]},
    ]
    path = foreign(tmp_path / "a.zarr", np.ones((3, 4, 5), np.uint8), "zyx", unit=unit, transforms=transforms)
    found = read(path)
    np.testing.assert_allclose(found.geometry.spacing_mm, (2, 3, 4))
    np.testing.assert_allclose(found.geometry.origin_mm, (7, 8, 9))
    assert any("converted to mm" in note for note in found.notes)


def test_transforms_of_image_and_level_are_applied_in_turn(tmp_path: Path) -> None:
    level = [{"type": "scale", "scale": [1.0, 1.0, 2.0]}, {"type": "translation", "translation": [0.0, 1.0, 1.0]}]
    whole = [{"type": "scale", "scale": [3.0, 2.0, 2.0]}, {"type": "translation", "translation": [5.0, 0.0, 0.0]}]
    path = foreign(
        tmp_path / "a.zarr", np.ones((3, 4, 5), np.uint8), "zyx", transforms=level, coordinateTransformations=whole
    )
    found = read(path).geometry
    np.testing.assert_allclose(found.spacing_mm, (3, 2, 4))
    np.testing.assert_allclose(found.origin_mm, (5, 2, 2))


def test_directions_of_the_axes_count_and_missing_ones_are_told(tmp_path: Path) -> None:
    data = RANDOM.integers(0, 99, (3, 4, 5)).astype(np.uint8)
    path = foreign(tmp_path / "a.zarr", data, "zyx")
    assert any("left from right" in note for note in read(path).notes)
    document = json.loads((path / ".zattrs").read_text())
    values = ("inferior-to-superior", "posterior-to-anterior", "left-to-right")
    for axis, value in zip(document["multiscales"][0]["axes"], values, strict=True):
        axis["orientation"] = {"type": "anatomical", "value": value}
    (path / ".zattrs").write_text(json.dumps(document))
    found = read(path)
    np.testing.assert_array_equal(found.data[0], data[:, ::-1, ::-1])
    np.testing.assert_allclose(found.geometry.origin_mm, (0, -3 * 2, -4 * 3))


def test_an_oblique_image_that_was_changed_since_is_refused(tmp_path: Path) -> None:
    write(scan(20.0), tmp_path / "a.zarr")
    document = json.loads((tmp_path / "a.zarr" / ".zattrs").read_text())
    document["multiscales"][0]["datasets"][0]["coordinateTransformations"][1]["translation"][0] += 3.0
    (tmp_path / "a.zarr" / ".zattrs").write_text(json.dumps(document))
    with pytest.raises(ReadError, match="another program changed"):
        read(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unit": "pixel"}, "measures in 'pixel'"),
        ({"path": "../other"}, "a folder below it"),
        ({"path": "/etc"}, "a folder below it"),
        ({"path": "1"}, "missing"),
        ({"transforms": []}, None),
        ({"transforms": [{"type": "affine", "affine": [1]}]}, "a transform of the type 'affine'"),
        ({"transforms": [{"type": "scale", "scale": [1, 1]}]}, "not 3 finite numbers"),
        ({"transforms": [{"type": "scale", "scale": [0, 1, 1]}]}, "voxel size of zero"),
        ({"described": ["z", "y", "x"]}, "as OME-Zarr 0.4 or 0.5 do"),
        ({"datasets": []}, "as OME-Zarr 0.4 or 0.5 do"),
    ],
)
def test_attributes_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any], words: str | None) -> None:
    path = foreign(tmp_path / "a.zarr", np.ones((3, 4, 5), np.uint8), "zyx", **changes)
    if words is None:
        assert read(path).geometry.spacing_mm == (1.0, 1.0, 1.0)
        return
    with pytest.raises(ReadError, match=words):
        read(path)


def test_what_is_no_image_says_what_to_name(tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=2, attributes={"bioformats2raw.layout": 3})
    foreign(tmp_path / "a.zarr" / "0", np.ones((3, 4, 5), np.uint8), "zyx")
    del group
    with pytest.raises(ReadError, match="its folder 0"):
        read(tmp_path / "a.zarr")
    assert read(tmp_path / "a.zarr" / "0").data.shape == (1, 3, 4, 5)
    with pytest.raises(ReadError, match="x, y and z once each"):
        read(foreign(tmp_path / "flat.zarr", np.ones((3, 4), np.uint8), "yx"))
    with pytest.raises(ReadError, match="both time points and channels"):
        read(foreign(tmp_path / "b.zarr", np.ones((2, 2, 3, 4, 5), np.uint8), "tczyx"))
    with pytest.raises(ReadError, match="type complex64"):
        read(foreign(tmp_path / "c.zarr", np.ones((3, 4, 5), np.complex64), "zyx"))


def test_several_label_maps_are_named(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.zarr", np.ones((3, 4, 5), np.uint8), "zyx")
    zarr.create_group(str(path / "labels"), zarr_format=2, attributes={"labels": ["a", "b"]})
    for name in "ab":
        foreign(path / "labels" / name, np.full((3, 4, 5), ord(name), np.uint8), "zyx")
    with pytest.raises(ReadError, match=r"2 label maps \(a, b\)"):
        read_labels(path)
    assert read_labels(path / "labels" / "b").values == (ord("b"),)


def test_a_link_out_of_the_image_is_refused(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.zarr", np.ones((3, 4, 5), np.uint8), "zyx")
    (tmp_path / "secret").write_bytes(bytes(60))
    chunk = next(one for one in (path / "0").rglob("*") if one.is_file() and not one.name.startswith("."))
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")
    with pytest.raises(ReadError, match="is a link"):
        read(path)
    shutil.move(path / "0", tmp_path / "elsewhere")
    (path / "0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReadError, match="is a link"):
        read(path)


@pytest.mark.parametrize("field", ["shape", "chunks"])
def test_an_array_that_promises_more_than_it_holds_is_refused(tmp_path: Path, field: str) -> None:
    path = foreign(tmp_path / "a.zarr", np.ones((3, 4, 5), np.uint8), "zyx")
    document = json.loads((path / "0" / ".zarray").read_text())
    document[field] = [4000, 4000, 4000]
    (path / "0" / ".zarray").write_text(json.dumps(document))
    with pytest.raises(ReadError, match="promises 64 GB"):
        read(path)


def test_a_chunk_that_unpacks_to_more_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.zarr", np.ones((3, 4, 5), np.uint8), "zyx")
    chunk = next(one for one in (path / "0").rglob("*") if one.is_file() and not one.name.startswith("."))
    content = bytearray(chunk.read_bytes())
    struct.pack_into("<I", content, 4, 2_000_000_000)  # blosc states its size here
    chunk.write_bytes(content)
    with pytest.raises(ReadError, match="unpacks to 2000000000 bytes where 60 were expected"):
        read(path)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_damage_of_metadata_and_chunks_ends_in_our_error(tmp_path: Path, version: Any) -> None:
    small = Volume(np.ones((1, 3, 4, 5), np.int16), Geometry.from_spacing((3, 4, 5), (1.0, 1.0, 1.0)))
    export_all(small, tmp_path / "a.zarr", ExportOptions(ngff=version))
    files = [one for one in (tmp_path / "a.zarr").rglob("*") if one.is_file()]
    random = np.random.default_rng(4)
    refused = 0
    for _ in range(150):
        file = files[random.integers(len(files))]
        content = file.read_bytes()
        damaged = bytearray(content)
        for at in random.integers(0, len(content), 3):
            damaged[at] = random.integers(0, 256)
        file.write_bytes(damaged)
        try:
            read(tmp_path / "a.zarr")
        except ReadError:
            refused += 1
        finally:
            file.write_bytes(content)
    assert refused > 20


def chunk_files(array: Path) -> list[Path]:
    return sorted(
        one for one in array.rglob("*") if one.is_file() and not one.name.startswith(".") and one.name != "zarr.json"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_chunks_that_were_lost_are_told_and_none_at_all_is_refused(tmp_path: Path, version: Any) -> None:
    volume = Volume(np.ones((1, 40, 130, 20), np.int16), Geometry.from_spacing((40, 130, 20), (1.0, 1.0, 1.0)))
    export_all(volume, tmp_path / "a.zarr", ExportOptions(ngff=version))
    assert not any(one.what == "chunks" for one in read(tmp_path / "a.zarr").passport.findings)
    files = chunk_files(tmp_path / "a.zarr" / "0")
    assert len(files) == 4
    files[0].rename(tmp_path / "lost")
    (files[0].parent / "notes.txt").write_text("no chunk")
    [finding] = [one for one in read(tmp_path / "a.zarr").passport.findings if one.what == "chunks"]
    assert (finding.verdict, finding.found) == ("corrected", "1 of 4 chunks are not stored")
    for file in files[1:]:
        file.unlink()
    with pytest.raises(ReadError, match="stores none of the chunks"):
        read(tmp_path / "a.zarr")


def test_a_lost_shard_is_told(tmp_path: Path) -> None:
    data = np.ones((4, 6, 6), np.uint8)
    path = foreign(tmp_path / "a.zarr", data, "zyx")
    attributes = dict(zarr.open_group(str(path), mode="r").attrs)
    shutil.rmtree(path)
    zarr.create_group(str(path), zarr_format=3, attributes={"ome": {"version": "0.5", **attributes}})
    zarr.open_group(str(path), mode="r+").create_array("0", data=data, chunks=(1, 3, 3), shards=(2, 6, 6))
    np.testing.assert_array_equal(read(path).data[0], data)
    chunk_files(path / "0")[0].unlink()
    assert any(one.found == "1 of 2 chunks are not stored" for one in read(path).passport.findings)


@pytest.mark.parametrize("label", [0, 1])
def test_what_is_empty_is_written_whole(tmp_path: Path, label: int) -> None:
    data = np.zeros((3, 4, 5), np.uint8)
    data[0, 0, 0] = label
    export_all(LabelMap(data, Geometry.from_spacing((3, 4, 5), (1.0, 1.0, 1.0))), tmp_path / "a.zarr", ExportOptions())
    np.testing.assert_array_equal(read_labels(tmp_path / "a.zarr").data, data)


def test_only_the_chunks_of_a_volume_are_looked_at(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.zarr", np.ones((3, 4, 5, 6), np.uint8), "tzyx")
    zarr.open_group(str(path), mode="r+").create_array(
        "0", data=np.ones((3, 4, 5, 6), np.uint8), chunks=(1, 4, 5, 6), overwrite=True
    )
    first, second, third = chunk_files(path / "0")
    second.write_bytes(b"damaged")
    third.unlink()
    assert count_timepoints(path) == 3
    assert read(path, 0).data.min() == 1
    with pytest.raises(ReadError, match="unpacks to"):
        read(path, 1)
    with pytest.raises(ReadError, match="stores none of the chunks"):
        read(path, 2)
    assert first.is_file()


@pytest.mark.parametrize("listed", [{}, {"labels": []}])
def test_a_scan_is_never_read_as_its_own_labels(tmp_path: Path, listed: dict[str, Any]) -> None:
    path = foreign(tmp_path / "a.zarr", np.ones((3, 4, 5), np.uint8), "zyx")
    zarr.create_group(str(path / "labels"), zarr_format=2, attributes=listed)
    foreign(path / "labels" / "seg", np.full((3, 4, 5), 7, np.uint8), "zyx")
    with pytest.raises(ReadError, match="lists no label map"):
        read_labels(path)
    assert read_labels(path / "labels" / "seg").values == (7,)
