"""Masked convolutions: what is off is exactly 0, and a mask survives being packed into bits."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from chance import chance, drawn
from voxtrace.nn.flops import flops, parameters
from voxtrace.nn.masked import MaskedConv3d, MaskedConvTranspose3d, pack_mask, unpack_mask

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(("density", "on"), [(1.0, 48), (0.3, 14), (0.2, 10), (0.1, 5), (0.001, 1)])
def test_exactly_the_rounded_share_of_kernels_is_on(density: float, on: int) -> None:
    """8 × 6 = 48 kernels: 14.4, 9.6 and 4.8 of them; never none."""
    conv = MaskedConv3d(8, 6, (1, 3, 3), density)
    assert conv.active_kernels == int(conv.mask.sum()) == on


def test_the_mask_has_the_first_two_axes_of_the_weight() -> None:
    assert MaskedConv3d(8, 6, (1, 3, 3), 0.5).mask.shape == (6, 8)
    assert MaskedConvTranspose3d(8, 6, (2, 2, 2), 0.5).mask.shape == (8, 6)


with drawn():
    CONVS = [MaskedConv3d(8, 6, (1, 3, 3), 0.3), MaskedConvTranspose3d(8, 6, (2, 2, 2), 0.3)]


@pytest.mark.parametrize("conv", CONVS)
def test_whole_kernels_are_off_and_all_weights_of_the_others_are_not(conv: MaskedConv3d) -> None:
    assert not conv.weight[~conv.mask].any()
    assert conv.weight[conv.mask].all()


def test_a_channel_whose_kernels_are_all_off_is_not_read() -> None:
    conv = MaskedConv3d(3, 2, (1, 3, 3), 1.0)
    conv.mask[:, 1] = False
    conv.apply_mask()
    x = torch.randn(1, 3, 2, 5, 5, generator=chance())
    other = x.clone()
    other[:, 1] = 7.0
    assert torch.equal(conv(x), conv(other))


def learn(conv: MaskedConv3d, *, active: bool) -> None:
    """Leave the gradient of a loss that does not vanish where the answer is 0, as where all kernels are off."""
    conv.zero_grad()
    conv.active_gradient = active
    answer = conv(torch.randn(1, 8, 2, 5, 5, generator=chance(2)))
    (answer * torch.randn_like(answer)).sum().backward()


@pytest.mark.parametrize("conv", CONVS)
def test_the_gradient_is_dense(conv: MaskedConv3d) -> None:
    learn(conv, active=False)
    assert conv.weight.grad is not None
    assert conv.weight.grad.all()


@pytest.mark.parametrize("conv", CONVS)
def test_kernels_that_are_off_can_go_without_a_gradient(conv: MaskedConv3d) -> None:
    learn(conv, active=True)
    assert conv.weight.grad is not None
    assert not conv.weight.grad[~conv.mask].any()
    assert conv.weight.grad[conv.mask].all()


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.AdamW])
def test_what_is_off_stays_0_in_the_weight_and_in_the_optimisers_memory(optimiser: type[torch.optim.Optimizer]) -> None:
    conv = MaskedConv3d(3, 2, (1, 3, 3), 0.5)
    options = {"momentum": 0.99} if optimiser is torch.optim.SGD else {}
    opt = optimiser(conv.parameters(), lr=0.1, **options)  # type: ignore[call-arg]
    conv(torch.randn(1, 3, 2, 5, 5, generator=chance(3))).square().sum().backward()
    opt.step()
    assert conv.weight[~conv.mask].any()
    conv.apply_mask(opt.state)
    remembered = [v for v in opt.state[conv.weight].values() if v.shape == conv.weight.shape]
    assert remembered
    assert not any(tensor[~conv.mask].any() for tensor in (conv.weight, *remembered))
    assert all(tensor[conv.mask].any() for tensor in remembered)


def test_only_active_kernels_count() -> None:
    """10 of 48 kernels of 9 taps, 6 biases; 5³ voxels, two operations a tap; each fused number counts 1 more in e2e."""
    conv = MaskedConv3d(8, 6, (1, 3, 3), 0.2, fuses=True)
    assert parameters(conv) == 10 * 9 + 6
    assert flops(conv, (8, 5, 5, 5), "true") == pytest.approx(2 * 9 * 10 * 125 / 1e9)
    assert flops(conv, (8, 5, 5, 5), "e2e") == pytest.approx((2 * 9 * 10 + 6) * 125 / 1e9)


def test_kernels_are_counted_where_there_are_shapes_only() -> None:
    with torch.device("meta"):
        conv = MaskedConv3d(8, 6, (1, 3, 3), 0.2)
    assert conv.mask.is_meta
    assert conv.active_kernels == 10


def test_a_copy_has_its_own_mask() -> None:
    conv = MaskedConv3d(8, 6, (1, 3, 3), 0.2)
    twin = copy.deepcopy(conv)
    twin.mask.fill_(True)
    assert (conv.active_kernels, twin.active_kernels) == (10, 48)


def test_the_mask_travels_with_the_weights() -> None:
    conv, other = MaskedConv3d(8, 6, (1, 3, 3), 0.2), MaskedConv3d(8, 6, (1, 3, 3), 0.2)
    assert not torch.equal(conv.mask, other.mask)
    other.load_state_dict(conv.state_dict())
    assert torch.equal(conv.mask, other.mask)


def test_an_up_sampling_convolution_has_no_bias_and_multiplies_the_size_by_its_stride() -> None:
    up = MaskedConvTranspose3d(4, 3, (1, 2, 2), 0.5)
    assert up.bias is None
    assert isinstance(up, nn.ConvTranspose3d)
    assert up(torch.zeros(1, 4, 3, 5, 5)).shape == (1, 3, 3, 10, 10)


def test_a_mask_is_packed_eight_kernels_a_byte() -> None:
    """■ · · ■ ·  /  · · ■ · ■  is 1001 0001 01, and six zeros fill the second byte."""
    mask = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 1, 0, 1]], dtype=torch.bool)
    bits = pack_mask(mask)
    assert bits.tolist() == [0b10010001, 0b01000000]
    assert torch.equal(unpack_mask(bits, (2, 5)), mask)


@pytest.mark.parametrize(
    "bits",
    [
        torch.tensor([145], dtype=torch.uint8),
        torch.tensor([145, 64, 0], dtype=torch.uint8),
        torch.tensor([145, 64], dtype=torch.int64),
        torch.tensor([145, 65], dtype=torch.uint8),
    ],
    ids=["too short", "too long", "not bytes", "bits beyond the mask"],
)
def test_bits_that_are_no_mask_of_that_shape_are_refused(bits: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="10 kernels"):
        unpack_mask(bits, (2, 5))
