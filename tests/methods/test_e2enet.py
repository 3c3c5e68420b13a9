"""E2ENet as published: its sizes and costs, its fusion triangle, and connections that prune and regrow."""

from __future__ import annotations

import json
import runpy
from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from cases import ball, drain, small_plan
from chance import drawn
from tolerance import rounding
from voxtrace.bundle import load
from voxtrace.errors import MethodError, PlanError
from voxtrace.method import Batch, Figure, Phase, Step, TrainState
from voxtrace.methods import method, recorded
from voxtrace.methods.e2enet import E2ENet, f_decay, level_widths, prune_and_grow
from voxtrace.methods.published.e2enet import performance_trade_off
from voxtrace.nn.flops import flops, parameters
from voxtrace.nn.losses import dice_and_cross_entropy
from voxtrace.nn.masked import MaskedConv3d
from voxtrace.nn.sparse_fusion import E2ENetNetwork, ShiftedBlock
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.training import train
from voxtrace.training.events import EVENTS, read_events
from voxtrace.windows import Window

pytestmark = pytest.mark.numeric


PLAN = E2ENet().adapt(Plan.example(labels=3, window=(16, 16, 16), base_width=4))
AMOS = Plan.example(channels=1, labels=16, window=(128, 128, 128))


def _shapes(plan: Plan = AMOS, **options: Any) -> E2ENetNetwork:
    """A network as shapes without memory."""
    m = E2ENet(**options)
    with torch.device("meta"):
        return cast(E2ENetNetwork, m.build(m.adapt(plan)))


@drawn()
def _built(**options: Any) -> E2ENetNetwork:
    return cast(E2ENetNetwork, E2ENet(**options).build(PLAN).eval())


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _batch() -> Batch:
    images = torch.randn(2, 1, 16, 16, 16, generator=_rng(1))
    return Batch(images, (images[:, 0] > 0.5).long() + (images[:, 0] > 1.5).long())


def _steps(m: E2ENet, network: E2ENetNetwork, images: Tensor) -> list[Step]:
    noise = GridNoise(0, [Window(0, 0, 0)] * len(images), PLAN.window, (), "cpu")
    with torch.no_grad():
        return list(m.infer(cast(Any, dict(network.named_children())), images, noise))


# Sizes and costs


@pytest.mark.parametrize("figure", E2ENet.figures(), ids=lambda figure: figure.what)
def test_published_figures_are_reproduced_but_for_those_that_say_so(figure: Figure) -> None:
    assert (figure.ours() == pytest.approx(figure.value, abs=figure.tolerance)) == (not figure.differs)


def test_what_does_not_come_out_is_as_far_off_as_specified() -> None:
    ours = {figure.what: figure.ours() for figure in E2ENet.figures() if figure.differs}
    assert list(ours.values()) == pytest.approx([10.402, 52.539, 4524.67, 27.967, 1791.66], abs=5e-3)


def test_the_dense_network_has_the_published_pieces() -> None:
    network = _shapes(sparsity=0.0)
    masked = sum(conv.weight.numel() for conv in network.masked)
    fusion = sum(parameters(stage) for stage in network.stages)
    assert parameters(network) == 23_899_088
    assert parameters(network.encode) == 5_811_984
    assert sum(parameters(head) for head in network.supervised) == 10_496
    assert masked == 18_067_200
    assert fusion - masked == 9_408  # biases and norms


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sparsity": 0.7, "level0_density": 0.2}, 11_229_255),
        ({"sparsity": 0.8}, 9_445_351),
        ({"sparsity": 0.9}, 7_638_615),
        ({"sparsity": 0.0, "cubic": True}, 52_543_280),
        ({"sparsity": 0.7, "cubic": True}, 27_971_163),
    ],
)
def test_sparse_networks_have_the_published_active_parameters(options: dict[str, Any], expected: int) -> None:
    assert parameters(_shapes(**options)) == expected


@pytest.mark.parametrize(
    ("channels", "labels", "sparsity", "expected"),
    [
        (4, 4, 0.0, 23_892_512),
        (4, 4, 0.7, 11_245_449),
        (4, 4, 0.8, 9_438_775),
        (4, 4, 0.9, 7_632_039),
        (1, 14, 0.7, 11_250_713),
    ],
)
def test_the_size_on_other_datasets_is_as_published(channels: int, labels: int, sparsity: float, expected: int) -> None:
    plan = Plan.example(channels=channels, labels=labels, window=(128, 128, 128))
    assert parameters(_shapes(plan, sparsity=sparsity)) == expected


@pytest.mark.parametrize(
    ("options", "gflop"),
    [
        ({"sparsity": 0.0}, 2024.713),
        ({"sparsity": 0.7, "level0_density": 0.2}, 655.392),
        ({"sparsity": 0.8}, 569.114),
        ({"sparsity": 0.9}, 387.092),
    ],
)
def test_the_true_cost_is_that_of_torchs_counter(options: dict[str, float], gflop: float) -> None:
    assert flops(_shapes(**options), (1, 128, 128, 128), "true") == pytest.approx(gflop, abs=1e-3)


# (Cin, Cout, depth of the kernel) -> how many such tensors, kernels that are on at density .3, .2, .1
TENSORS = {
    (96, 48, 1): (5, 1382, 922, 461),  # level 0, fusion
    (96, 48, 2): (5, 1382, 922, 461),  # level 0, up
    (48, 48, 1): (1, 691, 461, 230),  # level 0, second convolution of the last node
    (240, 96, 1): (4, 6912, 4608, 2304),
    (192, 96, 2): (4, 5530, 3686, 1843),
    (96, 96, 1): (1, 2765, 1843, 922),
    (480, 192, 1): (3, 27648, 18432, 9216),
    (320, 192, 2): (3, 18432, 12288, 6144),
    (192, 192, 1): (1, 11059, 7373, 3686),
    (832, 320, 1): (2, 79872, 53248, 26624),
    (320, 320, 2): (3, 30720, 20480, 10240),  # levels 3 and 4
    (320, 320, 1): (2, 30720, 20480, 10240),
    (960, 320, 1): (1, 92160, 61440, 30720),
}


def _counts(network: E2ENetNetwork) -> Counter[tuple[int, int, int, int]]:
    convs = [cast(MaskedConv3d, conv) for conv in network.masked]
    return Counter((c.in_channels, c.out_channels, c.kernel_size[0], c.active_kernels) for c in convs)


@pytest.mark.parametrize(("sparsity", "total"), [(0.7, 621_847), (0.8, 414_569), (0.9, 207_284)])
def test_every_masked_tensor_has_its_share_of_kernels_on(sparsity: float, total: int) -> None:
    network = _shapes(sparsity=sparsity)
    column = round(sparsity * 10) - 6
    assert _counts(network) == {(*kind, row[column]): row[0] for kind, row in TENSORS.items()}
    assert sum(conv.active_kernels for conv in network.masked) == total
    assert len(network.masked) == 35
    assert sum(conv.mask.numel() for conv in network.masked) == 2_072_832


def test_the_finest_fusion_may_have_a_density_of_its_own() -> None:
    """Published for S = 0.7: fusion 922 instead of 1382, its second convolution 461 instead of 691; up as before."""
    counts = _counts(_shapes(sparsity=0.7, level0_density=0.2))
    assert counts[96, 48, 1, 922] == 5
    assert counts[48, 48, 1, 461] == 1
    assert counts[96, 48, 2, 1382] == 5
    assert counts[240, 96, 1, 6912] == 4


@pytest.mark.parametrize(
    ("dice", "million", "gflop", "score", "printed"),
    [
        (90.0, 30.76, 1067.89, 1.302, 1.30),
        (90.0, 9.44, 778.74, 1.650, 1.65),
        (89.6, 7.64, 492.29, 1.887, 1.88),
        (89.9, 7.64, 492.29, 1.891, 1.89),
    ],
)
def test_the_trade_off_score_is_as_published(
    dice: float, million: float, gflop: float, score: float, printed: float
) -> None:
    """Against the best Dice 90.5, the fewest parameters 7.64 M and the least cost 391.03 G; some are cut off."""
    ours = performance_trade_off(dice, 90.5, million, 7.64, gflop, 391.03)
    assert ours == pytest.approx(score, abs=0.002)
    assert ours == pytest.approx(printed, abs=0.01)


def test_a_bundle_of_ones_own_has_a_trade_off_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _tuned(E2ENet(), tmp_path / "b", validate=[ball(2)])
    command = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "trade_off.py"))["main"]
    command([str(tmp_path / "b"), "--best-dice", "80", "--least-size", "0.01", "--least-cost", "0.02"])
    bundle = load(tmp_path / "b")
    dice = bundle.card["metrics"]["validation"]["dice"]["mean"]
    size, cost = parameters(bundle.network) / 1e6, flops(bundle.network, (1, 16, 16, 16), "e2e")
    expected = 100 * dice / 80 + 0.5 * (0.01 / size + 0.02 / cost)
    assert f"PT score {expected:.3f}" in capsys.readouterr().out


def test_a_bundle_without_held_back_cases_has_none(tmp_path: Path) -> None:
    _tuned(E2ENet(), tmp_path / "b")
    command = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "trade_off.py"))["main"]
    with pytest.raises(SystemExit, match="no Dice of held-back cases in its card; train it with --fold"):
        command([str(tmp_path / "b")])


def test_a_trade_off_with_nothing_to_compare_is_refused() -> None:
    with pytest.raises(MethodError, match="cost 0"):
        performance_trade_off(90.0, 90.5, 9.44, 7.64, 0, 391.03)


# Architecture


def test_a_window_of_128_voxels_gives_the_published_six_levels() -> None:
    topology = E2ENet().adapt(AMOS).topology
    assert topology.widths == (48, 96, 192, 320, 320, 320)
    assert topology.strides == ((1, 1, 1),) + ((2, 2, 2),) * 5


def test_the_wider_published_network_is_320_wide_at_most() -> None:
    assert level_widths(58, 6) == (58, 116, 232, 320, 320, 320)


@pytest.mark.parametrize(("weights", "n"), [("paper", 3), ("code", 4)])
def test_steps_are_the_heads_that_learn_from_coarse_to_fine_at_the_windows_size(weights: Any, n: int) -> None:
    network, images = _built(), _batch().images
    steps = _steps(E2ENet(heads=weights), network, images)
    with torch.no_grad():
        heads = network(images)
    assert [head.shape[2] for head in heads] == [16, 8, 4, 4]
    assert len(steps) == E2ENet(heads=weights).steps == n
    for step, head in zip(steps, reversed(heads[:n]), strict=True):
        assert torch.equal(step.logits, F.interpolate(head, (16, 16, 16), mode="trilinear"))
    assert torch.equal(steps[-1].logits, heads[0])


def test_facts_are_the_shares_of_active_kernels_by_source() -> None:
    """In the last node of level 1 only 3 kernels from the same level are on, 2 from the coarser, 1 from the finer."""
    network = _built()
    node = network.nodes[1, 3]
    mask = cast(MaskedConv3d, node.fuse[0].conv).mask  # (Cout, Cin), Cin = 12 same, 12 coarser, 6 finer
    assert node.widths == (12, 12, 6)
    mask.fill_(False)
    mask[0, [0, 5, 11, 12, 23, 24]] = True
    network.count_sources()
    facts = _steps(E2ENet(), network, _batch().images)[-2].facts
    assert {name: values.tolist() for name, values in facts.items()} == {
        "forward_share": pytest.approx([1 / 2] * 2),
        "upward_share": pytest.approx([1 / 3] * 2),
        "downward_share": pytest.approx([1 / 6] * 2),
    }


def test_the_finest_level_has_nothing_above_it() -> None:
    assert not _steps(E2ENet(), _built(), _batch().images)[-1].facts["downward_share"].any()


def test_another_number_of_heads_is_refused() -> None:
    with pytest.raises(MethodError, match="decides in 3 head, not 2"):
        E2ENet().with_steps(2)


# Plans


def test_adapting_twice_changes_nothing() -> None:
    for m in (E2ENet(), E2ENet(width=10), E2ENet(cubic=True)):
        once = m.adapt(AMOS)
        assert m.adapt(once) == once


@pytest.mark.parametrize(("planned", "width"), [(32, 48), (16, 24), (4, 6)])
def test_the_width_follows_the_planned_unets(planned: int, width: int) -> None:
    assert E2ENet().adapt(Plan.example(base_width=planned)).topology.widths[0] == width


def test_strides_are_the_plans_and_levels_without_room_keep_their_size() -> None:
    plan = E2ENet().adapt(Plan.example(window=(16, 64, 64), spacing_mm=(3.0, 1.0, 1.0)))
    assert plan.topology.strides[:2] == ((1, 1, 1), (1, 2, 2))
    assert PLAN.topology.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (1, 1, 1), (1, 1, 1))


def test_a_plan_of_one_level_is_refused() -> None:
    with pytest.raises(PlanError, match="the plan has 1"):
        E2ENet().adapt(Plan.example(window=(4, 4, 4)))


def test_a_flat_window_is_refused() -> None:
    with pytest.raises(PlanError, match=r"1 slice at the coarsest level.* at least 2 along Z"):
        E2ENet().adapt(Plan.example(window=(1, 64, 64)))


def test_a_window_that_cannot_be_halved_is_refused() -> None:
    plan = Plan.example(window=(64, 64, 64)).model_copy(update={"window": (64, 64, 60)})
    with pytest.raises(PlanError, match="60 voxels along X"):
        E2ENet().adapt(plan)


# Training


def test_heads_weigh_4_2_1_0_in_the_paper_and_8_4_2_1_in_its_code() -> None:
    network, batch, at = _built(), _batch(), TrainState(Phase("train", 10), 0, _rng())
    heads = network(batch.images)
    targets = [
        F.interpolate(batch.labels[:, None].float(), h.shape[2:], mode="nearest-exact")[:, 0].long() for h in heads
    ]
    dice = [float(dice_and_cross_entropy(h, t)["dice"].detach()) for h, t in zip(heads, targets, strict=True)]
    for name, weights in {"paper": (4 / 7, 2 / 7, 1 / 7, 0), "code": (8 / 15, 4 / 15, 2 / 15, 1 / 15)}.items():
        terms = E2ENet(heads=cast(Any, name)).loss(network, batch, at)
        exact = sum(w * d for w, d in zip(weights, dice, strict=True))
        allowed = rounding(torch.float32, products=len(dice))  # of the largest Dice, 1
        assert float(terms["dice"].detach()) == pytest.approx(exact, abs=allowed)


def test_f_decay_falls_as_a_cosine_to_a_floor() -> None:
    rates = {t: f_decay(t, 250_000) for t in (0, 62_500, 125_000, 187_500, 249_600)}
    assert rates == pytest.approx(
        {0: 0.5, 62_500: 0.426923, 125_000: 0.2505, 187_500: 0.074077, 249_600: 0.001003}, abs=1e-6
    )


@pytest.mark.parametrize(("iterations", "interval"), [(250_000, 1200), (125_000, 600), (3_000, 14), (100, 1)])
def test_connections_are_updated_as_often_in_a_run_of_any_length(iterations: int, interval: int) -> None:
    assert E2ENet().update_interval(iterations) == interval


def test_another_interval_between_updates_is_taken() -> None:
    assert [E2ENet(update_every=n).update_interval(250_000) for n in (600, 1800)] == [600, 1800]


def test_options_reach_the_network() -> None:
    """How far channels are shifted, whether one or two are, and which gradients are computed."""
    for options in ({}, {"shift": 2, "strict_shift": True, "gradient": "active"}):
        m, network = E2ENet(**options), _built(**options)
        blocks = [module for module in network.modules() if isinstance(module, ShiftedBlock)]
        assert {(block.distance, block.strict) for block in blocks} == {(m.shift, m.strict_shift)}
        assert {conv.active_gradient for conv in network.masked} == {m.gradient == "active"}


@pytest.mark.parametrize("grow", ["paper", "code"])
def test_only_by_the_released_code_does_a_kernel_return_that_was_just_pruned(grow: Any) -> None:
    network = _built()
    before = [conv.mask.clone() for conv in network.masked]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    E2ENet(grow=grow).after_update(network, optimizer, TrainState(Phase("train", 100), 0, _rng()))
    pairs = zip(network.masked, before, strict=True)
    returned = sum(int((conv.mask & was & (conv.weight.abs().sum((2, 3, 4)) == 0)).sum()) for conv, was in pairs)
    assert (returned > 0) == (grow == "code")


def test_a_full_run_has_208_updates() -> None:
    """After 1200, 2400 … 249,600 iterations; counted without the pruning itself."""
    network = _built()
    optimizer, updates = torch.optim.SGD(network.parameters(), lr=0.1), []
    for t in (1_199, 1_200, 1_201, 2_400, 249_600, 250_000):
        E2ENet().after_update(network, optimizer, TrainState(Phase("train", 250_000), t - 1, _rng()))
        updates.append(int(network.updates))
    assert updates == [0, 1, 1, 2, 3, 3]
    assert 250_000 // E2ENet().update_interval(250_000) == 208


def _ranked() -> MaskedConv3d:
    """Eight kernels, six of them on, with L1 norms 9·(1 … 6) and signs that differ."""
    conv = MaskedConv3d(4, 2, (1, 3, 3), 1.0)
    with torch.no_grad():
        conv.mask.view(-1)[[2, 7]] = False
        for n, kernel in enumerate(conv.mask.view(-1).nonzero()[:, 0].tolist(), 1):
            conv.weight.view(8, -1)[kernel] = n * (-1.0) ** n
    conv.apply_mask()
    return conv


@pytest.mark.parametrize("returns", [False, True])
def test_the_weakest_kernels_are_pruned_and_as_many_are_grown_with_weight_0(returns: bool) -> None:
    """⌈0.2 · 6⌉ = 2: kernels 0 and 1 go; 2 and 7 come, or, by the released code, two of 0, 1, 2, 7, without weight."""
    for seed in range(20):
        conv = _ranked()
        prune_and_grow(conv, 0.2, {}, _rng(seed), returns)
        on = set(conv.mask.view(-1).nonzero()[:, 0].tolist())
        assert {3, 4, 5, 6} < on
        assert len(on) == 6
        assert returns or on == {2, 3, 4, 5, 6, 7}
        assert set(conv.weight.abs().sum((2, 3, 4)).flatten().nonzero()[:, 0].tolist()) == {3, 4, 5, 6}


@pytest.mark.parametrize(("returns", "choices"), [(False, (2, 7)), (True, (0, 2, 7))])
def test_growth_is_uniform_over_what_was_off(returns: bool, choices: tuple[int, ...]) -> None:
    """Kernel 0 is pruned; by the released code it may return."""
    grown: Counter[int] = Counter()
    for seed in range(1200):
        conv = _ranked()
        prune_and_grow(conv, 0.1, {}, _rng(seed), returns)
        grown.update({0, 2, 7} & set(conv.mask.view(-1).nonzero()[:, 0].tolist()))
    expected = 1200 / len(choices)
    assert set(grown) == set(choices)
    assert sum(grown.values()) == 1200
    assert all(abs(n - expected) < 85 for n in grown.values())  # at least 4.6 standard deviations


def test_no_more_is_exchanged_than_was_off_before() -> None:
    """Three of six would go, and two are off."""
    conv = _ranked()
    prune_and_grow(conv, 0.5, {}, _rng())
    assert set(conv.mask.view(-1).nonzero()[:, 0].tolist()) == {2, 3, 4, 5, 6, 7}


def test_a_grown_kernel_has_no_momentum_even_where_it_was_pruned_just_now() -> None:
    back: set[int] = set()
    for seed in range(20):
        conv = _ranked()
        state = {conv.weight: {"momentum_buffer": torch.ones_like(conv.weight)}}
        conv.apply_mask(state)
        prune_and_grow(conv, 0.5, state, _rng(seed), returns=True)  # 0, 1 and 3 go
        momentum = state[conv.weight]["momentum_buffer"].abs().sum((2, 3, 4)).flatten()
        assert momentum.nonzero()[:, 0].tolist() == [4, 5, 6]
        back |= {0, 1, 3} & set(conv.mask.view(-1).nonzero()[:, 0].tolist())
    assert back == {0, 1, 3}


def test_ties_prune_no_more_than_asked() -> None:
    conv = MaskedConv3d(10, 10, (1, 3, 3), 0.4)
    with torch.no_grad():
        conv.weight.fill_(1.0)
    conv.apply_mask()
    prune_and_grow(conv, 0.25, {}, _rng())
    assert conv.active_kernels == 40
    assert int((conv.weight.abs().sum((2, 3, 4)) > 0).sum()) == 30


@drawn()
def test_ten_rounds_leave_the_published_counts_in_every_tensor() -> None:
    m = E2ENet(sparsity=0.8)
    network = cast(E2ENetNetwork, m.build(m.adapt(AMOS)))
    before, masks = _counts(network), [conv.mask.clone() for conv in network.masked]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    for t in range(10):
        m.after_update(network, optimizer, TrainState(Phase("train", 100), t, _rng(t)))
    assert int(network.updates) == 10
    assert _counts(network) == before
    assert sum(conv.active_kernels for conv in network.masked) == 414_569
    assert not any(torch.equal(conv.mask, old) for conv, old in zip(network.masked, masks, strict=True))


def _trained(m: E2ENet, rounds: int = 10) -> tuple[E2ENetNetwork, torch.optim.Optimizer]:
    network = _built(**{info.name: getattr(m, info.name) for info in m.options()})
    sgd = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.99, nesterov=True, weight_decay=3e-5)
    optimizer: Any = Fabric(accelerator="cpu", devices=1).setup_optimizers(sgd)  # wrapped, as the trainer has it
    for t in range(rounds):
        at = TrainState(Phase("train", 100), t, _rng(t))
        optimizer.zero_grad()
        torch.stack(list(m.loss(network, _batch(), at).values())).sum().backward()
        optimizer.step()
        m.after_update(network, optimizer, at)
    return network, optimizer


def test_training_keeps_counts_and_leaves_no_weight_or_momentum_where_the_mask_is_off() -> None:
    m = E2ENet()
    before = [conv.active_kernels for conv in _built().masked]
    network, optimizer = _trained(m)
    assert [conv.active_kernels for conv in network.masked] == before
    assert int(network.updates) == 10
    for conv in network.masked:
        momentum = optimizer.state[conv.weight]["momentum_buffer"]
        assert not conv.weight[~conv.mask].any()
        assert not momentum[~conv.mask].any()
        assert momentum[conv.mask].any()
    for head, stage in zip(network.supervised, reversed(network.stages), strict=False):
        assert torch.equal(head.sources, cast(Any, stage[-1]).sources())


def test_a_static_network_keeps_the_connections_drawn_at_first() -> None:
    network, _ = _trained(E2ENet(dynamic=False), rounds=3)
    assert int(network.updates) == 0
    for conv, built in zip(network.masked, _built().masked, strict=True):
        assert torch.equal(conv.mask, built.mask)
        assert not conv.weight[~conv.mask].any()


def test_a_dense_network_loses_no_weights_to_updates() -> None:
    network, _ = _trained(E2ENet(sparsity=0.0), rounds=3)
    assert all(conv.mask.all() and conv.weight.all() for conv in network.masked)


def test_the_same_chance_grows_the_same_connections() -> None:
    first, second = (_trained(E2ENet(), rounds=3)[0].state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def _tuned(m: E2ENet, out: Path, **more: Any) -> E2ENetNetwork:
    plan = small_plan(iterations=3)
    return cast(E2ENetNetwork, drain(train(m, plan, [ball(0), ball(1)], out=out, device="cpu", **more)).network)


def test_the_same_seed_trains_the_same_bundle(tmp_path: Path) -> None:
    first, second = (_tuned(E2ENet(), tmp_path / name).state_dict() for name in ("first", "second"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_fine_tuning_takes_connections_over_and_static_keeps_them(tmp_path: Path) -> None:
    first = _tuned(E2ENet(), tmp_path / "first")
    tuned = _tuned(E2ENet(dynamic=False), tmp_path / "tuned", initial=load(tmp_path / "first"))
    assert int(tuned.updates) == int(first.updates) == 2  # the third iteration is the last, nothing would follow
    for conv, start in zip(tuned.masked, first.masked, strict=True):
        assert torch.equal(conv.mask, start.mask)
        assert not torch.equal(conv.weight, start.weight)
        assert not conv.weight[~conv.mask].any()


def test_connections_that_do_not_fit_are_drawn_anew_and_told_as_they_are(tmp_path: Path) -> None:
    _tuned(E2ENet(), tmp_path / "first")
    cubic = _tuned(E2ENet(cubic=True, dynamic=False), tmp_path / "cubic", initial=load(tmp_path / "first"))
    for head, stage in zip(cubic.supervised, reversed(cubic.stages), strict=False):
        assert torch.equal(head.sources, cast(Any, stage[-1]).sources())


@pytest.mark.parametrize("value", ["False", 0])
def test_dynamic_is_a_real_boolean(value: Any) -> None:
    """A word that is true because it is not empty would train a static mask unnoticed."""
    with pytest.raises(MethodError, match="expected true or false"):
        E2ENet(dynamic=value)


def test_the_log_holds_every_update_of_connections_with_its_fraction_and_the_sources_of_each_node(
    tmp_path: Path,
) -> None:
    """What the paper's figures over training are drawn from: iteration, f_decay, and shares by node."""
    network = _tuned(E2ENet(), tmp_path / "b")
    events = list(read_events(tmp_path / "b" / EVENTS))
    updates = [event for event in events if event["event"] == "update"]
    assert [event["method"]["topology_updates"] for event in updates] == [1, 2, 2]
    # 3 iterations, an update after each but the last
    assert [event["method"]["f_decay"] for event in updates] == pytest.approx([f_decay(t, 3) for t in (1, 2, 3)])
    charts = [event for event in events if event["event"] == "charts"]
    assert [event["iteration"] for event in charts] == [1, 2]  # nothing changed after the last
    last, dense = charts[-1]["charts"]
    assert (dense["title"], dense["series"]) == ("active fraction of each source", last["series"])
    assert (last["title"], last["series"]) == ("connections by source", ["forward", "upward", "downward"])
    for node in E2ENet().describe(network)["nodes"]:
        shares = [node[source]["share"] for source in last["series"]]
        assert last["values"][node["level"]][node["stage"] - 1] == pytest.approx(shares, abs=1e-5)
        on = [node[source]["density"] for source in last["series"]]
        assert dense["values"][node["level"]][node["stage"] - 1] == pytest.approx(on, abs=1e-5)


def test_the_network_describes_its_updates_and_whence_features_flow() -> None:
    m = E2ENet()
    network, _ = _trained(m, rounds=2)
    told = json.loads(json.dumps(m.describe(network)))
    assert told["topology_updates"] == 2
    assert told["active_kernels"] == sum(int(conv.mask.sum()) for conv in network.masked)
    assert told["sparsity"] == pytest.approx(0.8, abs=0.002)
    assert [(node["level"], node["stage"]) for node in told["nodes"]] == list(network.nodes)
    for node in told["nodes"]:
        assert sum(node[s]["active_kernels"] for s in ("forward", "upward", "downward")) == node["active_kernels"]
        assert sum(node[s]["share"] for s in ("forward", "upward", "downward")) == pytest.approx(1, abs=1e-5)
    assert told["nodes"][0]["downward"] == {"active_kernels": 0, "share": 0.0, "density": 0.0}


def test_the_chart_has_the_sources_of_each_node_of_the_triangle() -> None:
    network = _built()
    chart, density = E2ENet().charts(network)
    assert chart.series == ("forward", "upward", "downward")
    levels = len(chart.rows)
    assert (chart.rows[0], chart.columns[0], levels) == ("level 0", "stage 1", len(chart.columns))
    for node in E2ENet().describe(network)["nodes"]:
        shares = chart.values[node["level"], node["stage"] - 1]
        assert shares.tolist() == pytest.approx([node[source]["share"] for source in chart.series], abs=1e-5)
        on = density.values[node["level"], node["stage"] - 1]
        assert on.tolist() == pytest.approx([node[source]["density"] for source in chart.series], abs=1e-5)
    there = {(i, j - 1) for i, j in network.nodes}
    known = {(i, j) for i in range(levels) for j in range(levels) if not np.isnan(chart.values[i, j]).any()}
    assert known == there


def test_a_source_of_more_channels_has_a_larger_share_of_connections_drawn_at_random_and_no_larger_density() -> None:
    """Of level 1 with 12 channels and level 0 with 6: shares 2/5, 2/5, 1/5 at first, and a fifth of each is on."""
    share, density = E2ENet().charts(_built())
    assert share.values[1, 0].tolist() == pytest.approx([0.4, 0.4, 0.2], abs=0.15)
    assert density.values[1, 0].tolist() == pytest.approx([0.2, 0.2, 0.2], abs=0.1)
    assert density.values[0, 0, 2] == 0, "nothing is finer than level 0"


def test_a_dense_network_exchanges_nothing_and_says_so() -> None:
    m = E2ENet(sparsity=0.0)
    network, _ = _trained(m, rounds=2)
    assert int(network.updates) == 0
    assert m.training_report(network, TrainState(Phase("train", 100), 2, _rng()))["f_decay"] == 0


@pytest.mark.parametrize(("letter", "axis"), [("y", 1), ("x", 2)])
def test_a_shift_along_another_axis_is_the_depth_shift_of_the_turned_scan(letter: str, axis: int) -> None:
    """The same weights on a scan with two axes exchanged give the answer with these axes exchanged."""
    plan = Plan.example(labels=2, window=(16, 16, 16), base_width=4)
    along_z, along = E2ENet(sparsity=0.5), E2ENet(sparsity=0.5, shift_axis=cast(Any, letter))
    plan = along.adapt(plan)
    straight, turned = along_z.build(plan).eval(), along.build(plan).eval()
    by_name = {name.replace(".block.", "."): name for name in turned.state_dict()}
    straight.load_state_dict({short: turned.state_dict()[name] for short, name in by_name.items()})
    for module in turned.modules():  # transposed kernels and pooling are not turned by the block
        if isinstance(module, nn.ConvTranspose3d):
            module.weight.data = module.weight.data.transpose(2, 2 + axis).contiguous()
    image = torch.randn(1, 1, 16, 16, 16, generator=_rng())
    with torch.no_grad():
        expected = straight(image)[0]
        found = turned(image.transpose(2, 2 + axis))[0].transpose(2, 2 + axis)
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("ignored", [{"shift": 2}, {"shift": 0}, {"shift_axis": "y"}, {"strict_shift": True}])
def test_what_the_ablation_without_a_shift_does_not_read_is_refused(ignored: dict[str, Any]) -> None:
    [(name, value)] = ignored.items()
    told = (
        f"{name}={str(value).lower()} does nothing, as cubic=true does not read it; leave {name} out, or change cubic"
    )
    with pytest.raises(MethodError, match=told):
        method("e2enet", cubic=True, **ignored)
    method("e2enet", **ignored)
    method("e2enet", cubic=True)


def test_another_density_than_the_bundles_is_refused_in_fine_tuning() -> None:
    bundle = method("e2enet", sparsity=0.7)
    bundle.fine_tuned().check_start(bundle)
    method("e2enet", sparsity=0.3).check_start(None)
    with pytest.raises(MethodError, match=r"sparsity is 0\.3, but training goes on with the connections of the bundle"):
        method("e2enet", sparsity=0.3).check_start(bundle)


def test_an_interval_of_updates_is_refused_where_there_are_none() -> None:
    with pytest.raises(MethodError, match="update_every=600 does nothing, as dynamic=false does not read it"):
        method("e2enet", dynamic=False, update_every=600)
    fine_tuned = method("e2enet", update_every=600).fine_tuned()
    assert recorded(fine_tuned.to_json()) == fine_tuned, "its bundle can be loaded"
