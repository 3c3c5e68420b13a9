"""Learning over active kernels: the gradients of the plain network, and none for kernels that are off."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from chance import chance, drawn
from tolerance import InFloat64, apart, assert_close_to_float64, distance, rounding, strayed
from voxtrace import Plan, method
from voxtrace.kernels.sparse import elementwise as plain_elementwise
from voxtrace.kernels.sparse.autograd import skip_while_learning
from voxtrace.kernels.sparse.autograd.convolution import convolve, fits_learning
from voxtrace.kernels.sparse.autograd.elementwise import activated, moments, moved, pooled
from voxtrace.kernels.sparse.autograd.task_groups import task_groups
from voxtrace.kernels.sparse.autograd.transposed import convolve_transposed
from voxtrace.method import Batch, TrainState
from voxtrace.nn.masked import MaskedConv3d, MaskedConvTranspose3d

pytestmark = pytest.mark.numeric


sizes = st.tuples(st.integers(1, 4), st.integers(1, 21), st.integers(1, 35))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def gradients(result: Tensor, *inputs: Tensor) -> list[Tensor]:
    """Return gradients of a sum of the result with fixed random weights, each in its input's type."""
    factors = torch.randn(result.shape, generator=chance(1)).to(result.dtype)
    return list(torch.autograd.grad((result * factors).sum(), inputs))


def assert_learns_alike(conv: MaskedConv3d, moves: list[int], maps: list[Tensor]) -> None:
    """Check the result and every gradient against the plain convolution in float64."""
    maps = [m.requires_grad_() for m in maps]
    found, _ = convolve(conv, moves, maps)
    assert conv.bias is not None
    weight, bias = conv.weight.detach().double().requires_grad_(), conv.bias.detach().double().requires_grad_()
    doubles = [m.detach().double().requires_grad_() for m in maps]
    expected = F.conv3d(plain_moved(torch.cat(doubles, 1), moves), weight, bias, padding=conv.padding)  # type: ignore[arg-type]
    taps = weight[0].numel()
    assert distance(found, expected) <= rounding(torch.float32, products=taps)
    ours = gradients(found, conv.weight, conv.bias, *maps)
    exact = gradients(expected, weight, bias, *doubles)
    assert not ours[0][~conv.mask].any()
    exact[0][~conv.mask] = 0
    products = max(taps, found[:, 0].numel(), weight[:, 0].numel())  # summed for an output, a weight, an input
    for a, b in zip(ours, exact, strict=True):
        assert distance(a, b) <= rounding(torch.float32, products=products)


def plain_moved(x: Tensor, moves: list[int]) -> Tensor:
    """Return ``in[z + move]`` of each channel, 0 outside, slice by slice."""
    nothing = torch.zeros_like(x[:, 0, 0])
    rows = [
        torch.stack([x[:, c, z + m] if 0 <= z + m < x.shape[2] else nothing for z in range(x.shape[2])], 1)
        for c, m in enumerate(moves)
    ]
    return torch.stack(rows, 1)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    batch=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)),
    size=sizes,
    density=st.floats(0, 1),
    distance=st.integers(0, 5),
)
def test_a_masked_convolution_learns_as_the_plain_one(
    seed: int, batch: int, channels: tuple[int, int, int], size: tuple[int, int, int], density: float, distance: int
) -> None:
    *widths, n_out = channels
    moves = [(distance, 0, -distance)[c % 3] for c in range(sum(widths))]
    with drawn(seed):
        conv = MaskedConv3d(sum(widths), n_out, (1, 3, 3), density)
    rng = chance(seed)
    assert_learns_alike(conv, moves, [torch.randn(batch, n, *size, generator=rng) for n in widths])


def test_maps_of_many_strips_learn_as_the_plain_ones() -> None:
    """120 + 24 planes of 35 × 100 numbers are more than a strip holds."""
    conv = MaskedConv3d(120, 24, (1, 3, 3), 0.2)
    assert_learns_alike(conv, [c % 3 - 1 for c in range(120)], [torch.randn(2, 120, 2, 35, 100, generator=chance(2))])


@pytest.mark.parametrize("off", ["an output", "an input", "everything"])
def test_channels_without_kernels_learn_nothing(off: str) -> None:
    conv = MaskedConv3d(4, 3, (1, 3, 3), 1.0)
    conv.mask[{"an output": (1,), "an input": (slice(None), 2), "everything": ()}[off]] = False
    conv.apply_mask()
    assert_learns_alike(conv, [0, 1, -1, 0], [torch.randn(1, 4, 3, 5, 9, generator=chance(3))])


def test_a_kernel_just_grown_from_0_has_a_gradient() -> None:
    conv = MaskedConv3d(3, 2, (1, 3, 3), 1.0)
    with torch.no_grad():
        conv.weight[1, 2] = 0
    assert_learns_alike(conv, [0, 0, 0], [torch.randn(1, 3, 2, 6, 7, generator=chance(4))])
    (found,) = gradients(convolve(conv, [0, 0, 0], [torch.randn(1, 3, 2, 6, 7, generator=chance(5))])[0], conv.weight)
    assert found[1, 2].all()


def test_images_that_need_no_gradient_get_none() -> None:
    conv, images = MaskedConv3d(2, 2, (1, 3, 3), 0.5), torch.randn(1, 2, 2, 6, 7, generator=chance(6))
    convolve(conv, [0, 0], [images])[0].sum().backward()
    assert images.grad is None
    assert conv.weight.grad is not None


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    batch=st.integers(1, 2),
    size=sizes,
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 3)),
    density=st.floats(0, 1),
)
def test_a_masked_transposed_convolution_learns_as_the_plain_one(
    seed: int, batch: int, size: tuple[int, int, int], stride: tuple[int, int, int], density: float
) -> None:
    with drawn(seed):
        conv = MaskedConvTranspose3d(5, 4, stride, density)
    x = torch.randn(batch, 5, *size, requires_grad=True, generator=chance(seed))
    weight, double = conv.weight.detach().double().requires_grad_(), x.detach().double().requires_grad_()
    found, expected = convolve_transposed(conv, x), F.conv_transpose3d(double, weight, stride=stride)
    assert distance(found, expected) <= rounding(torch.float32, products=5)
    ours, exact = gradients(found, conv.weight, x), gradients(expected, weight, double)
    assert not ours[0][~conv.mask].any()
    exact[0][~conv.mask] = 0
    for a, b in zip(ours, exact, strict=True):
        assert distance(a, b) <= rounding(torch.float32, products=max(x[:, 0].numel(), weight[0].numel()))


def test_a_large_transposed_map_is_parted_and_learns_alike() -> None:
    """24 outputs of 8 taps on rows of 100 numbers: 7 rows at once of 32."""
    conv = MaskedConvTranspose3d(6, 24, (2, 2, 2), 0.2)
    x = torch.randn(1, 6, 2, 32, 100, requires_grad=True, generator=chance(8))
    conv.active_gradient = True
    ours, theirs = gradients(convolve_transposed(conv, x), conv.weight, x), gradients(conv(x), conv.weight, x)
    with InFloat64():
        wide = conv(x)
    exact = gradients(wide, conv.weight, x)
    for a, b, c, products in zip(ours, theirs, exact, (2 * 32 * 100, 24 * 8), strict=True):
        assert_close_to_float64(a, b, c.double(), torch.float32, products=products)


def test_norm_and_activation_learn_as_torch_s() -> None:
    norm = nn.InstanceNorm3d(3, affine=True)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    x = (5 + 3 * torch.randn(2, 3, 3, 25, 27, generator=chance(9))).requires_grad_()
    found = activated(x, moments(x), norm, 0.01)
    doubles = [v.detach().double().requires_grad_() for v in (x, norm.weight, norm.bias)]
    expected = F.leaky_relu(F.instance_norm(doubles[0], weight=doubles[1], bias=doubles[2], eps=norm.eps), 0.01)
    voxels = x[0, 0].numel()
    assert distance(found, expected) <= rounding(torch.float32, products=voxels)
    ours, exact = gradients(found, x, norm.weight, norm.bias), gradients(expected, *doubles)
    for a, b in zip(ours, exact, strict=True):
        assert distance(a, b) <= rounding(torch.float32, products=2 * voxels)


@pytest.mark.parametrize("stride", [(1, 2, 2), (2, 2, 2), (2, 1, 3), (1, 1, 1)])
def test_pooling_learns_as_torch_s_ties_and_numbers_left_over_included(stride: tuple[int, int, int]) -> None:
    x = torch.randint(0, 3, (2, 3, 5, 7, 11), generator=chance(10)).float()
    x[0, 0, 0, 0, 0] = float("nan")
    x.requires_grad_()
    (ours,) = gradients(pooled(x, stride), x)
    (theirs,) = gradients(F.max_pool3d(x, stride), x)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_moving_gives_gradients_back_to_where_channels_came_from(depth: int) -> None:
    moves = [1, -2, 0, 3]
    x = torch.randn(2, 4, depth, 3, 5, requires_grad=True, generator=chance(11))
    assert torch.equal(moved(x, moves), plain_moved(x, moves))
    assert torch.equal(gradients(moved(x, moves), x)[0], gradients(plain_moved(x, moves), x)[0])


def test_gradients_do_not_depend_on_the_number_of_threads() -> None:
    conv, up = MaskedConv3d(9, 7, (1, 3, 3), 0.4), MaskedConvTranspose3d(9, 7, (1, 2, 2), 0.4)
    x = torch.randn(2, 9, 5, 30, 40, requires_grad=True, generator=chance(12))

    def learnt(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        assert conv.bias is not None
        map_, _ = convolve(conv, [1] * 9, [x])
        return gradients(map_, conv.weight, x) + gradients(convolve_transposed(up, x), up.weight, x)

    for a, b, c in zip(learnt(1), learnt(2), learnt(3), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(b, c)


@pytest.mark.parametrize("tasks", [1, 3, 16, 17, 1000])
def test_every_task_is_in_one_group(tasks: int) -> None:
    bounds = task_groups(tasks)
    assert (bounds[0], bounds[-1]) == (0, tasks)
    assert (np.diff(bounds) > 0).all()


with drawn():
    LEFT_TO_TORCH = [
        nn.Conv3d(2, 2, 3, padding=1),
        nn.Conv3d(2, 2, (1, 3, 3), padding=(0, 1, 1), stride=(1, 2, 2)),
        nn.Conv3d(2, 2, (1, 3, 3), padding=(0, 1, 1), bias=False),
        nn.ConvTranspose3d(2, 2, 2, 2),
    ]


@pytest.mark.parametrize("other", LEFT_TO_TORCH)
def test_other_convolutions_learn_with_torch(other: nn.Module) -> None:
    assert not fits_learning(other)


@drawn()
def fusing(**options: Any) -> tuple[Any, nn.Module]:
    """Return a small network. Norms shift what they give: a channel without kernels is not on the activation's bend."""
    made = method("e2enet", **{"gradient": "active", **options})
    network = made.build(made.adapt(Plan.example(channels=1, labels=3, window=(4, 16, 16), base_width=4)))
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm3d):
            nn.init.normal_(module.bias)
    return made, network


def windows() -> Batch:
    rng = chance(3)
    images = torch.randn(2, 1, 4, 16, 16, generator=rng)
    return Batch(images, torch.randint(0, 3, (2, 4, 16, 16), generator=rng))


def learnt(made: Any, network: nn.Module, batch: Batch, *, skip: bool = True) -> dict[str, Tensor]:
    network.zero_grad()
    learner = skip_while_learning(network, batch.images) if skip else network
    state = TrainState(made.phases(Plan.example())[0], 0, torch.Generator())
    torch.stack(list(made.loss(learner, batch, state).values())).sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("options", [{}, {"sparsity": 0.4, "shift": 0}, {"cubic": True}, {"gradient": "all"}])
def test_a_whole_network_learns_as_the_plain_one_also_after_its_masks_change(options: dict[str, Any]) -> None:
    """Gradients of both are as close to float64 as the roundings of all layers, there and back, allow."""
    made, network = fusing(**options)
    batch, rng = windows(), chance(4)
    convs = [m for m in network.modules() if isinstance(m, (nn.Conv3d, nn.ConvTranspose3d))]
    allowed = rounding(torch.float32, products=2 * sum(c.weight[0].numel() for c in convs), roundings=6 * len(convs))
    for _ in range(2):
        ours, theirs = learnt(made, network, batch), learnt(made, network, batch, skip=False)
        exact = learnt(made, copy.deepcopy(network).double(), Batch(batch.images.double(), batch.labels), skip=False)
        assert ours.keys() == theirs.keys() == exact.keys()
        for name, gradient in exact.items():
            if not name.endswith("conv.bias"):  # the norm takes a bias out again: its gradient is rounding alone
                assert apart(ours[name], gradient) <= allowed, name
                assert apart(theirs[name], gradient) <= allowed, name
        for conv in network.masked:  # type: ignore[union-attr]
            conv.mask.copy_(conv.mask.flatten().roll(1).view_as(conv.mask))
            nn.init.normal_(conv.weight, std=0.1, generator=rng)
            conv.apply_mask()


def test_the_network_itself_stays_as_it_is_and_shares_its_weights() -> None:
    _, network = fusing()
    before = [type(m) for m in network.modules()]
    twin = skip_while_learning(network, windows().images)
    assert twin is not network
    assert [type(m) for m in network.modules()] == before
    assert {id(p) for p in twin.parameters()} == {id(p) for p in network.parameters()}


def test_what_is_not_float32_on_the_cpu_learns_with_the_network_itself() -> None:
    _, network = fusing()
    images = windows().images
    assert skip_while_learning(network, images.bfloat16()) is network
    assert skip_while_learning(network, images.to("meta")) is network
    with torch.autocast("cpu", torch.bfloat16):
        assert skip_while_learning(network, images) is network


def test_without_kernels_that_are_off_the_network_itself_learns() -> None:
    dense = fusing(sparsity=0.0, gradient="all")[1]
    assert skip_while_learning(dense, windows().images) is dense


def test_gradients_are_dense_unless_asked_otherwise() -> None:
    (whole, plain), batch = fusing(gradient="all"), windows()
    learnt(whole, plain, batch)
    gradients = [conv.weight.grad[~conv.mask] for conv in plain.masked]  # type: ignore[union-attr]
    assert all(bool(gradient.any()) for gradient in gradients)


def test_dense_gradients_are_those_of_float64_for_every_kernel() -> None:
    conv, up = MaskedConv3d(5, 4, (1, 3, 3), 0.3), MaskedConvTranspose3d(4, 3, (1, 2, 2), 0.3)
    moves, x = [0, 1, -1, 0, 2], torch.randn(2, 5, 3, 9, 21, generator=chance(5))
    doubles = [p.detach().double().requires_grad_() for p in (conv.weight, conv.bias, up.weight)]
    expected = F.conv3d(plain_moved(x.double(), moves), doubles[0], doubles[1], padding=(0, 1, 1))
    expected = F.conv_transpose3d(expected, doubles[2], stride=(1, 2, 2))
    found, _ = convolve(conv, moves, [x], dense=True)
    found = convolve_transposed(up, found, dense=True)
    ours = gradients(found, conv.weight, conv.bias, up.weight)
    # There 5 · 9 taps; back 3 · 4 taps, then all voxels.
    allowed = rounding(torch.float32, products=strayed(45 + 12 + x[:, 0].numel()), roundings=3)
    for mine, true in zip(ours, gradients(expected, *doubles), strict=True):
        assert apart(mine, true) <= allowed
    assert bool(ours[0][~conv.mask].any())


def test_moments_are_the_inference_engine_s() -> None:
    x = torch.randn(2, 3, 2, 4, 5, generator=chance(14))
    np.testing.assert_array_equal(moments(x).numpy(), plain_elementwise.moments(x))
