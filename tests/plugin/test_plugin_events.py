"""Whatever a job does, the window hears one end of it."""

from __future__ import annotations

import gc
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest

from voxtrace.errors import Cancelled, EngineError
from voxtrace.plugin.work.events import Cancel, Done, Event, Failed, Progressed, Stopped, drain
from voxtrace.plugin.work.torch_import import importing_torch


def heard(job: Any, clock: Any = None) -> list[Event]:
    events: list[Event] = []
    drain(job, events.append, lambda: False, clock or iter(range(1000)).__next__)
    return events


def failing(error: Exception) -> Any:
    def job(cancel: Cancel) -> Generator[str, None, None]:
        yield "going"
        raise error

    return job


def test_a_finished_job_tells_its_result() -> None:
    def job(cancel: Cancel) -> Generator[str, None, int]:
        yield "half"
        return 7

    assert heard(job) == [Progressed("half"), Done(7)]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied\ntraceback"), "mat1 and mat2 shapes"),
        (RuntimeError("CUDA out of memory"), "memory of this machine is full"),
        (MemoryError(), "memory of this machine is full"),
        (EngineError("the device is gone; use the CPU."), "the device is gone; use the CPU."),
        (KeyError("weights"), "KeyError"),
    ],
)
def test_every_error_becomes_one_sentence(error: Exception, words: str) -> None:
    end = heard(failing(error))[-1]
    assert isinstance(end, Failed)
    assert words in end.sentence
    assert "\n" not in end.sentence


def test_cancelling_is_not_a_failure() -> None:
    assert heard(failing(Cancelled("stopped; nothing was written.")))[-1] == Stopped("stopped; nothing was written.")


def test_a_generator_finishes_its_finally() -> None:
    closed = []

    def job(cancel: Cancel) -> Generator[str, None, None]:
        try:
            yield "going"
            raise Cancelled("stopped.")
        finally:
            closed.append(True)

    heard(job)
    assert closed == [True]


def test_progress_is_thinned_to_ten_a_second_and_important_reports_are_kept() -> None:
    @dataclass(frozen=True)
    class Report:
        n: int
        keep: bool = False

    def job(cancel: Cancel) -> Generator[Report, None, None]:
        yield from (Report(n, keep=n == 7) for n in range(50))

    times = iter(n * 0.004 for n in range(10_000))  # about 250 reports a second
    told = [event.progress.n for event in heard(job, lambda: next(times)) if isinstance(event, Progressed)]
    assert 0 in told
    assert 7 in told
    assert len(told) <= 6


def test_the_collector_is_still_while_torch_is_imported_and_goes_on_afterwards() -> None:
    frozen, collects = gc.get_freeze_count(), []

    def fail() -> None:
        with importing_torch():
            collects.append(gc.isenabled())
            raise ImportError("torch is not installed.")

    with pytest.raises(ImportError):
        fail()
    assert collects == [False]
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
