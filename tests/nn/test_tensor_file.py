"""Files that torch.save wrote: what is larger than it looks is refused before memory is taken."""

from __future__ import annotations

import io
import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from voxtrace.nn.tensor_file import load_tensors


def saved(file: Path, value: Any) -> Path:
    torch.save(value, file)
    return file


def repacked(file: Path, kind: int, change: Any = lambda name, content: content) -> Path:
    """Write an archive's files into a new one."""
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", kind) as fresh:
        for name, content in files.items():
            fresh.writestr(zipfile.ZipInfo(name), change(name, content), kind)
    file.write_bytes(written.getvalue())
    return file


def test_tensors_numbers_and_names_come_back(tmp_path: Path) -> None:
    value = {"a": torch.arange(5.0), "b": [1, 2.5, "c"], "view": torch.zeros(4, 4)[1:, ::2]}
    found = load_tensors(saved(tmp_path / "a.pt", value))
    assert torch.equal(found["a"], value["a"])
    assert found["b"] == value["b"]
    assert found["view"].shape == (3, 2)


def test_a_packed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """8 MB that would be 8.6 GB: torch unpacks whatever an archive promises."""
    file = repacked(saved(tmp_path / "a.pt", {"a": torch.zeros(1 << 24)}), zipfile.ZIP_DEFLATED)
    assert file.stat().st_size < 1 << 17
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="compressed, which torch never does"):
        load_tensors(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 14


def test_a_tensor_that_claims_more_than_is_stored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a claims more numbers than are stored"):
        load_tensors(saved(tmp_path / "a.pt", {"a": torch.zeros(1).expand(10**6, 10**6)}))
    with pytest.raises(ValueError, match=r"a\.0 claims more numbers than are stored"):
        load_tensors(saved(tmp_path / "a.pt", {"a": [torch.zeros(1).expand(10, 10)]}))


def test_plain_memory_is_not_given(tmp_path: Path) -> None:
    class Greedy:
        def __reduce__(self) -> Any:
            return bytearray, (1 << 20,)

    with pytest.raises(ValueError, match="plain memory"):
        load_tensors(saved(tmp_path / "a.pt", {"a": Greedy()}))


def test_code_is_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "touched",)

    with pytest.raises(pickle.UnpicklingError):
        load_tensors(saved(tmp_path / "a.pt", {"a": Hostile()}))
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", pickle.dumps({"a": 1})])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(ValueError, match="no archive of torch"):
        load_tensors(tmp_path / "a.pt")


def test_a_file_in_the_old_format_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match="no archive of torch"):
        load_tensors(tmp_path / "a.pt")
