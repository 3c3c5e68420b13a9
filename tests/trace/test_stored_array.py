"""Arrays of a trace on disk: right to the voxel, and refused where a chunk is not what the header promises."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from voxtrace.errors import ReadError
from voxtrace.trace.edits import Edit, load_edits, save_edits
from voxtrace.trace.stored_array import StoredArray

VALUES = np.random.default_rng(0).integers(0, 200, (2, 5, 6, 7)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An array of two steps in pieces of two planes."""
    zarr.create_array(
        tmp_path / "a.zarr", data=VALUES, chunks=(1, 2, 6, 7), compressors=zarr.codecs.BloscCodec(cname="zstd")
    )
    return tmp_path / "a.zarr"


def change(folder: Path, **fields: Any) -> None:
    file = folder / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


KEYS = [
    ...,
    0,
    -1,
    (1, 3),
    (slice(None), 2),
    (slice(None), slice(1, 4)),
    (0, slice(None, None, -1)),
    (0, slice(4, 1, -2)),
    (slice(None), [0, 4]),
    (0, slice(3, 3)),
    (..., 2),
    (1, ..., slice(2, 5)),
    (np.int64(1), np.int64(4)),
]


@pytest.mark.parametrize("key", KEYS, ids=map(str, KEYS))
def test_a_part_is_what_numpy_gives(folder: Path, key: Any) -> None:
    try:
        expected = VALUES[key]
        found = StoredArray(folder)[key]
    except IndexError:  # zarr has no steps backwards
        assert "-" in str(key)
        return
    assert np.array_equal(found, expected)


def test_it_looks_like_an_array(folder: Path) -> None:
    stored = StoredArray(folder)
    assert (stored.shape, stored.dtype, stored.ndim, len(stored)) == (VALUES.shape, VALUES.dtype, 4, 2)
    assert np.array_equal(np.asarray(stored), VALUES)
    assert sum(1 for _ in stored) == 2


@pytest.mark.parametrize("size", [0, 83, 85, 1 << 31, (1 << 32) - 1])
def test_a_chunk_that_says_another_size_is_refused_before_it_is_unpacked(folder: Path, size: int) -> None:
    file = folder / "c" / "0" / "1" / "0" / "0"
    content = file.read_bytes()
    file.write_bytes(content[:4] + struct.pack("<I", size) + content[8:])
    stored = StoredArray(folder)
    assert np.array_equal(stored[0, :2], VALUES[0, :2])
    with pytest.raises(ReadError, match=f"unpacks to {size} bytes; expected 84"):
        stored[0, 2]


@pytest.mark.parametrize("cut", [0, 1, 15, 17, 30])
def test_a_chunk_that_is_cut_is_refused(folder: Path, cut: int) -> None:
    file = folder / "c" / "1" / "0" / "0" / "0"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ReadError, match="is damaged"):
        StoredArray(folder)[:]


def test_damage_within_a_chunk_is_told_as_damage(folder: Path) -> None:
    data = np.zeros((1, 64, 64), np.uint8)  # small and packed, unlike noise
    blosc = zarr.codecs.BloscCodec(cname="zstd")
    zarr.create_array(folder, data=data, chunks=data.shape, compressors=blosc, overwrite=True, fill_value=1)
    file = folder / "c" / "0" / "0" / "0"
    file.write_bytes(file.read_bytes()[:16] + b"\xff" * (file.stat().st_size - 16))
    with pytest.raises(ReadError, match="is damaged"):
        StoredArray(folder)[0]


@pytest.mark.parametrize("packed", [True, False])
def test_zstd_without_the_right_size_is_refused(tmp_path: Path, packed: bool) -> None:
    compressors = zarr.codecs.ZstdCodec() if packed else None
    zarr.create_array(tmp_path / "a.zarr", data=VALUES, chunks=VALUES.shape, compressors=compressors)
    assert np.array_equal(StoredArray(tmp_path / "a.zarr")[:], VALUES)
    file = tmp_path / "a.zarr" / "c" / "0" / "0" / "0" / "0"
    file.write_bytes(file.read_bytes()[:5] + b"\xff\xff" + file.read_bytes()[8:])
    with pytest.raises(ReadError, match="unpacks to"):
        StoredArray(tmp_path / "a.zarr")[:]


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [2, 10**9, 10**4, 10**4]},
        {"shape": [2, 10**9, 6, 7]},
        {"codecs": [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}]},
        {"codecs": [{"name": "bytes"}, {"name": "zstd"}, {"name": "zstd"}]},
        {"data_type": "complex64"},
        {"shape": [2, -5, 6, 7]},
        {"zarr_format": 2},
        {"shape": []},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 0, 6, 7]}}},
    ],
    ids=str,
)
def test_a_header_that_no_trace_has_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    change(folder, **changes)
    with pytest.raises(ReadError, match="is damaged"):
        StoredArray(folder)


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/null", "/"])
def test_a_header_or_chunk_that_is_a_device_is_not_read(folder: Path, target: str) -> None:
    chunk = folder / "c" / "0" / "0" / "0" / "0"
    chunk.unlink()
    chunk.symlink_to(target)
    with pytest.raises(ReadError, match="leads elsewhere"):
        StoredArray(folder)[:]
    (folder / "zarr.json").unlink()
    (folder / "zarr.json").symlink_to(target)
    with pytest.raises(ReadError, match="has no header"):
        StoredArray(folder)


def test_a_chunk_that_leads_elsewhere_is_not_read(folder: Path) -> None:
    file = folder / "c" / "0" / "0" / "0" / "0"
    file.rename(folder.parent / "elsewhere")
    file.symlink_to(folder.parent / "elsewhere")
    with pytest.raises(ReadError, match="leads elsewhere"):
        StoredArray(folder)[:]


@pytest.mark.parametrize(
    "wrong", [{"label": "1"}, {"voxels": -1}, {"voxels": 1.5}, {"label": True}, {"time": 5}, {"what": "x" * 10_000}]
)
def test_an_edit_of_another_kind_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    save_edits(tmp_path, VALUES[0], [Edit("2026-11-27T02:00:00", "paint", 1, "liver", 5)], 0)
    log = tmp_path / "edits" / "edits.json"
    record = json.loads(log.read_text())
    record["edits"][0] |= wrong
    log.write_text(json.dumps(record))
    with pytest.raises(ReadError, match="Remove it to open the trace without edits"):
        load_edits(tmp_path)


def test_edited_labels_of_other_numbers_are_refused(tmp_path: Path) -> None:
    save_edits(tmp_path, VALUES[0].astype(np.float32), [], 0)
    with pytest.raises(ReadError, match="expected whole numbers"):
        load_edits(tmp_path)
