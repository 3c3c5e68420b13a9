"""Kernels that are off: skipped, with the answer of the plain network."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from chance import chance, drawn
from tolerance import Counted, InFloat64, assert_close_to_float64, in_float64, rounding
from voxtrace import Plan, method
from voxtrace.kernels.sparse import masked_fraction, skip_masked
from voxtrace.kernels.sparse.direct import DirectConvolution, DirectTransposed, fits_direct, strip_layout
from voxtrace.kernels.sparse.elementwise import moments, moved, normalise, pool_maximum
from voxtrace.kernels.sparse.measured_choice import MeasuredChoices
from voxtrace.kernels.sparse.replace import with_replacements
from voxtrace.nn.masked import MaskedConv3d, MaskedConvTranspose3d
from voxtrace.runtime.torch import open_torch

pytestmark = pytest.mark.numeric


sizes = st.tuples(st.integers(1, 5), st.integers(1, 21), st.integers(1, 35))


@pytest.fixture(autouse=True)
def _two_threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@drawn()
def e2enet(sparsity: float = 0.8, **options: Any) -> nn.Module:
    made = method("e2enet", sparsity=sparsity, **options)
    plan = made.adapt(Plan.example(channels=1, labels=3, window=(8, 32, 48), base_width=4))
    return made.build(plan).eval()


def first_stage(network: nn.Module, images: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        maps: list[Tensor] = network.stage1(*network.encode(images))
    return maps


def assert_alike(one: list[Tensor], other: list[Tensor], images: Tensor) -> None:
    """Check two answers of the first stage against the plain network's in float64."""
    network = e2enet()
    with InFloat64(), Counted(network) as done:
        exact = first_stage(network, images)
    for a, b, c in zip(one, other, exact, strict=True):
        assert_close_to_float64(a, b, c, torch.float32, **done.counts)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    batch=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 9), st.integers(1, 5)),
    size=sizes,
    density=st.floats(0, 1),
    depth=st.sampled_from([1, 3]),
)
def test_the_direct_way_equals_the_masked_convolution(
    seed: int, batch: int, channels: tuple[int, int], size: tuple[int, int, int], density: float, depth: int
) -> None:
    with drawn(seed):
        conv = MaskedConv3d(*channels, (depth, 3, 3), density)
    x = torch.randn(batch, channels[0], *size, generator=chance(seed))
    with torch.inference_mode():
        found, sums = DirectConvolution(conv)([x])
        expected = conv(x)
    exact = in_float64(conv, x)
    assert_close_to_float64(found, expected, exact, torch.float32, products=conv.weight[0].numel())
    voxels, largest = found[0, 0].numel(), exact.abs().max()
    for power, ours in ((1, sums[..., 0]), (2, sums[..., 1])):
        away = (torch.as_tensor(ours).double() - exact.pow(power).sum((2, 3, 4))).abs().max()
        assert away <= voxels * largest**power * rounding(torch.float32, products=conv.weight[0].numel() + voxels)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    batch=st.integers(1, 2),
    size=sizes,
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 3)),
    density=st.floats(0, 1),
)
def test_the_direct_way_equals_the_masked_transposed_convolution(
    seed: int, batch: int, size: tuple[int, int, int], stride: tuple[int, int, int], density: float
) -> None:
    with drawn(seed):
        conv = MaskedConvTranspose3d(5, 4, stride, density)
    x = torch.randn(batch, 5, *size, generator=chance(seed))
    with torch.inference_mode():
        found, expected = DirectTransposed(conv)(x), conv(x)
    assert_close_to_float64(found, expected, in_float64(conv, x), torch.float32, products=5)


def test_an_output_without_kernels_is_its_bias() -> None:
    conv = MaskedConv3d(4, 3, (1, 3, 3), 1.0)
    conv.mask[1] = False
    conv.apply_mask()
    found, _ = DirectConvolution(conv)([torch.randn(1, 4, 2, 5, 6, generator=chance(3))])
    assert (found[:, 1] == conv.bias[1].item()).all()
    conv.mask[:] = False
    conv.apply_mask()
    nothing, _ = DirectConvolution(conv)([torch.randn(1, 4, 2, 5, 6, generator=chance(4))])
    assert all((nothing[:, o] == conv.bias[o].item()).all() for o in range(3))


def test_a_nan_stays_out_where_its_kernel_is_off() -> None:
    conv = MaskedConv3d(2, 2, (1, 3, 3), 1.0)
    conv.mask[0, 1] = False
    conv.apply_mask()
    x = torch.ones(1, 2, 1, 4, 4)
    x[:, 1] = float("nan")
    found, _ = DirectConvolution(conv)([x])
    assert found[:, 0].isfinite().all()
    assert found[:, 1].isnan().all()


def test_channels_move_along_depth_and_maps_concatenate_while_they_are_read() -> None:
    maps = [torch.randn(2, 2, 4, 6, 7, generator=chance(5)), torch.randn(2, 3, 4, 6, 7, generator=chance(6))]
    moves = [1, -2, 0, -1, 9]
    conv = MaskedConv3d(5, 3, (3, 3, 3), 1.0)
    joined = moved(maps, moves)
    assert torch.equal(joined[:, 0, :3], maps[0][:, 0, 1:])
    assert not joined[:, 0, 3].any()
    assert torch.equal(joined[:, 1, 2:], maps[0][:, 1, :2])
    assert not joined[:, 4].any()
    with torch.inference_mode():
        found, expected = DirectConvolution(conv, moves)(maps)[0], conv(joined)
    assert_close_to_float64(found, expected, in_float64(conv, joined), torch.float32, products=conv.weight[0].numel())


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 9, 10])
@pytest.mark.parametrize("options", [(1, False), (2, False), (1, True), (0, False)])
def test_a_block_s_moves_are_its_depth_shift(channels: int, options: tuple[int, bool]) -> None:
    from voxtrace.nn.sparse_fusion import ShiftedBlock, depth_shift

    block = ShiftedBlock(nn.Conv3d(channels, 1, 1), *options)
    x = torch.randn(1, channels, 5, 2, 2, generator=chance(7))
    assert torch.equal(moved([x], block.moves(channels)), depth_shift(x, block.distance, block.strict))


def test_norm_and_activation_are_torch_s() -> None:
    norm = nn.InstanceNorm3d(3, affine=True)
    with torch.inference_mode():
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
        x = 5 + 3 * torch.randn(2, 3, 3, 5, 7, generator=chance(8))
        found, expected = normalise(x.clone(), moments(x), norm, 0.01), nn.functional.leaky_relu(norm(x), 0.01)
    exact = nn.functional.leaky_relu(in_float64(norm, x), 0.01)
    assert_close_to_float64(found, expected, exact, torch.float32, products=x[0, 0].numel())


@pytest.mark.parametrize("stride", [(1, 2, 2), (2, 2, 2), (2, 1, 3)])
def test_pooling_is_torch_s(stride: tuple[int, int, int]) -> None:
    x = torch.randn(2, 3, 5, 6, 9, generator=chance(9))
    x[0, 0, 0, 0, 0] = float("nan")
    expected = nn.functional.max_pool3d(x, stride)
    assert torch.equal(pool_maximum(x, stride).nan_to_num(99), expected.nan_to_num(99))


with drawn():
    LEFT_TO_TORCH = [
        nn.Conv3d(2, 2, 3, padding=1, stride=2),
        nn.Conv3d(2, 2, 3),
        nn.Conv3d(2, 2, 1),
        nn.Conv3d(2, 2, 3, padding=1, groups=2),
        nn.Conv3d(2, 2, 3, padding=1, padding_mode="circular"),
        nn.Conv3d(2, 2, 3, padding="same"),
        nn.Conv3d(2, 2, (2, 3, 3), padding=(1, 1, 1)),
        nn.Conv2d(2, 2, 3, padding=1),
    ]


@pytest.mark.parametrize("other", LEFT_TO_TORCH)
def test_other_convolutions_stay_with_torch(other: nn.Module) -> None:
    assert not fits_direct(other)


def test_strips_are_whole_tiles_and_planes_lie_an_odd_number_of_lines_apart() -> None:
    for slots, height, width in [(1, 1, 1), (96, 128, 128), (960, 8, 8), (240, 64, 63)]:
        rows, row, plane = strip_layout(slots, height, width)
        assert rows % 4 == 0
        assert row >= width + 2
        assert plane >= (rows + 2) * row
        assert plane // 16 % 2 == 1


@pytest.mark.parametrize(
    ("kernels", "options"),
    [("direct", {}), ("direct", {"cubic": True}), ("direct", {"strict_shift": True}), ("dense", {"shift": 0})],
)
def test_a_whole_network_gives_the_plain_one_s_probabilities(kernels: Any, options: dict[str, Any]) -> None:
    network, images = e2enet(**options), torch.randn(1, 1, 8, 32, 48, generator=chance(10))
    with torch.inference_mode():
        ours, theirs = with_replacements(network, kernels)(images), network(images)
    convs = [m for m in network.modules() if isinstance(m, (nn.Conv3d, nn.ConvTranspose3d))]
    products, roundings = sum(c.weight[0].numel() for c in convs), 3 * len(convs)
    for found, expected, exact in zip(ours, theirs, in_float64(network, images), strict=True):
        assert_close_to_float64(found, expected, exact, torch.float32, products=products, roundings=roundings)
        assert (found.argmax(1) == expected.argmax(1)).double().mean() >= 0.9999


def test_an_answer_does_not_depend_on_the_number_of_threads() -> None:
    twin, images = with_replacements(e2enet(), "direct"), torch.randn(1, 1, 8, 32, 48, generator=chance(11))
    two = first_stage(twin, images)
    torch.set_num_threads(1)
    assert_alike(first_stage(twin, images), two, images)


def test_an_answer_does_not_depend_on_the_windows_beside_it() -> None:
    twin, images = with_replacements(e2enet(), "direct"), torch.randn(2, 1, 8, 32, 48, generator=chance(12))
    both, alone = first_stage(twin, images), first_stage(twin, images[1:])
    assert_alike([maps[1:] for maps in both], alone, images[1:])


def test_the_network_itself_stays_as_it_is() -> None:
    network = e2enet()
    before = [type(m) for m in network.modules()], copy.deepcopy(network.state_dict())
    images = torch.randn(1, 1, 8, 32, 48, generator=chance(13))
    with torch.inference_mode():
        with_replacements(network, "direct")(images)
    assert [type(m) for m in network.modules()] == before[0]
    assert all(torch.equal(v, before[1][k]) for k, v in network.state_dict().items())


def test_opening_says_how_many_layers_skip_kernels() -> None:
    opened = open_torch(e2enet(), "cpu", "float32")
    assert "24 of 38 layers skip the kernels that are off where that measured faster" in opened.reason


with drawn():
    PLAIN = [nn.Sequential(nn.Conv3d(1, 2, 3, padding=1)), e2enet(sparsity=0.0)]


@pytest.mark.parametrize("network", PLAIN)
def test_a_network_without_kernels_off_stays_plain(network: nn.Module) -> None:
    found, why = skip_masked(network)
    assert found is network
    assert why == ""


def test_the_share_of_kernels_off_is_counted_over_the_whole_network() -> None:
    layers = nn.Sequential(MaskedConv3d(2, 2, (1, 3, 3), 0.5), nn.Conv3d(2, 2, 3), MaskedConv3d(4, 3, (1, 3, 3), 0.0))
    assert masked_fraction(layers) == pytest.approx((2 + 11) / 16)  # a mask keeps at least one


def test_a_choice_is_measured_once_and_remembered_on_disk(tmp_path: Path) -> None:
    from time import sleep

    runs: list[str] = []

    def way(name: str, time_s: float) -> Any:
        return lambda: (runs.append(name), sleep(time_s))

    file = tmp_path / "folder" / "choices.json"
    first = MeasuredChoices(file)
    assert first.choose("layer", way("direct", 0), way("dense", 0.05)) == "direct"
    assert first.choose("other", way("direct", 0.05), way("dense", 0)) == "dense"
    measured = len(runs)
    again = MeasuredChoices(file)
    assert [first.choose("layer", way("a", 0), way("b", 0)), again.choose("other", way("a", 0), way("b", 0))] == [
        "direct",
        "dense",
    ]
    assert len(runs) == measured


@pytest.mark.parametrize("text", ["", "[]", '{"layer": 3}', "{"])
def test_a_damaged_memory_is_measured_anew(tmp_path: Path, text: str) -> None:
    file = tmp_path / "choices.json"
    file.write_text(text)
    assert MeasuredChoices(file).made == {}


def test_a_second_opening_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxtrace.kernels.sparse import measured_choice, replace

    network, images = e2enet(), torch.randn(1, 1, 8, 32, 48, generator=chance(14))

    def run() -> list[Tensor]:
        choices = MeasuredChoices(tmp_path / "choices.json")  # as a new process reads it
        monkeypatch.setattr(replace, "machine_choices", lambda: choices)
        with torch.inference_mode():
            answer: list[Tensor] = with_replacements(network)(images)
        return answer

    first = run()
    monkeypatch.setattr(measured_choice, "_faster", lambda direct, dense: pytest.fail("measured again"))
    for a, b in zip(run(), first, strict=True):
        assert torch.equal(a, b)
