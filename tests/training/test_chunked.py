"""Arrays in compressed chunks give back what was written, box by box, and read only what a box touches."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from voxtrace.errors import DatasetError
from voxtrace.training.chunked import ChunkedArray, opened, write_chunked
from voxtrace.training.preprocessed import cut
from voxtrace.volume import Array


def _image(shape: tuple[int, ...] = (2, 40, 33, 70), dtype: Any = np.float32) -> Array:
    return np.random.default_rng(0).normal(0, 50, shape).astype(dtype)


def _file(folder: Path, axes: int = 4) -> Path:
    return folder.joinpath("c", *["0"] * axes)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((2, 40, 33, 70), np.float32), ((1, 5, 6, 7), np.float32), ((33, 64, 31), np.uint8), ((1, 1, 1), np.uint16)],
)
def test_what_was_written_is_read_bit_for_bit(tmp_path: Path, shape: tuple[int, ...], dtype: Any) -> None:
    image = np.abs(_image(shape)).astype(dtype)
    write_chunked(tmp_path / "a", image)
    stored = ChunkedArray(tmp_path / "a")
    assert (stored.shape, stored.dtype, stored.ndim) == (image.shape, image.dtype, image.ndim)
    np.testing.assert_array_equal(np.asarray(stored), image)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a", mode="r")[...], image)  # as any reader sees it


def test_boxes_anywhere_are_those_of_the_array(tmp_path: Path) -> None:
    image, rng = _image(), np.random.default_rng(1)
    write_chunked(tmp_path / "a", image)
    stored = ChunkedArray(tmp_path / "a")
    for _ in range(50):
        start, size = rng.integers(-20, 60, 3).tolist(), rng.integers(1, 50, 3).tolist()
        expected = cut(image, start, (size[0], size[1], size[2]))
        np.testing.assert_array_equal(cut(stored, start, (size[0], size[1], size[2])), expected)
    np.testing.assert_array_equal(stored[1:, ..., 3:5], image[1:, ..., 3:5])
    assert stored[:, 5:5].shape == (2, 0, 33, 70)
    with pytest.raises(IndexError, match="without steps"):
        stored[:, ::2]


def test_a_box_reads_the_chunks_that_it_touches_alone(tmp_path: Path) -> None:
    image = _image((1, 96, 96, 96))
    write_chunked(tmp_path / "a", image)
    stored = ChunkedArray(tmp_path / "a")
    held = _file(tmp_path / "a").read_bytes()
    begin, length = (int(n) for n in stored._places[0, 1, 1, 1])
    spoiled = bytearray(b"\xff" * len(held))  # all but one chunk and the index
    spoiled[begin : begin + length] = held[begin : begin + length]
    index = 27 * 16 + 4
    spoiled[-index:] = held[-index:]
    _file(tmp_path / "a").write_bytes(spoiled)
    np.testing.assert_array_equal(stored[:, 32:64, 32:64, 32:64], image[:, 32:64, 32:64, 32:64])
    with pytest.raises(DatasetError, match="is damaged; delete its folder"):
        stored[:, 31:64, 32:64, 32:64]


@pytest.mark.parametrize("left", [0, 10, 1000])
def test_a_file_that_was_cut_off_is_no_array(tmp_path: Path, left: int) -> None:
    write_chunked(tmp_path / "a", _image())
    file = _file(tmp_path / "a")
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(DatasetError, match="is damaged; delete its folder"):
        ChunkedArray(tmp_path / "a")


def test_labels_and_smooth_images_take_less_room_than_they_did(tmp_path: Path) -> None:
    labels = np.zeros((64, 64, 64), np.uint8)
    labels[20:40, 20:40, 20:40] = 1
    write_chunked(tmp_path / "a", labels)
    assert sum(f.stat().st_size for f in (tmp_path / "a").rglob("*") if f.is_file()) < labels.nbytes / 20


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_a_single_spoiled_byte_is_told_wherever_it_is(tmp_path: Path, dtype: Any) -> None:
    image = np.abs(_image()[0]).astype(dtype)
    write_chunked(tmp_path / "a", image)
    file, stored = _file(tmp_path / "a", 3), ChunkedArray(tmp_path / "a")
    held, rng = file.read_bytes(), np.random.default_rng(2)
    heads = [begin + k for begin, _ in stored._places.reshape(-1, 2).tolist()[:3] for k in range(16)]
    index = range(len(held) - stored._places.size * 8 - 4, len(held), 5)
    for place in (*heads, *index, *rng.integers(0, len(held), 200).tolist()):
        spoiled = bytearray(held)
        spoiled[place] ^= int(rng.integers(1, 256))
        file.write_bytes(spoiled)
        with pytest.raises(DatasetError, match=r"0 is damaged; delete its folder .*, then --resume prepares"):
            ChunkedArray(tmp_path / "a")[...]


def test_a_file_that_is_gone_while_it_is_used_is_told(tmp_path: Path) -> None:
    write_chunked(tmp_path / "array", np.zeros((3, 4, 5), np.float32))
    found = ChunkedArray(tmp_path / "array")
    (tmp_path / "array" / "c" / "0" / "0" / "0").unlink()
    with pytest.raises(DatasetError, match=r"cannot be read \(No such file.*--resume prepares the case anew"):
        found[...]


def test_an_array_is_opened_once_until_it_is_written_anew(tmp_path: Path) -> None:
    first, second = _image(), _image() + 1
    write_chunked(tmp_path / "a", first)
    kept = opened(tmp_path / "a", 4)
    assert opened(tmp_path / "a", 4) is kept
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(DatasetError, match=r"is damaged|cannot be read"):
        opened(tmp_path / "a", 4)
    write_chunked(tmp_path / "a", second)
    np.testing.assert_array_equal(opened(tmp_path / "a", 4)[...], second)


@pytest.mark.parametrize("name", ["zarr.json", "c/0/0/0/0"])
def test_damage_after_an_array_was_opened_is_told(tmp_path: Path, name: str) -> None:
    write_chunked(tmp_path / "a", _image())
    opened(tmp_path / "a", 4)
    file = tmp_path / "a" / name
    held = file.read_bytes()
    file.unlink()
    file.write_bytes(held[: len(held) // 2])
    with pytest.raises(DatasetError, match="is damaged; delete its folder"):
        opened(tmp_path / "a", 4)


def test_damage_inside_a_chunk_is_named(tmp_path: Path) -> None:
    write_chunked(tmp_path / "a", np.zeros((32, 32, 32), np.uint8))
    stored = ChunkedArray(tmp_path / "a")
    begin, length = (int(n) for n in stored._places[0, 0, 0])
    held = bytearray(_file(tmp_path / "a", 3).read_bytes())
    held[begin + 16 : begin + length] = b"\xff" * (length - 16)  # all behind the sizes
    _file(tmp_path / "a", 3).write_bytes(held)
    with pytest.raises(DatasetError, match="is damaged; delete its folder"):
        stored[...]


@pytest.mark.parametrize("shape", [[10**6] * 3, [10**9] * 3, [-40, 40, 40], [0, 40, 40]])
def test_sizes_that_no_file_can_have_are_refused_before_they_are_read(tmp_path: Path, shape: list[int]) -> None:
    write_chunked(tmp_path / "a", np.zeros((40, 40, 40), np.uint8))
    header = tmp_path / "a" / "zarr.json"
    header.write_text(json.dumps({**json.loads(header.read_text()), "shape": shape}))
    with pytest.raises(DatasetError, match=r"zarr.json|0 is damaged; delete its folder") as refused:
        ChunkedArray(tmp_path / "a")
    assert "is shorter than its index" in str(refused.value.__cause__)
