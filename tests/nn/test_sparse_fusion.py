"""E2ENet's network: the depth shift, and the triangle of fusion nodes."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chance import chance, drawn
from voxtrace.methods.e2enet import E2ENet
from voxtrace.nn.sparse_fusion import E2ENetNetwork, FusionOptions, ShiftedBlock, depth_shift
from voxtrace.plan import Plan

PLAN = E2ENet().adapt(Plan.example(labels=3, window=(16, 16, 16), base_width=4))
PUBLISHED = E2ENet().adapt(Plan.example(channels=1, labels=16, window=(128, 128, 128)))


def _shapes(**options: Any) -> E2ENetNetwork:
    """The published network as shapes without memory."""
    with torch.device("meta"):
        return E2ENetNetwork(PUBLISHED, FusionOptions(0.2, **options))


@drawn()
def _built() -> E2ENetNetwork:
    """A small dense network."""
    return cast(E2ENetNetwork, E2ENetNetwork(PLAN, FusionOptions(1.0)).eval())


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Depth shift


def _column(*values: float) -> Tensor:
    """One channel, one voxel in-plane."""
    return torch.tensor(values).view(1, 1, -1, 1, 1)


def test_a_third_of_the_channels_moves_up_and_a_third_down_and_0_comes_in() -> None:
    x = _column(1, 2, 3).expand(1, 3, 3, 1, 1)
    shifted = depth_shift(x)[0, :, :, 0, 0]
    assert shifted.tolist() == [[2, 3, 0], [1, 2, 3], [0, 1, 2]]


@pytest.mark.parametrize(("channels", "groups"), [(48, (16, 16, 16)), (320, (107, 107, 106)), (832, (278, 278, 276))])
def test_groups_have_a_third_of_the_channels_rounded_up(channels: int, groups: tuple[int, ...]) -> None:
    first = depth_shift(_column(1, 2, 3).expand(1, channels, 3, 1, 1))[0, :, 0, 0, 0]
    assert Counter(first.tolist()) == dict(zip((2, 1, 0), groups, strict=True))


def test_four_channels_make_two_groups() -> None:
    shifted = depth_shift(_column(1, 2, 3).expand(1, 4, 3, 1, 1))[0, :, :, 0, 0]
    assert shifted.tolist() == [[2, 3, 0]] * 2 + [[1, 2, 3]] * 2


@pytest.mark.parametrize("channels", [1, 2])
def test_one_or_two_channels_stay_unless_strict(channels: int) -> None:
    x = _column(1, 2, 3).expand(1, channels, 3, 1, 1)
    assert torch.equal(depth_shift(x), x)
    assert depth_shift(x, strict=True)[0, 0, :, 0, 0].tolist() == [2, 3, 0]


def test_a_larger_distance_moves_further() -> None:
    x = _column(1, 2, 3, 4).expand(1, 3, 4, 1, 1)
    assert depth_shift(x, 2)[0, :, :, 0, 0].tolist() == [[3, 4, 0, 0], [1, 2, 3, 4], [0, 0, 1, 2]]
    assert depth_shift(x, 0) is x


@drawn()
def test_a_block_sees_the_next_slices_by_shifting_before_it_convolves() -> None:
    x = torch.zeros(1, 3, 5, 5, 5)
    x[:, :, 2] = torch.randn(1, 3, 5, 5, generator=chance())
    touched = {}
    for shift in (0, 1):
        block = ShiftedBlock(nn.Conv3d(3, 4, (1, 3, 3), padding=(0, 1, 1), bias=False), shift)
        touched[shift] = block.conv(depth_shift(x, block.distance)).abs().amax((0, 1, 3, 4)) > 0
        assert torch.equal(block(x), block.act(block.norm(block.conv(depth_shift(x, shift)))))
    assert touched[0].tolist() == [False, False, True, False, False]
    assert touched[1].tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(("options", "distance"), [({}, 1), ({"shift": 2}, 2), ({"cubic": True, "shift": 2}, 0)])
def test_every_block_shifts_as_asked_and_none_of_the_ablation_does(options: dict[str, Any], distance: int) -> None:
    blocks = [module for module in _shapes(**options).modules() if isinstance(module, ShiftedBlock)]
    assert {block.distance for block in blocks} == {distance}
    assert blocks[1].moves(3) == [distance, 0, -distance]


# Architecture


def test_no_kernel_but_the_ablations_reaches_along_depth() -> None:
    def depths(network: E2ENetNetwork) -> set[int]:
        return {m.kernel_size[0] for m in network.modules() if isinstance(m, nn.Conv3d)}

    assert depths(_shapes()) == {1}
    assert depths(_shapes(cubic=True)) == {1, 3}


def test_only_the_last_node_of_each_level_has_two_convolutions() -> None:
    assert {(i, j): len(node.fuse) for (i, j), node in _shapes().nodes.items()} == {
        (i, j): 2 if i + j == 5 else 1 for j in range(1, 6) for i in range(6 - j)
    }


def test_the_convolutions_that_fuse_are_those_of_the_nodes() -> None:
    network = _shapes()
    fusing = {name for name, m in network.named_modules() if getattr(m, "fuses", False)}
    assert fusing == {n for n, m in network.named_modules() if isinstance(m, nn.Conv3d) and ".fuse." in n}
    assert len(fusing) == 20


def test_up_sampling_and_heads_have_no_bias_and_everything_else_has() -> None:
    for name, module in _shapes().named_modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
            assert (module.bias is None) == (name.endswith(".up") or name.startswith("head")), name


def test_a_node_concatenates_the_same_level_then_the_coarser_then_the_finer_one() -> None:
    node = _built().nodes[1, 1]
    seen: list[list[Tensor]] = []
    node.fuse.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    c0, c1, c2 = PLAN.topology.widths[:3]
    maps = [torch.randn(1, c, n, n, n, generator=_rng(c)) for c, n in ((c1, 8), (c2, 4), (c0, 16))]
    with torch.no_grad():
        node(*maps)
        same, coarser, finer = seen[0]
        assert torch.equal(same, maps[0])
        assert torch.equal(coarser, node.up(maps[1]))
        assert torch.equal(finer, F.max_pool3d(maps[2], 2))


def test_the_answer_reads_every_level_through_every_node() -> None:
    network = _built()
    network(torch.randn(2, 1, 16, 16, 16, generator=_rng(1)))[0].sum().backward()
    for node in network.nodes.values():
        assert all(
            conv.weight.grad is not None and conv.weight.grad.any()
            for conv in node.modules()
            if isinstance(conv, nn.Conv3d)
        )
