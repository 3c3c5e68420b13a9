"""Names in another code page than the system's, with control letters, and under a system without letters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import made
from voxtrace.batch.ledger import Ledger

COMMAND = "import sys; from voxtrace.cli import main; main(sys.argv[1:])"
LATIN = b"gr\xf6\xdfe"
RED = b"a\x1b[31m"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_they_go_through_every_command_and_obey_no_terminal(locale: str, bundle: Path, tmp_path: Path) -> None:
    scans, out = os.fsencode(tmp_path) + b"/\xe4", os.fsencode(tmp_path) + b"/out\xe4"
    Path(os.fsdecode(scans)).mkdir()
    names = (LATIN, "größe ×肝".encode(), RED)
    for name in names:
        made.scan(Path(os.fsdecode(scans + b"/" + name + b".nii.gz")), shape=(8, 16, 16))

    def voxtrace(*words: object) -> bytes:
        environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0"}
        command = [sys.executable, "-c", COMMAND, *words]
        done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        assert b"\x1b" not in done.stdout + done.stderr
        return done.stdout

    voxtrace("predict", scans, "-m", bundle, "-o", out)
    entries = Ledger(Path(os.fsdecode(out))).latest()
    assert {entry.status for entry in entries.values()} == {"done"}
    assert len(entries) == len(names)
    again = json.loads(voxtrace("predict", scans, "-m", bundle, "-o", out, "--resume", "--json"))
    assert sorted(again["skipped"]) == sorted(entries)
    [trace] = Path(os.fsdecode(out)).glob("*%F6%DFe.trace")
    for path in (scans + b"/" + LATIN + b".nii.gz", trace):
        json.loads(voxtrace("inspect", path, "--json"))
    assert len(json.loads(voxtrace("evaluate", out, out, "--json"))["cases"]) == len(names)
