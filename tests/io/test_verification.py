"""No save counts before it was read back: a writer that turns, moves or changes voxels leaves no file behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK

from made_scans import oblique
from voxtrace.errors import OutputError
from voxtrace.io import SUFFIXES, metaimage, nrrd, read, voxel_writing, write
from voxtrace.io.gzip import as_bytes
from voxtrace.io.itk import grid_of, image_of
from voxtrace.io.nifti import encoding
from voxtrace.io.suffixes import NIFTI
from voxtrace.volume import Geometry, Grid, LabelMap, Volume

SPACING_MM = (1.5, 0.8, 3.0)


def labels() -> LabelMap:
    """Return a label map of as many voxels along each axis, so that only their places tell axes apart."""
    grid = Grid((6, 6, 6), SPACING_MM, (10.0, -20.0, 30.0), tuple(oblique(np.eye(3)).ravel()))
    geometry = Geometry.from_grid(grid)
    data = np.random.default_rng(0).integers(0, 4, geometry.shape).astype(np.uint8)
    return LabelMap(data, geometry, {1: "liver"})


def swaps_axes(image: Any) -> Any:
    direction = np.reshape(image.GetDirection(), (3, 3))[:, [1, 0, 2]]
    image.SetDirection(tuple(direction.ravel()))
    return image


def mirrors(image: Any) -> Any:
    direction = np.reshape(image.GetDirection(), (3, 3)) * (-1, 1, 1)
    image.SetDirection(tuple(direction.ravel()))
    return image


def loses_the_origin(image: Any) -> Any:
    image.SetOrigin((0.0, 0.0, 0.0))
    return image


def moves_by_a_fifth_of_a_mm(image: Any) -> Any:
    image.SetOrigin(tuple(np.add(image.GetOrigin(), (0.0, 0.2, 0.0))))
    return image


def loses_the_voxel_size(image: Any) -> Any:
    image.SetSpacing((1.0, 1.0, 1.0))
    return image


def loses_a_slice(image: Any) -> Any:
    return image[:, :, :5]


def changes_one_voxel(image: Any) -> Any:
    image[2, 3, 4] = int(image[2, 3, 4]) ^ 1
    return image


def flips_voxels(image: Any) -> Any:
    flipped = SimpleITK.GetImageFromArray(SimpleITK.GetArrayFromImage(image)[:, :, ::-1])
    flipped.CopyInformation(image)
    return flipped


PLACE = (swaps_axes, mirrors, loses_the_origin, moves_by_a_fifth_of_a_mm, loses_the_voxel_size)
FAULTS = dict.fromkeys(PLACE, "from where it belongs")
FAULTS |= {loses_a_slice: "6, 5\\) voxels|6, 6, 5", changes_one_voxel: "other voxels", flips_voxels: "other voxels"}
WRITTEN = [(fault, suffix) for fault in FAULTS for suffix in SUFFIXES if fault in PLACE or suffix not in NIFTI]


@pytest.mark.parametrize(("fault", "suffix"), WRITTEN, ids=lambda value: getattr(value, "__name__", value))
def test_a_faulty_writer_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, fault: Callable[[Any], Any]
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    item = labels()
    encode = encoding.encode_header

    def faulty_header(grid: Grid, *more: Any) -> bytes:
        return encode(grid_of(fault(image_of(np.zeros(grid.size[::-1], np.uint8), grid))), *more)

    def faulty_text(make: Callable[..., str]) -> Callable[..., str]:
        return lambda grid, *more: make(grid_of(fault(image_of(np.zeros(grid.size[::-1], np.uint8), grid))), *more)

    def faulty_voxels(array: np.ndarray) -> memoryview:
        changed = SimpleITK.GetArrayFromImage(fault(image_of(array, item.geometry.grid)))
        return as_bytes(np.ascontiguousarray(changed))

    monkeypatch.setattr(encoding, "encode_header", faulty_header)
    for module in (nrrd, metaimage):
        monkeypatch.setattr(module, "header_text", faulty_text(module.header_text))
    monkeypatch.setattr(voxel_writing, "as_bytes", faulty_voxels)
    with pytest.raises(OutputError, match=FAULTS[fault]) as caught:
        write(item, path)
    assert "No file was kept" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"


@pytest.mark.parametrize("suffix", NIFTI)
@pytest.mark.parametrize("fault", [lambda v: v[:-36], lambda v: v[::-1], lambda v: bytes([v[0] ^ 1]) + v[1:]])
def test_voxels_that_do_not_reach_a_nifti_file_leave_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, fault: Callable[[bytes], bytes]
) -> None:
    created, item = encoding.create_plain_or_gzip, labels()

    @contextmanager
    def faulty(path: Path) -> Iterator[Any]:
        with created(path) as file:
            wrong = lambda piece: file.write(fault(bytes(piece)) if len(piece) == item.data.size else piece)  # noqa: E731
            yield SimpleNamespace(write=wrong)

    monkeypatch.setattr(encoding, "create_plain_or_gzip", faulty)
    with pytest.raises(OutputError, match="other voxels"):
        write(item, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_more_voxels_along_an_axis_than_a_nifti_header_can_tell_are_refused(tmp_path: Path) -> None:
    long = LabelMap(np.zeros((1, 1, 32768), np.uint8), Geometry.from_spacing((1, 1, 32768), (1.0, 1.0, 1.0)))
    with pytest.raises(OutputError, match="32768 voxels along an axis; expected at most 32767"):
        write(long, tmp_path / "a.nii.gz")
    write(long, tmp_path / "a.nrrd")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_sound_writer_passes(tmp_path: Path, suffix: str) -> None:
    write(labels(), tmp_path / f"a{suffix}")
    item = labels()
    write(Volume(item.data[np.newaxis].astype(np.float32), item.geometry), tmp_path / f"b{suffix}")
    assert read(tmp_path / f"b{suffix}").geometry.is_close(item.geometry)


def test_a_faulty_orientation_in_a_nifti_header_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header's own fields go in last; they are verified too."""
    item = labels()
    write(item, tmp_path / "in.nii")
    read_again = read(tmp_path / "in.nii")
    encode = encoding.encode_header

    def forgets_the_rows(*arguments: Any) -> bytes:
        header = bytearray(encode(*arguments))
        header[292:296] = bytes(4)  # the fourth number of srow_x: the origin
        return bytes(header)

    monkeypatch.setattr(encoding, "encode_header", forgets_the_rows)
    with pytest.raises(OutputError, match="from where it belongs"):
        write(LabelMap(item.data, read_again.geometry), tmp_path / "out.nii")
    assert [p.name for p in tmp_path.iterdir()] == ["in.nii"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_geometry_that_is_not_its_grids_is_not_written(tmp_path: Path, suffix: str) -> None:
    """Data moved in memory whose way back to the file leads elsewhere: the mm decide."""
    item = labels()
    moved = np.array(item.geometry.matrix)
    moved[0, 3] += 1.0
    elsewhere = Geometry(item.geometry.shape, tuple(map(tuple, moved)), item.geometry.stored)
    with pytest.raises(OutputError, match="1 mm from where it belongs"):
        write(LabelMap(item.data, elsewhere), tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []
