"""Cost, against convolutions counted by hand."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from voxtrace.errors import MethodError
from voxtrace.nn.flops import flops, flops_by_part, parameters

pytestmark = pytest.mark.numeric


def test_a_convolution_costs_two_operations_a_multiply_add() -> None:
    """27 taps × 2 channels in × 4 out × 8³ voxels × 2 operations."""
    conv = nn.Conv3d(2, 4, 3, padding=1)
    assert flops(conv, (2, 8, 8, 8)) == pytest.approx(27 * 2 * 4 * 8**3 * 2 / 1e9)


def test_a_network_in_memory_costs_the_same_without_computing_anything() -> None:
    """Two images: 2 · 27 taps × 2 × 4 channels × 8³ voxels, then 2 operations for each of 4 × 8³ numbers of 3."""
    seen: list[int] = []
    network = nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Linear(8, 3))
    network[2].register_forward_hook(lambda module, inputs, output: seen.append(output.numel()))
    by_hand = 2 * 2 * (27 * 2 * 4 * 8**3 + 4 * 8 * 8 * 8 * 3) / 1e9
    assert flops(network, (2, 2, 8, 8, 8), in_memory=True) == pytest.approx(by_hand)
    assert flops(network, (2, 2, 8, 8, 8)) == pytest.approx(by_hand)
    assert seen == [0, 2 * 4 * 8 * 8 * 3]


def test_a_transposed_convolution_is_counted_on_its_input_grid() -> None:
    conv = nn.ConvTranspose3d(4, 2, 2, 2)
    assert flops(conv, (4, 8, 8, 8)) == pytest.approx(8 * 4 * 2 * 8**3 * 2 / 1e9)


def test_parameters_are_weights_and_biases() -> None:
    assert parameters(nn.Conv3d(2, 4, 3)) == 2 * 4 * 27 + 4


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(MethodError, match="choose one of"):
        flops(nn.Conv3d(1, 1, 1), (1, 2, 2, 2), convention="guess")


def test_the_parts_of_a_network_cost_what_the_whole_costs() -> None:
    """One tap, 2 × 4 channels, 8³ voxels; then 4 × 1 channels on a quarter of a plane's sides, 8·4·4 voxels."""
    narrower = nn.Sequential(nn.MaxPool3d((1, 2, 2)), nn.Conv3d(4, 1, 1))
    network = nn.Sequential(nn.Conv3d(2, 4, 1), narrower)
    parts = flops_by_part(network, (2, 8, 8, 8))
    assert parts == {"0": 2 * 2 * 4 * 8**3 / 1e9, "1": 2 * 4 * 8 * 4 * 4 / 1e9}
    assert flops(network, (2, 8, 8, 8)) == pytest.approx(sum(parts.values()))


def test_a_part_that_is_not_called_costs_nothing() -> None:
    class Lazy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 1)

        def forward(self, images: Tensor) -> Tensor:
            used: Tensor = self.used(images)
            return used

    assert flops_by_part(Lazy(), (1, 2, 2, 2)) == {"used": 2 * 8 / 1e9, "spare": 0.0}


def test_what_a_network_computes_itself_is_counted_apart() -> None:
    assert flops_by_part(nn.Conv3d(1, 1, 1), (1, 2, 2, 2)) == {"": 2 * 8 / 1e9}
