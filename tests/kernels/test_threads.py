"""The thread pool of the kernels."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from voxtrace.kernels.threads import LEAST_VALUES, parallel_for


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("tasks", [1, 2, 5, 16, 1000])
def test_every_task_runs_once(tasks: int, threads: int) -> None:
    ranges: list[tuple[int, int, str]] = []
    parallel_for(lambda begin, end, name: ranges.append((begin, end, name)), tasks, "given")
    done = sorted(task for begin, end, _ in ranges for task in range(begin, end))
    assert done == list(range(tasks))
    assert {name for *_, name in ranges} == {"given"}


def test_few_values_run_in_one_piece(threads: int) -> None:
    ranges: list[tuple[int, int]] = []
    parallel_for(lambda begin, end: ranges.append((begin, end)), 100, values=LEAST_VALUES - 1)
    assert ranges == [(0, 100)]


def test_no_task_is_nothing_to_do(threads: int) -> None:
    ranges: list[tuple[int, int]] = []
    parallel_for(lambda begin, end: ranges.append((begin, end)), 0)
    assert ranges in ([], [(0, 0)])


def test_an_error_in_a_loop_reaches_the_caller(threads: int) -> None:
    def fail(begin: int, end: int) -> None:
        raise ValueError(f"tasks {begin} to {end}")

    with pytest.raises(ValueError, match="tasks"):
        parallel_for(fail, 100)


def test_the_package_is_imported_without_numba() -> None:
    code = "import sys, voxtrace.kernels, voxtrace.kernels.winograd.coverage; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
