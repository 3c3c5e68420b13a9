from __future__ import annotations

import sys

import pytest

from voxtrace.bench.measure import measure
from voxtrace.errors import EngineError

MB = 1_000_000
HOLD = "import sys, time; held = bytearray(int(sys.argv[1])); held[::4096] = b'x' * len(held[::4096]); time.sleep({s})"
PARENT = (
    "import subprocess, sys; held = bytearray(60_000_000); held[::4096] = b'x' * len(held[::4096]); "
    "subprocess.run([sys.executable, '-c', sys.argv[1], '60000000'], check=True)"
)


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", code, *words]


def test_wall_time_and_peak_memory_are_those_of_the_process() -> None:
    bare = measure(python("import time; time.sleep(0.3)"))
    full = measure(python(HOLD.format(s=0.3), str(100 * MB)))
    assert bare.seconds >= 0.3
    assert full.peak_mb - bare.peak_mb == pytest.approx(100, abs=15)
    assert full.processes == 1


def test_memory_of_children_is_added_to_the_parents() -> None:
    both = measure(python(PARENT, HOLD.format(s=0.6)))
    assert both.processes == 2
    assert both.peak_mb > 120


def test_a_process_beyond_the_cap_is_ended() -> None:
    with pytest.raises(EngineError):
        measure(python(HOLD.format(s=30), str(300 * MB)), cap_mb=150)


def test_children_count_against_the_cap() -> None:
    with pytest.raises(EngineError, match="held more than 100 MB"):
        measure(python(PARENT, HOLD.format(s=30)), cap_mb=100)


def test_a_process_within_the_cap_is_left_alone() -> None:
    assert measure(python("print('done')"), cap_mb=500).output == "done\n"


def test_a_failure_is_told_with_the_last_words_of_the_process() -> None:
    with pytest.raises(EngineError, match=r"ended with code 1: .*no such luck"):
        measure(python("raise SystemExit('no such luck')"))


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(EngineError, match="nowhere/python could not be started"):
        measure(["nowhere/python"])
