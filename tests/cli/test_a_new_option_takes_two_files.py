"""An option that is added to two files, its declaration and the place that acts on it, is there everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import made
from new_option import ACTING, DECLARED, NAME, SENTENCE, changed_files, extended_package, run_extended
from voxtrace import io

COMMAND = "from voxtrace.cli import main; main({words!r})"


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extended_package(tmp_path_factory.mktemp("extended"))


def test_two_files_change(extended: Path) -> None:
    assert changed_files(extended) == {DECLARED, ACTING}


def test_it_is_a_flag_with_its_sentence(extended: Path) -> None:
    shown = run_extended(extended, COMMAND.format(words=["predict", "--help"])).stdout
    assert f"--{NAME}" in shown
    assert SENTENCE in " ".join(shown.replace("│", " ").split())


def test_it_acts_from_the_command_line_and_is_recorded(extended: Path, bundle: Path, tmp_path: Path) -> None:
    scan = made.scan(tmp_path / "a.nii.gz")
    words = ["predict", str(scan), "-m", str(bundle), "--keep", "last", "-o"]
    for flags, out in (([], "plain"), ([f"--{NAME}"], "acted")):
        ended = run_extended(extended, COMMAND.format(words=[*words, str(tmp_path / out), *flags]))
        assert ended.returncode == 0, ended.stderr
    plain, acted = (np.asarray(io.read_labels(tmp_path / out / "a.nii.gz").data) for out in ("plain", "acted"))
    assert plain.any()
    assert np.array_equal(acted, plain.max() - plain)
    entry = json.loads((tmp_path / "acted" / "ledger.jsonl").read_text().splitlines()[-1])
    assert entry["options"][NAME] is True


def test_outputs_made_before_it_existed_are_complete(
    extended: Path, run: made.Run, bundle: Path, tmp_path: Path
) -> None:
    words = ["predict", str(made.scan(tmp_path / "a.nii.gz")), "-m", str(bundle), "-o", str(tmp_path / "out")]
    assert run(*words).code == 0
    resumed = run_extended(extended, COMMAND.format(words=[*words, "--resume", "--json"]))
    assert json.loads(resumed.stdout)["skipped"] == ["a"]
    assert run_extended(extended, COMMAND.format(words=[*words, "--resume", f"--{NAME}"])).returncode == 2
