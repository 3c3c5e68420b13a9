"""Planes are finished beside the next windows, and never while something is added to their sums."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from voxtrace.errors import OutputError
from voxtrace.inference.decide import Scores
from voxtrace.inference.output import Output
from voxtrace.inference.watch import Watch
from voxtrace.volume import Array
from voxtrace.windows import Window

WINDOW, SCORES = Window(0, 0, 0), Scores(torch.zeros(1, 2, 1, 1, 1), torch.zeros(1, 1, 1, 1))


class Chain:
    """Stands in for slab, restorer, placer and recorder; a plane is finished when ``gate`` opens."""

    def __init__(self, error: Exception | None = None) -> None:
        self.gate, self.told, self.error = threading.Event(), list[str](), error
        self._first = 0

    def add(self, *of_window: object) -> None:
        self.told.append("plane recorded" if len(of_window) == 1 else "window added")

    def count(self, window: Window) -> None:
        self.told.append("window counted")

    def finish(self, until: int) -> Iterator[Tensor]:
        for _ in range(self._first, until):
            assert self.gate.wait(10)
            if self.error is not None:
                raise self.error
            yield torch.zeros(1, 2, 1, 1)
        self._first = until

    def push(self, plane: Tensor | Array) -> Iterator[Array]:
        yield np.zeros((1, 1, 1), np.uint8)


def opened(chain: Chain, watch: Watch | None = None) -> Any:
    parts = (cast(Any, chain),) * 4
    return Output.opened(*parts, watch or Watch())


def test_what_is_added_waits_for_the_planes_begun() -> None:
    chain = Chain()
    with opened(chain) as output:
        output.finish(2)
        assert chain.told == []  # begun, and here we are
        threading.Timer(0.05, chain.gate.set).start()
        output.add(0, WINDOW, SCORES, 0)
        output.finish(3)
        output.count(WINDOW)
    assert chain.told == ["plane recorded"] * 2 + ["window added", "plane recorded", "window counted"]


def test_all_planes_are_finished_when_the_block_ends() -> None:
    chain, watch = Chain(), Watch()
    with opened(chain, watch) as output:
        output.finish(2)
        threading.Timer(0.05, chain.gate.set).start()
    assert chain.told == ["plane recorded"] * 2
    assert watch.seconds["finish"] > 0.04


def full_disk() -> Chain:
    chain = Chain(OutputError("the disk is full"))
    chain.gate.set()
    return chain


def test_what_goes_wrong_with_a_plane_is_told_to_whoever_adds_next() -> None:
    def begin_and_add() -> None:
        with opened(chain) as output:
            output.finish(1)
            output.add(0, WINDOW, SCORES, 0)

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
