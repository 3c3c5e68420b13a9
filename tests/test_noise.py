"""Noise as a field in space."""

from __future__ import annotations

import pytest
import torch

from voxtrace.noise import GridNoise
from voxtrace.windows import Window

pytestmark = pytest.mark.numeric


SIZE = (16, 32, 32)


def field(seed: int = 0, step: int = 0, channels: int = 2, window: Window = Window(0, 0, 0)) -> torch.Tensor:
    return GridNoise(seed, [window], SIZE).normal(step, channels)[0]


def test_overlapping_windows_see_the_same_noise() -> None:
    here, there = GridNoise(7, [Window(0, 0, 0), Window(3, 4, -5)], SIZE).normal(2, 3)
    assert torch.equal(here[:, 3:, 4:, :27], there[:, :13, :28, 5:])


def test_a_window_alone_and_in_a_batch_see_the_same_noise() -> None:
    windows = [Window(0, 0, 0), Window(1, 2, 3)]
    assert torch.equal(GridNoise(7, windows, SIZE).normal(1, 1)[1], GridNoise(7, windows[1:], SIZE).normal(1, 1)[0])


def test_mirrored_noise_stays_where_it_is_in_space() -> None:
    plain = GridNoise(7, [Window(1, 2, 3)], SIZE).normal(0, 1)
    assert torch.equal(GridNoise(7, [Window(1, 2, 3)], SIZE, flips=(0, 2)).normal(0, 1).flip([2, 4]), plain)


def test_moments_are_those_of_a_standard_normal() -> None:
    noise = torch.cat([field(seed, step).flatten() for seed in range(5) for step in range(4)]).double()
    # 655,360 numbers: standard errors 0.0012, 0.0017, 0.003 and 0.012
    moments = [float((noise**n).mean()) for n in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.05)
    assert float((noise.abs() < 1).double().mean()) == pytest.approx(0.6827, abs=0.003)


@pytest.mark.parametrize("other", [{"seed": 1}, {"step": 1}, {"window": Window(1, 0, 0)}, {"window": Window(0, 0, 1)}])
def test_another_address_gives_independent_noise(other: dict[str, int]) -> None:
    correlation = float((field() * field(**other)).mean())  # 32,768 numbers: standard error 0.0055
    assert abs(correlation) < 0.025


def test_channels_are_independent() -> None:
    first, second = field()
    assert abs(float((first * second).mean())) < 0.04


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64 + 5])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert torch.isfinite(field(seed)).all()
