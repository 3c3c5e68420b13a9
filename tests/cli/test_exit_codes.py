from __future__ import annotations

import subprocess
import sys

import pytest

from voxtrace.cli.exit_codes import error_message, exit_code
from voxtrace.errors import BundleError, Cancelled, EngineError, MethodError, OutputError, PlanError, ReadError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MethodError("m"), 2),
        (PlanError("p"), 2),
        (ReadError("r"), 3),
        (BundleError("b"), 3),
        (OutputError("o"), 3),
        (EngineError("e"), 3),
        (Cancelled("c"), 130),
        (MemoryError(), 3),
        (ValueError("v"), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_our_errors_are_told_as_they_are_on_one_line() -> None:
    assert error_message(ReadError("a.nii is damaged;\n copy it again.")) == "a.nii is damaged; copy it again."


def test_a_fault_of_the_program_is_called_one() -> None:
    assert "fault in VoxTrace" in error_message(ZeroDivisionError("division by zero"))


def test_the_systems_refusals_name_the_file() -> None:
    assert error_message(PermissionError(13, "Permission denied", "/x")).startswith("/x: Permission denied")


def test_the_package_runs_as_the_command_does() -> None:
    given = [sys.executable, "-m", "voxtrace", "--version"]
    assert "0." in subprocess.run(given, check=True, capture_output=True, text=True).stdout
