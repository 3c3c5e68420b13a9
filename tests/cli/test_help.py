from __future__ import annotations

import subprocess
import sys
import time

import pytest

from made import Run

COMMANDS = (
    "predict",
    "train",
    "plan",
    "evaluate",
    "compare",
    "score",
    "inspect",
    "models",
    "methods",
    "demo",
    "doctor",
)
HEAVY = ("torch", "SimpleITK", "numpy", "zarr", "pydicom", "monai", "matplotlib", "napari")
PROMISED_S = 0.5
GENEROUS = 8  # other work may run beside the tests
PROBE = """
import sys
from voxtrace.cli import main
try:
    main({words!r})
finally:
    print(*[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command: str) -> None:
    words = [*command.split(), "--help"]
    probe = PROBE.format(words=words, heavy=HEAVY)
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "Usage" in ended.stdout
    assert ended.stderr.strip() == ""


def test_help_answers_at_once() -> None:
    command = [sys.executable, "-c", "from voxtrace.cli import main; main(['--help'])"]
    times_s = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times_s.append(time.perf_counter() - began)
    assert min(times_s) < PROMISED_S * GENEROUS


def test_every_command_is_listed(run: Run) -> None:
    listed = run("--help").out
    assert all(command in listed for command in COMMANDS)


def test_version_is_told(run: Run) -> None:
    from voxtrace import __version__

    assert run("--version").out == f"voxtrace {__version__}\n"


@pytest.mark.parametrize("words", [["frobnicate"], ["predict"], ["plan"], ["methods", "--no-such-flag"]])
def test_wrong_usage_leaves_2(words: list[str], run: Run) -> None:
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")


def test_debug_shows_the_traceback_wherever_it_stands(run: Run) -> None:
    assert "Traceback" not in run("inspect", "/no/such/path").err
    for words in (["--debug", "inspect", "/no/such/path"], ["inspect", "/no/such/path", "--debug"]):
        outcome = run(*words)
        assert outcome.code == 2
        assert "Traceback" in outcome.err
