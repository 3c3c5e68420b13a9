"""SIGKILL at random moments of a run: resumed, it ends with the weights of an undisturbed one, and leaves nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import killed_runs
from voxtrace.methods import METHODS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forked, and this system cannot")


def _killed(folder: Path, name: str, kills: int) -> None:
    command = [sys.executable, killed_runs.__file__, str(folder), name, str(kills), "0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1700)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] >= kills
    assert set(found["killed"]) == {found["whole"]}
    assert found["left"] == []


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    _killed(tmp_path, "unet", 3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(METHODS))
def test_twenty_kills_of_each_method_change_no_bit(tmp_path: Path, name: str) -> None:
    _killed(tmp_path, name, 20)
