"""Which device a training is planned for."""

from __future__ import annotations

import pytest
import torch

from voxtrace.errors import EngineError
from voxtrace.training.device import training_device


def test_a_card_that_is_not_there_can_be_planned_for() -> None:
    assert training_device("cuda", 24.0) == ("cuda", 24.0)


def test_without_cuda_the_cpu_is_planned_for_with_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    kind, memory_gb = training_device()
    assert kind == "cpu"
    assert memory_gb > 0
    assert training_device("cpu", 3.0) == ("cpu", 3.0)


def test_a_card_that_is_asked_for_and_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineError, match="has none"):
        training_device("cuda")
