from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

SLEEP = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
MEASURE = f"""
import sys
from voxtrace.bench.measure import measure
from voxtrace.cli.interrupt import sigterm_as_interrupt
with sigterm_as_interrupt():
    measure([sys.executable, "-c", {SLEEP!r}, sys.argv[1]])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
def test_what_a_bench_started_ends_with_it(tmp_path: Path) -> None:
    told, until = tmp_path / "pid", time.monotonic() + 30
    bench = subprocess.Popen([sys.executable, "-c", MEASURE, str(told)], stderr=subprocess.DEVNULL)
    while not (told.exists() and told.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    bench.terminate()
    assert bench.wait(30) != 0
    assert not psutil.pid_exists(int(told.read_text()))
