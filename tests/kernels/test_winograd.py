"""Winograd convolutions agree with torch's, whatever they read and however many threads compute them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chance import drawn
from tolerance import distance, in_float64, rounding
from voxtrace.errors import UsageError
from voxtrace.kernels.winograd.buffer_pool import BufferPool
from voxtrace.kernels.winograd.deferred import DeferredTensor
from voxtrace.kernels.winograd.filters import STRIDE_1, STRIDE_2
from voxtrace.kernels.winograd.layers import DirectLayer, WinogradLayer, layer_for
from voxtrace.kernels.winograd.replacements import PartReplacement, replaced
from voxtrace.kernels.winograd.transforms import FAR, NEAR, POINT
from voxtrace.nn.blocks import ConvBlock
from voxtrace.runtime import auto_runtime, open_runtime

pytestmark = pytest.mark.numeric


AMPLIFIED = 10  # times the rounding of direct sums, at most: the transforms add and take away larger numbers


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_agrees(module: nn.Module, ours: Tensor, *tensors: Tensor) -> None:
    """Check an answer, and torch's, against float64; each layer after another adds its rounding."""
    weights = [p for p in module.parameters() if p.ndim == 5]
    allowed = rounding(torch.float32, products=sum(w[0].numel() for w in weights), roundings=3 * len(weights))
    exact = in_float64(module, *tensors)
    with torch.inference_mode():
        assert distance(module(*tensors), exact) <= allowed
    assert distance(ours, exact) <= AMPLIFIED * allowed


def run(module: nn.Module, *tensors: Tensor) -> Tensor:
    with torch.inference_mode():
        return PartReplacement(replaced(module, BufferPool()))(*tensors) + 0.0


@pytest.mark.parametrize(
    ("kernel", "stride"),
    [
        ((1, 3, 3), (1, 1, 1)),
        ((3, 3, 3), (1, 1, 1)),
        ((1, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (1, 2, 2)),
        ((3, 3, 3), (2, 2, 2)),
        ((3, 3, 3), (2, 1, 1)),
    ],
)
@pytest.mark.parametrize("size", [(1, 1, 1), (2, 4, 4), (3, 5, 7), (5, 9, 30), (8, 24, 24), (4, 33, 66)])
@pytest.mark.parametrize("channels", [(8, 16), (16, 14), (24, 40)])
@drawn(1)
def test_three_taps_agree_with_torch(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], size: tuple[int, ...], channels: tuple[int, int]
) -> None:
    conv = nn.Conv3d(*channels, kernel, stride, padding=tuple(k // 2 for k in kernel))
    assert isinstance(layer_for(conv, BufferPool()), WinogradLayer)
    x = numbers(2, channels[0], *size)
    assert_agrees(conv, run(conv, x), x)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        ((3, 3, 3), (2, 2, 2), (1, 1, 1)),
        ((3, 3, 3), (1, 2, 2), (1, 1, 1)),
        ((1, 1, 1), (1, 1, 1), (0, 0, 0)),
        ((2, 2, 2), (2, 2, 2), (0, 0, 0)),
        ((5, 3, 1), (1, 1, 3), (2, 0, 0)),
        ((1, 3, 3), (1, 1, 1), (0, 1, 1)),
    ],
)
@pytest.mark.parametrize("channels", [(1, 16), (3, 5), (16, 24)])
@pytest.mark.parametrize("size", [(6, 8, 10), (7, 19, 13)])
@drawn(2)
def test_other_kernels_and_strides_agree_with_torch(
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    channels: tuple[int, int],
    size: tuple[int, ...],
) -> None:
    conv = nn.Conv3d(*channels, kernel, stride, padding, bias=channels[0] != 3)
    x = numbers(2, channels[0], *size)
    layer = DirectLayer(conv, BufferPool())
    assert_agrees(conv, layer(DeferredTensor.of(x)) + torch.zeros(()), x)


def test_strided_kernels_that_would_grow_too_large_are_taken_tap_by_tap() -> None:
    """At its points a kernel with stride 2 along all axes is 27 times as large: 128 to 256 channels would be 96 MB."""
    assert isinstance(layer_for(nn.Conv3d(64, 128, 3, 2, 1), BufferPool()), WinogradLayer)
    assert isinstance(layer_for(nn.Conv3d(128, 256, 3, 2, 1), BufferPool()), DirectLayer)


@pytest.mark.parametrize("stride", [(2, 2, 2), (1, 2, 2), (1, 1, 3)])
@pytest.mark.parametrize("channels", [(8, 16), (5, 3), (32, 20)])
@drawn(3)
def test_transposed_convolutions_agree_with_torch(stride: tuple[int, int, int], channels: tuple[int, int]) -> None:
    conv = nn.ConvTranspose3d(*channels, stride, stride, bias=channels[0] != 5)
    x = numbers(2, channels[0], 3, 5, 7)
    assert_agrees(conv, run(conv, x), x)


with drawn():
    LEFT_TO_TORCH = [
        nn.Conv3d(8, 8, 3, padding=1, groups=2),
        nn.Conv3d(8, 8, 3, padding=2, dilation=2),
        nn.Conv3d(8, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv3d(8, 8, 3, padding="same"),
        nn.ConvTranspose3d(8, 8, 3, 2),
        nn.ConvTranspose3d(8, 8, 2, 2, padding=1),
        nn.Conv2d(8, 8, 3),
    ]


@pytest.mark.parametrize("conv", LEFT_TO_TORCH)
def test_what_the_layers_are_not_for_is_left_to_torch(conv: nn.Module) -> None:
    assert layer_for(conv, BufferPool()) is None
    x = numbers(1, 8, 6, 6) if isinstance(conv, nn.Conv2d) else numbers(1, 8, 6, 6, 6)
    assert torch.equal(run(conv, x), conv(x).detach())


@drawn(8)
def test_rounding_stays_within_ten_times_that_of_direct_sums() -> None:
    """The points that Lavin and Gray chose would round eight times as much as these."""
    conv, x = nn.Conv3d(32, 32, 3, padding=1, bias=False), numbers(1, 32, 8, 16, 24)
    exact = copy.deepcopy(conv).double()(x.double()).detach()
    direct, ours = (float((answer - exact).abs().max()) for answer in (conv(x).detach(), run(conv, x)))
    assert ours <= AMPLIFIED * direct


def test_kernels_at_the_points_are_polynomials_there() -> None:
    """A kernel (a, b, c) stands for a + b·p + c·p²; its value at each finite point differs by a factor of the point."""
    kernel, points = np.array([2.0, -3.0, 5.0]), (0, POINT, -POINT, 2 * POINT, -2 * POINT)
    values = STRIDE_1.filter_transform @ kernel
    np.testing.assert_allclose(values[:-1], [(2 - 3 * p + 5 * p * p) / others(p, points) for p in points])
    assert values[-1] == 5.0


def test_with_stride_2_the_middle_tap_is_left_alone_and_the_others_are_a_polynomial() -> None:
    kernel, points = np.array([2.0, -3.0, 5.0]), (NEAR, -NEAR, FAR, -FAR)
    values = STRIDE_2.filter_transform @ kernel
    np.testing.assert_array_equal(values[:4], -3.0)
    np.testing.assert_allclose(values[4:-1], [(2 + 5 * p) / others(p, points) for p in points])
    assert values[-1] == 5.0


def others(p: float, points: Sequence[float]) -> float:
    """Return the product of the distances to the other points."""
    return float(np.prod([p - q for q in points if q != p]))


def block(n_in: int = 8, n_out: int = 16, seed: int = 4) -> ConvBlock:
    with drawn(seed):
        made = ConvBlock(n_in, n_out)
        nn.init.normal_(made.norm.weight)
        nn.init.normal_(made.norm.bias)
        return made


class Joined(nn.Module):
    """Two blocks, concatenated with the input, read by a third: what a U-Net does with a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.last = block(8, 16), block(8, 8, 5), block(32, 24, 6)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(torch.cat([self.one(x), x, self.other(x)], dim=1))
        return result


def test_norm_activation_and_concatenation_agree_with_torch() -> None:
    x = numbers(2, 8, 5, 10, 14)
    assert_agrees(Joined(), run(Joined(), x), x)


def test_what_torch_does_between_layers_sees_a_tensor() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.last = block(), block(16, 8, 7)

        def forward(self, x: Tensor) -> Tensor:
            h = self.block(x)
            h = F.avg_pool3d(h, 2) + 2 * F.gelu(h)[:, :, ::2, ::2, ::2]
            result: Tensor = self.last(h * h.mean(dim=(2, 3, 4), keepdim=True)).abs()
            return result

    x = numbers(1, 8, 4, 6, 8)
    assert_agrees(Mixed(), run(Mixed(), x), x)


@pytest.mark.parametrize("channels", [5, 16])
def test_channels_that_are_no_whole_vectors_are_normalised_too(channels: int) -> None:
    x = numbers(1, 8, 4, 6, 8)
    assert_agrees(block(8, channels), run(block(8, channels), x), x)


def test_a_part_reads_what_another_part_left_undone() -> None:
    first, second, x = block(), block(16, 8, 9), numbers(1, 8, 4, 6, 8)
    with torch.inference_mode():
        between = PartReplacement(replaced(first, BufferPool()))(x)
        assert isinstance(between, DeferredTensor)
        after = PartReplacement(replaced(second, BufferPool()))(between)
        assert (between + 0).is_contiguous()
    assert_agrees(nn.Sequential(first, second), after + 0, x)


def test_logits_come_plane_after_plane() -> None:
    logits = run(nn.Conv3d(8, 3, 1), numbers(1, 8, 4, 6, 8))
    assert isinstance(logits, Tensor)
    assert logits.is_contiguous()


with drawn():
    ALL_KINDS = [Joined(), nn.Conv3d(8, 3, 3, 2, 1), nn.ConvTranspose3d(8, 16, 2, 2)]


@pytest.mark.parametrize("module", ALL_KINDS)
def test_the_answer_depends_neither_on_threads_nor_on_the_batch(module: nn.Module) -> None:
    x, answers = numbers(3, 8, 9, 40, 34), []
    threads = torch.get_num_threads()
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            answers.append(run(module, x))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*answers)
    assert torch.equal(torch.cat([run(module, x[b : b + 1]) for b in range(3)]), answers[0])


def test_a_room_is_given_again_once_nobody_reads_it() -> None:
    buffers = BufferPool()
    first = buffers.acquire((2, 3))
    tensor = torch.from_numpy(first)
    place = first.ctypes.data
    del first
    assert buffers.acquire((2, 3)).ctypes.data != place  # the tensor still reads it
    del tensor
    assert place in {buffer.ctypes.data for buffer in [buffers.acquire((3, 2)), buffers.acquire((6,))]}


def test_an_answer_outlives_the_next_call() -> None:
    x, module = numbers(1, 8, 4, 6, 8), PartReplacement(replaced(block(), BufferPool()))
    with torch.inference_mode():
        first = module(x)
        before = (first + 0).clone()
        for seed in range(3):
            module(numbers(1, 8, 4, 6, 8, seed=seed))
    assert torch.equal(first + 0, before)


def test_the_network_keeps_its_own_modules() -> None:
    network = Joined()
    before = [type(m) for m in network.modules()]
    replaced(network, BufferPool())
    assert [type(m) for m in network.modules()] == before


def test_slices_of_a_kernel_that_are_zero_are_not_computed() -> None:
    conv = nn.Conv3d(16, 16, 3, padding=1)
    with torch.no_grad():
        conv.weight[:, :, [0, 2]] = 0
    layer = layer_for(conv, BufferPool())
    assert isinstance(layer, WinogradLayer)
    assert len(layer.weights) == 1
    x = numbers(1, 16, 3, 9, 9)
    assert_agrees(conv, run(nn.Sequential(conv), x), x)


def chosen(
    network: nn.Module,
    monkeypatch: pytest.MonkeyPatch,
    *,
    bfloat16: bool,
    precision: str = "auto",
    calls: int = auto_runtime.LEAST_CALLS,
) -> str:
    monkeypatch.setattr("voxtrace.runtime.torch.cpu_has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr("voxtrace.runtime.processor.processor_kind", lambda: "other")
    monkeypatch.setattr(auto_runtime, "has_openvino", lambda: True)
    return auto_runtime.choose_runtime(network, "cpu", precision, calls)[0]


def test_auto_takes_it_for_float32_and_kernels_of_three_taps(monkeypatch: pytest.MonkeyPatch) -> None:
    taps = nn.Sequential(block(), block(16, 16))
    assert chosen(taps, monkeypatch, bfloat16=False) == "winograd"
    assert chosen(taps, monkeypatch, bfloat16=True) == "openvino"
    assert chosen(taps, monkeypatch, bfloat16=True, precision="float32") == "winograd"


def test_auto_takes_it_for_shorter_runs_than_what_is_compiled_for_each_network(monkeypatch: pytest.MonkeyPatch) -> None:
    taps = nn.Sequential(block(), block(16, 16))
    for calls, taken in ((auto_runtime.LEAST_WINOGRAD - 1, "torch"), (auto_runtime.LEAST_WINOGRAD, "winograd")):
        assert chosen(taps, monkeypatch, bfloat16=False, calls=calls) == taken
    assert chosen(taps, monkeypatch, bfloat16=True, calls=auto_runtime.LEAST_WINOGRAD) == "torch"
    assert chosen(nn.Sequential(nn.Conv2d(8, 8, 3)), monkeypatch, bfloat16=False) == "openvino"
    assert chosen(nn.Sequential(block(), nn.GELU()), monkeypatch, bfloat16=False) == "openvino"


@pytest.mark.parametrize("asked", [{"device": "cuda"}, {"precision": "bfloat16"}])
def test_another_device_or_precision_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="float32 on the CPU"):
        open_runtime(nn.Sequential(block()), runtime="winograd", **asked)


def test_it_says_how_many_convolutions_it_is_for() -> None:
    opened = open_runtime(nn.Sequential(block(), nn.Conv3d(16, 2, 1)), runtime="winograd")
    assert (opened.runtime, opened.precision, opened.device) == ("winograd", "float32", "cpu")
    assert "1 of 2 convolutions" in opened.reason
    x: Sequence[Tensor] = [numbers(1, 8, 2, 4, 4)]
    assert opened.parts["1"](opened.parts["0"](*x)).shape == (1, 2, 2, 4, 4)
