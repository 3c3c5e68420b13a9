"""Two processes on this machine train as one with the doubled mini-batch would, whatever the method."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import several_processes
from voxtrace.errors import UsageError
from voxtrace.method import Phase, TrainState
from voxtrace.methods import METHODS
from voxtrace.nn.across import DropoutOfPart, DropoutOfPart2d, set_part, share_batches
from voxtrace.training.config import TrainConfig, loader_workers, open_fabric

NAMES = [*sorted(METHODS), "unet+regions"]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[float]]]:
    """The curve of each method, trained by two processes."""
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, several_processes.__file__, str(folder), *NAMES]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    curves: dict[str, list[list[float]]] = json.loads((folder / "curves.json").read_text())
    return curves


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_two_processes_have_the_curve_of_one_with_the_doubled_batch(
    name: str, together: dict[str, list[list[float]]], tmp_path: Path
) -> None:
    alone = several_processes.curve(name, tmp_path / "alone", windows=4)
    assert len(alone) == several_processes.ITERATIONS
    for first, second in zip(alone, together[name], strict=True):
        assert second == pytest.approx(first, abs=1e-4)
    assert np.ptp([sum(terms) for terms in alone]) > 1e-3  # the curve moves at all


def test_what_is_drawn_for_a_part_is_what_one_process_draws() -> None:
    def noise(part: int, parts: int) -> torch.Tensor:
        state = TrainState(Phase("train", 10), 0, torch.Generator().manual_seed(3), part, parts)
        return state.own(torch.randn((state.whole(4 // parts), 5), generator=state.rng))

    assert torch.equal(torch.cat([noise(0, 2), noise(1, 2)]), noise(0, 1))


@pytest.mark.parametrize("layer", [torch.nn.Dropout(0.3), torch.nn.Dropout2d(0.3)])
def test_a_dropout_of_parts_drops_what_one_of_all_drops(layer: torch.nn.Module) -> None:
    values = torch.randn(4, 6, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    whole = layer(values)
    network = torch.nn.Sequential(layer)
    share_batches(network, processes=False)
    assert isinstance(network[0], (DropoutOfPart, DropoutOfPart2d))
    parts = []
    for part, own in enumerate(values.chunk(2)):
        torch.manual_seed(1)
        set_part(network, part, 2)
        parts.append(network(own))
    assert torch.equal(torch.cat(parts), whole)


def test_more_devices_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("voxtrace.training.config.choose_device", lambda asked: (torch.device("cuda"), ""))
    monkeypatch.setattr("voxtrace.training.config.choose_precision", lambda asked, device: ("float32", ""))
    with pytest.raises(UsageError, match="2 devices were asked for, and this machine has 1"):
        open_fabric(TrainConfig(devices=2))


def test_windows_are_prepared_by_other_processes_where_a_gpu_would_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert [loader_workers(None, "cuda", n) for n in (1, 4, 32)] == [8, 3, 1]
    assert (loader_workers(None, "cpu", 1), loader_workers(3, "cpu", 1)) == (0, 3)
