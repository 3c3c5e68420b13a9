"""Each bad input: one sentence, exit code 2 or 3, nothing half written."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import made
from made import Outcome, Run
from voxtrace.atomic import output_error


def not_a_volume(folder: Path) -> Path:
    path = folder / "notes.nii.gz"
    path.write_text("these are notes")
    return path


def of_unknown_format(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_text("these are notes")
    return path


def truncated_gzip(folder: Path) -> Path:
    path = made.scan(folder / "cut.nii.gz")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def filled_with_nan(folder: Path) -> Path:
    import SimpleITK

    path = folder / "nan.nii.gz"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.full(made.SHAPE, np.nan, np.float32)), str(path))
    return path


def of_four_dimensions(folder: Path) -> Path:
    import nibabel

    path = folder / "dynamic.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8, 3), np.float32), np.eye(4)), path)
    return path


def missing(folder: Path) -> Path:
    return folder / "nothing.nii.gz"


def an_empty_folder(folder: Path) -> Path:
    path = folder / "empty"
    path.mkdir()
    return path


BAD = (
    not_a_volume,
    of_unknown_format,
    truncated_gzip,
    filled_with_nan,
    of_four_dimensions,
    missing,
    an_empty_folder,
)


def assert_refused(outcome: Outcome, out: Path, *codes: int) -> None:
    assert outcome.code in codes
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert "unexpected" not in outcome.err
    assert len([line for line in outcome.err.splitlines() if ". " in line or line.endswith(".")]) >= 1
    assert not out.exists() or {p.name for p in out.iterdir()} <= {"ledger.jsonl"}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_input_is_refused_when_it_is(make: object, run: Run, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert_refused(run("predict", make(tmp_path), "-m", bundle, "-o", out), out, 2, 3)  # type: ignore[operator]


def test_a_wrong_number_of_channels_is_refused(run: Run, two_channel_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run("predict", made.scan(tmp_path / "a_0000.nii.gz"), "-m", two_channel_bundle, "-o", out)
    assert_refused(outcome, out, 3)
    assert "channel" in outcome.err


@pytest.mark.parametrize("file", ["weights.safetensors", "bundle.json", "card.md"])
def test_a_bundle_with_a_changed_byte_is_refused(file: str, run: Run, bundle: Path, tmp_path: Path) -> None:
    changed, out = shutil.copytree(bundle, tmp_path / "changed"), tmp_path / "out"
    content = bytearray((changed / file).read_bytes())
    content[len(content) // 2] ^= 1
    (changed / file).write_bytes(content)
    outcome = run("predict", made.scan(tmp_path / "a.nii.gz"), "-m", changed, "-o", out)
    assert_refused(outcome, out, 3)
    assert not out.exists()


def test_an_output_below_a_file_is_refused(run: Run, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = run("predict", made.scan(tmp_path / "a.nii.gz"), "-m", bundle, "-o", tmp_path / "file" / "out")
    assert_refused(outcome, tmp_path / "file" / "out", 3)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_failing_label_map_takes_its_trace_with_it(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(labels: object, path: Path, options: object) -> None:
        error = OSError(errno.ENOSPC, "No space left on device")
        raise output_error(path, error) from error

    scan = made.scan(tmp_path / "a.nii.gz")
    monkeypatch.setattr("voxtrace.io.export.export_all", refuse)
    outcome = run("predict", scan, "-m", bundle, "-o", tmp_path / "out")
    assert_refused(outcome, tmp_path / "out", 3)
    assert "no space left" in outcome.sentence


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_is_told_in_one_sentence(run: Run, bundle: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this system does not let a small disk be mounted")
    try:
        outcome = run("predict", made.scan(tmp_path / "a.nii.gz", shape=(40, 60, 60)), "-m", bundle, "-o", disk / "out")
        assert_refused(outcome, disk / "out", 3)
        assert "space" in outcome.sentence
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_console_entry_itself_tells_one_sentence(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(gzip.compress(b"x" * 1000)[:-20])
    command = [sys.executable, "-c", "from voxtrace.cli import main; main()"]
    words = ["predict", str(path), "-m", str(bundle), "-o", str(tmp_path / "out")]
    ended = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
