"""Planes are finished beside the next windows, and never while something is added to their sums."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import torch

from voxtrace.errors import OutputError
from voxtrace.inference.label_writer import LabelWriter, PlaneOutput
from voxtrace.inference.score_plane import ScorePlane
from voxtrace.inference.step_runner import Logits
from voxtrace.inference.timing import StageTimer
from voxtrace.volume import Array
from voxtrace.windows import Window

WINDOW, LOGITS = Window(0, 0, 0), Logits(torch.zeros(1, 2, 1, 1, 1), torch.zeros(1, 1, 1, 1))


class Chain:
    """Stands in for accumulator, resampler, placer and recorder; a plane is finished when ``gate`` opens."""

    def __init__(self, error: Exception | None = None) -> None:
        self.gate, self.told, self.error = threading.Event(), list[str](), error
        self._first = 0

    def add(self, *of_window: object, **_beside: object) -> None:
        self.told.append("plane recorded" if len(of_window) == 2 else "window added")

    def count(self, window: Window) -> None:
        self.told.append("window counted")

    def finish(self, until: int) -> Iterator[ScorePlane]:
        for _ in range(self._first, until):
            assert self.gate.wait(10)
            if self.error is not None:
                raise self.error
            yield ScorePlane(torch.zeros(1, 2, 1, 1), np.arange(2, dtype=np.uint8))
        self._first = until

    def push(self, plane: ScorePlane | Array) -> Iterator[Array]:
        yield np.zeros((1, 1, 1), np.uint8)


def opened(chain: Chain, timer: StageTimer | None = None) -> Any:
    stand_in = cast(Any, chain)
    return LabelWriter.opened(stand_in, PlaneOutput(stand_in, stand_in, stand_in), timer or StageTimer())


def test_what_is_added_waits_for_the_planes_begun() -> None:
    chain = Chain()
    with opened(chain) as output:
        output.finish(2)
        assert chain.told == []  # begun, and here we are
        threading.Timer(0.05, chain.gate.set).start()
        output.add(0, WINDOW, LOGITS, 0)
        output.finish(3)
        output.count(WINDOW)
    assert chain.told == ["plane recorded"] * 2 + ["window added", "plane recorded", "window counted"]


def test_all_planes_are_finished_when_the_block_ends() -> None:
    chain, timer = Chain(), StageTimer()
    with opened(chain, timer) as output:
        output.finish(2)
        threading.Timer(0.05, chain.gate.set).start()
    assert chain.told == ["plane recorded"] * 2
    assert timer.seconds["finish"] > 0.04


def full_disk() -> Chain:
    chain = Chain(OutputError("the disk is full"))
    chain.gate.set()
    return chain


def test_an_error_while_finishing_a_plane_is_raised_by_the_next_call() -> None:
    def begin_and_add() -> None:
        with opened(chain) as output:
            output.finish(1)
            output.add(0, WINDOW, LOGITS, 0)

    chain = full_disk()
    with pytest.raises(OutputError, match="the disk is full"):
        begin_and_add()
    assert chain.told == []


def test_an_error_in_the_block_is_not_replaced_by_one_of_a_plane() -> None:
    def begin_and_fail() -> None:
        with opened(full_disk()) as output:
            output.finish(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin_and_fail()
