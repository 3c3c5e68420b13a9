"""What is written appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from voxtrace.atomic import atomic_file, atomic_folder
from voxtrace.errors import OutputError


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_midway(write: Callable[[Path], AbstractContextManager[Path]], path: Path) -> None:
    with write(path) as temporary:
        half = temporary / "half" if temporary.is_dir() else temporary
        half.write_text("half")
        raise RuntimeError("midway")


def test_a_file_appears_under_its_name_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"
    assert names_in(tmp_path / "new") == ["a.txt"]


def test_a_failed_file_leaves_the_old_one_and_no_new_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    for path in (tmp_path / "a.txt", tmp_path / "new" / "deep" / "a.txt"):
        with pytest.raises(RuntimeError, match="midway"):
            fail_midway(atomic_file, path)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with atomic_folder(tmp_path / "out") as temporary:
            (temporary / name).write_text(name)
    assert names_in(tmp_path / "out") == ["two"]
    assert names_in(tmp_path) == ["out"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "out").symlink_to(tmp_path / "disk" / "out")
    for name in ("one", "two"):
        with atomic_folder(tmp_path / "here" / "out") as temporary:
            (temporary / name).write_text(name)
    with atomic_folder(tmp_path / "here" / "out", replace=False) as temporary:
        (temporary / "three").touch()
    assert (tmp_path / "here" / "out").is_symlink()
    assert names_in(tmp_path / "disk" / "out") == ["two"]
    assert (names_in(tmp_path / "disk"), names_in(tmp_path / "here")) == (["out"], ["out"])


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "old").touch()
    with pytest.raises(RuntimeError, match="midway"):
        fail_midway(atomic_folder, tmp_path / "out")
    assert names_in(tmp_path / "out") == ["old"]
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EACCES, "not permitted"),
        (errno.EROFS, "read-only"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_the_refusal_of_the_system_becomes_one_sentence(tmp_path: Path, code: int, words: str) -> None:
    for write in (atomic_file, atomic_folder):
        with pytest.raises(OutputError, match=words), write(tmp_path / "out"):
            raise OSError(code, os.strerror(code))
    assert names_in(tmp_path) == []


def test_a_file_is_not_taken_for_a_folder_nor_a_folder_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="a file, not a folder"), atomic_file(tmp_path / "file" / "a.txt"):
        pass
    with pytest.raises(OutputError, match="a file, not a folder"), atomic_folder(tmp_path / "file"):
        pass
    with pytest.raises(OutputError, match="a folder of that name"), atomic_file(tmp_path / "folder"):
        pass


def test_a_failed_folder_goes_although_a_thread_still_writes_into_it(tmp_path: Path) -> None:
    def write_on(folder: Path) -> None:
        until = time.monotonic() + 0.3
        while time.monotonic() < until and folder.exists():
            with contextlib.suppress(OSError):
                (folder / f"{time.monotonic_ns()}").touch()

    def fail() -> None:
        with atomic_folder(tmp_path / "out") as folder:
            writers.append(threading.Thread(target=write_on, args=(folder,)))
            writers[0].start()
            raise ValueError("stop")

    writers: list[threading.Thread] = []
    with pytest.raises(ValueError, match="stop"):
        fail()
    writers[0].join()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("replace", [True, False])
def test_writers_of_one_folder_at_once_leave_one_whole_folder(tmp_path: Path, replace: bool) -> None:
    def write(text: str) -> None:
        with atomic_folder(tmp_path / "out", replace=replace) as folder:
            for name in ("one", "two"):
                (folder / name).write_text(text)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, str(number)) for number in range(80)]:
            done.result()
    assert names_in(tmp_path) == ["out"]
    assert names_in(tmp_path / "out") == ["one", "two"]
    assert (tmp_path / "out" / "one").read_text() == (tmp_path / "out" / "two").read_text()


def test_a_folder_that_another_writer_takes_away_in_between_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer's folder is seen once and gone at the next look, as while it is swapped."""
    out, look = tmp_path / "out", Path.stat
    out.mkdir()

    def seen_once(path: Path, **how: Any) -> os.stat_result:
        found = look(path, **how)
        if path == out:
            monkeypatch.undo()
            out.rmdir()
        return found

    monkeypatch.setattr(Path, "stat", seen_once)
    with atomic_folder(out) as folder:
        (folder / "one").touch()
    assert names_in(out) == ["one"]


def test_a_name_that_is_taken_and_free_again_at_once_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system says that the name is taken; when we look, it is free."""
    out, rename = tmp_path / "out", Path.rename

    def refused(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        raise OSError(errno.ENOTEMPTY, "Directory not empty", str(target))

    monkeypatch.setattr(Path, "rename", refused)
    with atomic_folder(out) as folder:
        (folder / "one").touch()
    assert names_in(tmp_path) == ["out"]
    assert names_in(out) == ["one"]


def test_a_folder_that_is_there_is_kept_where_asked(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with atomic_folder(tmp_path / "out", replace=False) as folder:
            (folder / name).touch()
    assert names_in(tmp_path) == ["out"]
    assert names_in(tmp_path / "out") == ["first"]
