"""A run stops soon after it was cancelled, wherever it is, and leaves nothing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fakes
from voxtrace.errors import Cancelled
from voxtrace.inference import predict, segment
from voxtrace.inference.cancel_check import CancelCheck
from voxtrace.runtime import open_runtime
from voxtrace.runtime.interrupt import interrupts

EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}


class _Slow(nn.Module):
    """Twenty layers of a tenth of a second each, then the score."""

    def __init__(self, score: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Sleep() for _ in range(20))
        self.score = score

    def forward(self, images: Tensor) -> Tensor:
        for layer in self.layers:
            images = layer(images)
        scored: Tensor = self.score(images)
        return scored


class _Sleep(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        time.sleep(0.1)
        return images


class _SlowNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.score = _Slow(fakes.Score(2))


def cancelled_at(number: int) -> Callable[[], bool]:
    """Return a ``cancel`` that is true from its n-th call on."""
    calls = iter(range(10**9))
    return lambda: next(calls) >= number


def test_a_network_stops_between_two_of_its_layers() -> None:
    began = time.perf_counter()
    with pytest.raises(Cancelled, match="after 0 of 1 windows"):
        predict(
            fakes.bundle(network=_SlowNetwork()),
            fakes.ball((8, 16, 16)),
            cancel=lambda: time.perf_counter() - began > 0.5,
            **EXACT,
        )
    assert time.perf_counter() - began < 1.5  # all layers would take 2 s


def test_other_threads_are_not_stopped() -> None:
    network, answers = _SlowNetwork().score, []
    network.layers = network.layers[:3]
    other = threading.Thread(target=lambda: answers.append(network(torch.zeros(1, 1, 2, 2, 2))))
    with interrupts.between_layers(CancelCheck(lambda: True)):
        other.start()
        with pytest.raises(Cancelled):
            network(torch.zeros(1, 1, 2, 2, 2))
        other.join()
    assert len(answers) == 1
    network(torch.zeros(1, 1, 2, 2, 2))  # nor is this one after the block


@pytest.mark.parametrize("stored", [True, False])
def test_it_stops_at_whatever_look_and_leaves_nothing_behind(tmp_path: Path, stored: bool) -> None:
    bundle, volume = fakes.bundle(fakes.Nearest(n_steps=2)), fakes.ball((20, 20, 20))
    before = set(threading.enumerate())
    looks = 0

    def count() -> bool:
        nonlocal looks
        looks += 1
        return False

    predict(bundle, volume, keep="labels", store=tmp_path / "whole" if stored else None, cancel=count, **EXACT)
    assert looks > 60  # planes of the input and of the network, layers, windows
    for number in range(0, looks - 3, max(1, looks // 25)):
        store = tmp_path / f"{number}" if stored else None
        with pytest.raises(Cancelled):
            predict(bundle, volume, keep="labels", store=store, cancel=cancelled_at(number), **EXACT)
    assert [path.name for path in tmp_path.iterdir()] == (["whole"] if stored else [])
    assert {
        t for t in threading.enumerate() if t not in before and t.name.startswith(("voxtrace-f", "voxtrace-p"))
    } == set()


def test_reports_carry_each_plane_of_the_answer_once() -> None:
    bundle, volume = fakes.bundle(fakes.Nearest(n_steps=2, drift=0.4)), fakes.ball((40, 20, 20))
    task, parts = segment(bundle, volume, keep="labels", batch=1, **EXACT), []
    while True:
        try:
            progress = next(task)
        except StopIteration as stop:
            result = stop.value
            break
        if progress.planes is not None:
            parts.append((progress.planes.z0, progress.planes.labels.copy()))
            assert not progress.planes.labels.flags.writeable
    starts = [z0 for z0, _ in parts]
    assert starts == [sum(labels.shape[1] for _, labels in parts[:n]) for n in range(len(parts))]
    assert len(parts) > 2
    for z0, labels in parts:
        assert (labels == result.trace.labels[:, z0 : z0 + labels.shape[1]]).all()


def test_what_another_thread_computes_is_waited_for_with_looks() -> None:
    future: Future[int] = Future()
    looks = iter([False, False, True])
    with pytest.raises(Cancelled):
        CancelCheck(lambda: next(looks)).result(future)
    future.set_exception(TimeoutError("of its own"))
    with pytest.raises(TimeoutError, match="of its own"):
        CancelCheck(lambda: False).result(future)


def test_work_that_cannot_be_stopped_goes_on_alone() -> None:
    done = threading.Event()

    def work() -> int:
        time.sleep(0.5)
        done.set()
        return 3

    began = time.perf_counter()
    with interrupts.between_layers(CancelCheck(lambda: time.perf_counter() - began > 0.1)), pytest.raises(Cancelled):
        interrupts.waiting(work)
    assert not done.is_set()
    assert done.wait(5.0)
    assert interrupts.waiting(work) == 3
    with interrupts.between_layers(CancelCheck(lambda: False)):
        assert interrupts.waiting(work) == 3


@pytest.mark.parametrize("runtime", ["openvino", "winograd"])
def test_the_other_runtimes_stop_too(runtime: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    network = nn.Sequential()
    network.add_module("part", nn.Sequential(*(nn.Conv3d(16, 16, 3, padding=1) for _ in range(12))).eval())
    images = torch.zeros(2, 16, 32, 48, 48)
    opened = open_runtime(network, runtime=runtime, device="cpu", precision="float32")
    with torch.inference_mode():
        opened.parts["part"](images)  # compiled
        began = time.perf_counter()
        with interrupts.between_layers(CancelCheck(lambda: True)), pytest.raises(Cancelled):
            opened.parts["part"](images)
        stopped_s, began = time.perf_counter() - began, time.perf_counter()
        whole = opened.parts["part"](images)
        whole_s = time.perf_counter() - began
    assert stopped_s < max(whole_s, 0.3)
    assert tuple(whole.shape) == tuple(images.shape)
