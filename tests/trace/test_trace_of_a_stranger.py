"""A trace folder that someone else made: names in it stay in it, and what is damaged is said in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from voxtrace.errors import ReadError
from voxtrace.trace import Trace
from voxtrace.trace.files import file_of
from voxtrace.volume import Geometry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved trace of two steps over 2×1×3 voxels."""
    trace = Trace(
        labels=np.zeros((2, 2, 1, 3), np.uint8),
        facts={},
        units={},
        windows=np.array([[0, 0, 0, 2, 1, 3]]),
        geometry=Geometry.from_spacing((2, 1, 3), (1.0, 1.0, 1.0)),
        names={0: "background", 1: "liver"},
    )
    return trace.save(tmp_path / "in" / "case.trace")


def change(folder: Path, **fields: Any) -> None:
    record = json.loads((folder / "trace.json").read_text(encoding="utf-8"))
    (folder / "trace.json").write_text(json.dumps(record | fields), encoding="utf-8")


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "..", "a/../../outside", "C:\\outside", "\0"])
@pytest.mark.parametrize("kind", ["extras", "maps", "members"])
def test_a_name_is_never_a_path(folder: Path, kind: str, name: str) -> None:
    outside = zarr.create_array(folder.parent / "outside.zarr", shape=(2, 2, 1, 3), dtype="uint8")
    outside[:] = 7
    assert (folder / file_of(name, "" if kind == "extras" else kind)).resolve().is_relative_to(folder)
    change(folder, **{kind: {name: []} if kind == "maps" else [name]})
    with pytest.raises(ReadError):
        Trace.load(folder)


@pytest.mark.parametrize("name", ["", "labels", "settled", "areas", "x" * 300])
def test_a_name_that_no_array_can_have_is_refused(folder: Path, name: str) -> None:
    change(folder, extras=[name])
    with pytest.raises(ReadError, match="has an array called"):
        Trace.load(folder)


def test_an_array_that_leads_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "labels.zarr").rename(folder.parent / "elsewhere.zarr")
    (folder / "labels.zarr").symlink_to(folder.parent / "elsewhere.zarr")
    with pytest.raises(ReadError, match="leads out of the trace"):
        Trace.load(folder)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "{}",
        "[]",
        "null",
        '"\ud800"',
        '{"format": NaN}',
        b"\xff\xfe\x00",
        b"",
    ],
    ids=lambda text: repr(text)[:20],
)
def test_a_record_that_is_none_is_refused(folder: Path, text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    (folder / "trace.json").write_bytes(raw)
    with pytest.raises(ReadError, match="damaged trace"):
        Trace.load(folder)


@pytest.mark.parametrize("changes", [{"counts": [[10**30]]}, {"windows": [[1]]}, {"facts": {"a": [["x"]]}}], ids=str)
def test_values_of_the_wrong_kind_are_refused(folder: Path, changes: dict[str, Any]) -> None:
    change(folder, **changes)
    with pytest.raises(ReadError, match="damaged trace"):
        Trace.load(folder)


def test_pieces_that_would_take_all_memory_are_refused(folder: Path) -> None:
    file = folder / "labels.zarr" / "zarr.json"
    about = json.loads(file.read_text(encoding="utf-8"))
    about["shape"] = about["chunk_grid"]["configuration"]["chunk_shape"] = [2, 100_000, 100_000, 3]
    file.write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(ReadError, match="at most 256 MiB"):
        Trace.load(folder)
