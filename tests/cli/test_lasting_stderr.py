"""Standard error that is closed, full or gone: the work is done all the same; and what Ctrl-C says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import made
from made import Run
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.cli.interrupt import stop_on_interrupt

COMMAND = "import sys; from voxtrace.cli import main; main(sys.argv[1:])"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell and devices of POSIX systems")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_a_batch_is_done_whatever_standard_error_is(redirection: str, bundle: Path, tmp_path: Path) -> None:
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("there is no full device")
    scans, out = tmp_path / "scans", tmp_path / "out"
    made.scan(scans / "a.nii.gz")
    (scans / "b.nii.gz").write_bytes(b"no volume")
    words = [sys.executable, "-c", COMMAND, "predict", str(scans), "-m", str(bundle), "-o", str(out)]
    process = subprocess.run(["sh", "-c", f'"$@" {redirection}', "sh", *words], check=False, timeout=120)
    assert process.returncode == 1
    assert {name: entry.status for name, entry in Ledger(out).latest().items()} == {"a": "done", "b": "failed"}


def test_ctrl_c_says_what_is_done_and_how_to_go_on(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    for name in ("a", "b", "c"):
        made.scan(scans / f"{name}.nii.gz")
    append = Ledger.append

    def interrupted(ledger: Ledger, entry: Entry) -> None:
        append(ledger, entry)
        if (entry.case, entry.status) == ("b", "started"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Ledger, "append", interrupted)
    outcome = run("predict", scans, "-m", bundle, "-o", out)
    assert outcome.code == 130
    assert f"1 of 3 cases are done in {out}" in outcome.sentence
    assert "--resume" in outcome.sentence


def test_a_closed_terminal_stops_as_ctrl_c_does() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    try:
        with stop_on_interrupt() as stopping:
            assert not stopping()
            os.kill(os.getpid(), signal.SIGHUP)
            assert stopping()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nohup_stays_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_interrupt() as stopping:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stopping()
    finally:
        signal.signal(signal.SIGHUP, before)
