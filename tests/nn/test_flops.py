"""Cost, against convolutions counted by hand."""

from __future__ import annotations

import pytest
from torch import nn

from voxtrace.errors import MethodError
from voxtrace.nn.flops import flops, parameters


def test_a_convolution_costs_two_operations_a_multiply_add() -> None:
    """27 taps × 2 channels in × 4 out × 8³ voxels × 2 operations."""
    conv = nn.Conv3d(2, 4, 3, padding=1)
    assert flops(conv, (2, 8, 8, 8)) == pytest.approx(27 * 2 * 4 * 8**3 * 2 / 1e9)


def test_a_transposed_convolution_is_counted_on_its_input_grid() -> None:
    conv = nn.ConvTranspose3d(4, 2, 2, 2)
    assert flops(conv, (4, 8, 8, 8)) == pytest.approx(8 * 4 * 2 * 8**3 * 2 / 1e9)


def test_parameters_are_weights_and_biases() -> None:
    assert parameters(nn.Conv3d(2, 4, 3)) == 2 * 4 * 27 + 4


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(MethodError, match="choose one of"):
        flops(nn.Conv3d(1, 1, 1), (1, 2, 2, 2), convention="guess")
