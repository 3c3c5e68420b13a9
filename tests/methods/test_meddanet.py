"""Med-DANet as published: the bank's costs to the third decimal, the choice metric, who runs and who learns."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from chance import drawn
from tolerance import Counted, InFloat64, assert_close_to_float64
from voxtrace.errors import MethodError, PlanError
from voxtrace.method import Batch, Figure, TrainState, changed, changed_after_training
from voxtrace.methods import method
from voxtrace.methods.meddanet import MedDANet
from voxtrace.methods.published.meddanet import CANDIDATES_GMAC, TOTALS_DIVIDED_GMAC
from voxtrace.methods.published.meddanet_recipe import warmed_poly
from voxtrace.nn.choice import BankQuality, bank_report
from voxtrace.nn.flops import flops
from voxtrace.nn.losses import dice_loss_over_batch
from voxtrace.nn.model_bank import CANDIDATES, MedDANetNetwork, costs
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.training.curriculum import cases_by_phase
from voxtrace.training.phase_loop import freeze
from voxtrace.training.planning import CPU
from voxtrace.windows import Window, strided, strided_starts

pytestmark = pytest.mark.numeric


M = MedDANet(scale=0.25)
PLAN = M.adapt(Plan.example(channels=2, labels=4, window=(4, 32, 24), base_width=4)).model_copy(
    update={"iterations": 4500}
)
GMAC_128, GMAC_240 = (0.605, 1.067, 2.358, 4.979), (2.126, 3.750, 8.882, 19.878)


@pytest.fixture
@drawn()
def network() -> MedDANetNetwork:
    return cast(MedDANetNetwork, M.build(PLAN).eval())


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 2, 1, 32, 24, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def batch(images: Tensor) -> Batch:
    return Batch(images, torch.randint(0, 4, (6, 1, 32, 24), generator=torch.Generator().manual_seed(2)))


# What it is and what it costs


@pytest.mark.parametrize("figure", MedDANet.figures(), ids=lambda figure: figure.what)
def test_costs_are_the_published_ones(figure: Figure) -> None:
    assert figure.ours() == pytest.approx(figure.value, abs=figure.tolerance)


@pytest.mark.parametrize("side", [128, 240])
def test_costs_come_out_to_a_thousandth_of_the_papers_totals_divided(side: int) -> None:
    """The second network at 240² is printed with two decimals alone, and its total is a multiple of that."""
    divided, ours = TOTALS_DIVIDED_GMAC[side], costs(4, 4, (1, side, side), 1.0, "fvcore-old")[:4]
    assert ours == pytest.approx(divided, abs=0.001 if side == 128 else 0.003)
    assert divided == pytest.approx(CANDIDATES_GMAC[side], abs=0.0051)


def test_the_bank_shrinks_with_the_plan_and_is_published_at_width_32() -> None:
    def scale(base_width: int) -> float:
        return MedDANet().scale_for(MedDANet().adapt(Plan.example(base_width=base_width)))

    assert [scale(width) for width in (32, 16, 4)] == [1.0, 0.5, 0.25]


# Where it looks


def test_windows_start_as_published() -> None:
    assert strided_starts(240, 128, 2 / 3) == (0, 42, 84, 112)


@pytest.mark.parametrize(
    ("length", "window", "overlap", "expected"),
    [
        (10, 4, 0.0, (0, 4, 6)),
        (8, 4, 0.0, (0, 4)),
        (9, 9, 2 / 3, (0,)),
        (5, 9, 2 / 3, (0,)),
        (3, 1, 2 / 3, (0, 1, 2)),
        (12, 6, 2 / 3, (0, 2, 4, 6)),
    ],
)
def test_starts_are_a_stride_apart_and_the_last_touches_the_border(
    length: int, window: int, overlap: float, expected: tuple[int, ...]
) -> None:
    assert strided_starts(length, window, overlap) == expected


def test_a_slice_of_240_has_16_windows_and_rows_hold_16_slices() -> None:
    plan = MedDANet(size=128).adapt(Plan.example(channels=4, labels=4))
    windowing = MedDANet().windowing(plan)
    rows = list(windowing.schedule((20, 240, 240), plan.window, plan.overlap))
    assert [len(row) for row in rows] == [16 * 16, 4 * 16]
    assert windowing.slices == 16
    assert [w.z for w in rows[1]][::16] == [16, 17, 18, 19]
    assert (windowing.blend(plan.window) == 1).all()


def test_rows_of_thick_windows_hold_one_z() -> None:
    rows = list(strided()((8, 4, 6), (4, 4, 4), 0.0))
    assert rows == [[Window(z, 0, 0), Window(z, 0, 2)] for z in (0, 4)]


def test_by_slice_a_window_as_large_as_the_plane_decides_once() -> None:
    m = MedDANet(setting="slice", size=240)
    plan = m.adapt(Plan.example(channels=4, labels=4))
    rows = list(m.windowing(plan).schedule((2, 240, 240), plan.window, plan.overlap))
    assert rows == [[Window(0, 0, 0), Window(1, 0, 0)]]


# What it asks of a plan


def test_a_plan_becomes_one_for_slices_with_as_many_voxels_in_an_update() -> None:
    plan = MedDANet().adapt(Plan.example(window=(40, 56, 48)).model_copy(update={"batch_size": 1}))
    assert (plan.window, plan.batch_size) == ((1, 56, 48), 40)
    assert plan.overlap == pytest.approx(2 / 3)


@pytest.mark.parametrize("options", [{}, {"size": 48}, {"setting": "slice"}, {"scale": 0.5}])
@pytest.mark.parametrize("window", [(16, 16, 16), (1, 64, 32), (4, 12, 20), (128, 128, 128)])
def test_adapting_twice_changes_nothing_more(options: dict[str, Any], window: Any) -> None:
    m = MedDANet(**options)
    once = m.adapt(Plan.example(window=window))
    assert m.adapt(once) == once
    assert once.window[0] == 1
    assert all(n >= 16 and n % 8 == 0 for n in once.window[1:])


def test_a_window_that_cannot_be_halved_is_refused_with_its_number() -> None:
    with pytest.raises(PlanError, match="has 36 voxels along Y, which 8 does not divide"):
        M.adapt(PLAN.model_copy(update={"window": (1, 36, 32)}))


def test_a_thick_window_is_not_built() -> None:
    with pytest.raises(PlanError, match="4 voxels deep"):
        M.build(Plan.example(window=(4, 32, 32)))


@pytest.mark.parametrize("size", [8, 100])
def test_a_size_that_cannot_be_halved_three_times_is_refused(size: int) -> None:
    with pytest.raises(MethodError, match=f"size is {size}"):
        MedDANet(size=size)


def test_a_bank_too_narrow_to_differ_is_refused() -> None:
    with pytest.raises(MethodError, match=r"scale is 0\.1"):
        MedDANet(scale=0.1)


def test_regions_of_brats_need_four_labels() -> None:
    with pytest.raises(MethodError, match="the plan has 3 labels"):
        MedDANet(regions="brats").adapt(Plan.example(labels=3))


# How a candidate is chosen


@pytest.mark.parametrize(
    ("gmac", "expected"),
    [(GMAC_128, (0.496133, 0.242538, 0.145189, 0.116140)), (GMAC_240, (0.315264, 0.257163, 0.220441, 0.207131))],
)
def test_cost_is_the_softmax_of_one_over_gmac(gmac: Any, expected: Any) -> None:
    only_cost = MedDANet(alpha=1.0).worth(torch.zeros(4, 1), torch.tensor(gmac))[:, 0]
    assert only_cost.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("dice", "chosen"),
    [
        ((0.9, 0.9, 0.9, 0.9), 1),
        ((0.9000, 0.9001, 0.9002, 0.9003), 1),
        ((0.9000, 0.9003, 0.90032, 0.90035), 2),
        ((0.9000, 0.9003, 0.9005, 0.9008), 4),
    ],
)
def test_cost_decides_where_dice_hardly_differs(dice: Any, chosen: int) -> None:
    assert 1 + int(MedDANet().worth(torch.tensor(dice)[:, None], torch.tensor(GMAC_128)).argmax()) == chosen


def test_softmax_on_dice_favours_the_cheap() -> None:
    """Softmax flattens a gain of 0.0008 in Dice to 0.0002, less than the cost term's 0.00038."""
    dice = torch.tensor([0.9000, 0.9003, 0.9005, 0.9008])[:, None]
    assert int(MedDANet(softmax_on_dice=True).worth(dice, torch.tensor(GMAC_128)).argmax()) == 0


def test_without_softmax_on_cost_the_term_is_one_over_gmac() -> None:
    worth = MedDANet(alpha=1.0, softmax_on_cost=False).worth(torch.zeros(4, 1), torch.tensor(GMAC_128))
    assert worth[:, 0].tolist() == pytest.approx([1 / f for f in GMAC_128])


class Says(nn.Module):
    """A candidate that answers given label maps (N, 1, Y, X), by the number that the first voxel of an image holds."""

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        self.labels = labels

    def forward(self, images: Tensor) -> Tensor:
        numbers = images.flatten(1)[:, 0].long()
        return 9.0 * nn.functional.one_hot(self.labels[numbers], 4).movedim(-1, 1).float()


def numbered(n: int) -> Tensor:
    """Return n images (n, 2, 1, 32, 24), each full of its own number."""
    return torch.arange(float(n))[:, None, None, None, None].expand(n, 2, 1, 32, 24)


def test_the_wanted_action_skips_empty_slices_and_takes_the_cheapest_of_the_best(network: MedDANetNetwork) -> None:
    truth = torch.zeros(3, 1, 32, 24, dtype=torch.int64)
    truth[1:, :, :4] = 1
    wrong, half = torch.zeros_like(truth), truth.clone()
    half[2] = 0  # right on slice 1, blank on slice 2
    for name, answer in zip(CANDIDATES, (wrong, half, truth, truth), strict=True):
        setattr(network, name, Says(answer))
    images = numbered(3)
    assert M.best_actions(network, Batch(images, truth)).tolist() == [0, 2, 3]
    assert M.best_actions(network, Batch(images[:1], truth[:1])).tolist() == [0]


def test_dice_of_a_slice_is_the_mean_over_labels_and_absent_ones_count_1() -> None:
    """Label 1: 2 of 4 voxels found, 2·2/(2 + 4) = 2/3; labels 2 and 3 are in neither."""
    truth = torch.tensor([[[[1, 1, 1, 1, 0, 0]]]])
    answer = torch.tensor([[[[1, 1, 0, 0, 0, 0]]]])
    dice = MedDANet().slice_dice(Says(answer)(numbered(1)), truth)
    assert dice.tolist() == pytest.approx([(2 / 3 + 1 + 1) / 3])


def test_regions_of_brats_are_whole_tumour_core_and_enhancing() -> None:
    """Whole 4 of 4: 1. Core (1, 3) is voxels 0 to 2, found 0 and 1: 4/5. Enhancing is voxel 2, not found: 0."""
    truth = torch.tensor([[[[1, 1, 3, 2, 0]]]])
    answer = torch.tensor([[[[1, 1, 2, 2, 0]]]])
    dice = MedDANet(regions="brats").slice_dice(Says(answer)(numbered(1)), truth)
    assert dice.tolist() == pytest.approx([(1 + 4 / 5 + 0) / 3])


# What runs


def _infer(m: MedDANet, parts: Any, images: Tensor) -> Any:
    noise = GridNoise(0, [Window(0, 0, 0)] * len(images), PLAN.window, (), "cpu")
    with torch.no_grad():
        (step,) = m.infer(parts, images, noise)
    return step


def _counted(network: MedDANetNetwork, actions: list[int]) -> tuple[dict[str, Callable[..., Tensor]], Counter[str]]:
    """Parts with a decision network that says ``actions``, and how many windows each network was called with."""
    calls: Counter[str] = Counter()

    def wrapped(name: str, part: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(images: Tensor) -> Tensor:
            if name.startswith("expert"):
                calls[f"{name} × {len(images)}"] += 1
            return part(images)

        return call

    parts = {name: wrapped(name, part) for name, part in network.named_children()}
    return parts | {"router": lambda images: torch.eye(5)[actions]}, calls


def test_skipped_windows_call_no_network_and_are_background(network: MedDANetNetwork, images: Tensor) -> None:
    parts, calls = _counted(network, [0] * 6)
    step = _infer(M, parts, images)
    assert not calls
    assert torch.equal(step.logits.softmax(1)[:, 0], torch.ones(6, 1, 32, 24))


def test_each_candidate_runs_once_on_its_windows_alone(network: MedDANetNetwork, images: Tensor) -> None:
    parts, calls = _counted(network, [3, 0, 1, 3, 0, 1])
    step = _infer(M, parts, images)
    assert calls == {"expert1 × 2": 1, "expert3 × 2": 1}
    with torch.no_grad():
        assert torch.equal(step.logits[[2, 5]], network.get_submodule("expert1")(images[[2, 5]]))
        assert torch.equal(step.logits[[0, 3]], network.get_submodule("expert3")(images[[0, 3]]))


def test_cost_is_the_decision_network_and_what_ran(network: MedDANetNetwork, images: Tensor) -> None:
    actions = [0, 1, 2, 3, 4, 0]
    step = _infer(M, _counted(network, actions)[0], images)
    parts = [*(candidate for _, candidate in network.candidates), network.router]
    *candidates, decision = (flops(part, (2, 1, 32, 24)) for part in parts)
    assert step.facts["candidate"].tolist() == actions
    assert step.facts["cost_gflop"].tolist() == pytest.approx([decision + (0, *candidates)[a] for a in actions])
    assert 0 < decision < candidates[0] < candidates[1] < candidates[2] < candidates[3]


def test_the_answer_does_not_depend_on_which_windows_come_together(network: MedDANetNetwork, images: Tensor) -> None:
    parts = dict(network.named_children())
    together = _infer(M, parts, images)
    for i in range(6):
        alone = _infer(M, parts, images[i : i + 1])
        with InFloat64(), Counted(network) as done:
            exact = _infer(M, parts, images[i : i + 1]).logits[0]
        assert_close_to_float64(alone.logits[0], together.logits[i], exact, torch.float32, **done.counts)
        assert alone.facts["candidate"] == together.facts["candidate"][i]


def test_a_forced_candidate_needs_no_decision_network(network: MedDANetNetwork, images: Tensor) -> None:
    parts, calls = _counted(network, [0] * 6)
    del parts["router"]
    step = _infer(cast(MedDANet, changed(M, force="expert2")), parts, images)
    assert calls == {"expert2 × 6": 1}
    assert step.facts["cost_gflop"].tolist() == pytest.approx([flops(network.candidates[1][1], (2, 1, 32, 24))] * 6)


def test_a_candidate_can_be_forced_on_a_trained_bank() -> None:
    assert changed_after_training(M, force="expert4").to_json()["options"]["force"] == "expert4"
    with pytest.raises(MethodError, match="a prediction may change decide, force"):
        changed_after_training(M, alpha=0.5)


# How it learns


def _update(network: MedDANetNetwork, batch: Batch, phase: int, progress: float) -> dict[str, Tensor]:
    """Do one update of a phase with Adam, as the trainer would, and return the loss terms."""
    how = M.phases(PLAN)[phase]
    trained = freeze(network, how.trains)
    terms = M.loss(network, batch, TrainState(how, round(progress * how.iterations), torch.Generator()))
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    torch.optim.Adam(trained, lr=1e-2, weight_decay=1e-5, amsgrad=True).step()
    return terms


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _changed(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    """Names of the children of which a weight or a statistic changed."""
    return {name.split(".")[0] for name, now in network.state_dict().items() if not torch.equal(now, before[name])}


@pytest.mark.parametrize(("progress", "learning"), [(0.0, CANDIDATES), (0.749, CANDIDATES), (0.75, CANDIDATES[2:])])
def test_m1_and_m2_leave_the_bank_after_three_quarters(
    network: MedDANetNetwork, batch: Batch, progress: float, learning: tuple[str, ...]
) -> None:
    before = _state(network)
    terms = _update(network, batch, 0, progress)
    assert tuple(terms) == learning
    assert _changed(network, before) == set(learning)


def test_the_bank_learns_from_the_mean_over_active_networks(network: MedDANetNetwork, batch: Batch) -> None:
    phase = M.phases(PLAN)[0]
    early, late = (M.loss(network, batch, TrainState(phase, i, torch.Generator())) for i in (0, phase.iterations - 1))
    full = dice_loss_over_batch(network.get_submodule("expert4")(batch.images), batch.labels)
    assert float(early["expert4"].detach()) == float(full.detach()) / 4
    assert float(late["expert4"].detach()) == float(full.detach()) / 2


@pytest.mark.parametrize(("counted", "first"), [("foreground", 1), ("all", 0)])
def test_the_bank_learns_the_labels_that_are_asked_for(
    network: MedDANetNetwork, batch: Batch, counted: Any, first: int
) -> None:
    phase = M.phases(PLAN)[0]
    m = MedDANet(scale=0.25, loss_labels=counted)
    found = m.loss(network, batch, TrainState(phase, phase.iterations - 1, torch.Generator()))["expert4"]
    expected = dice_loss_over_batch(network.get_submodule("expert4")(batch.images), batch.labels, first) / 2
    assert float(found.detach()) == float(expected.detach())


def test_every_weight_of_the_bank_learns(network: MedDANetNetwork, batch: Batch) -> None:
    _update(network, batch, 0, 0.0)
    starved = [n for n, p in network.named_parameters() if n.startswith("expert") and p.grad is None]
    assert not starved


@pytest.mark.parametrize("phase", [1, 2])
def test_the_decision_phases_leave_the_bank_bit_identical(network: MedDANetNetwork, batch: Batch, phase: int) -> None:
    before = _state(network)
    _update(network, batch, phase, 0.5)
    assert _changed(network, before) == {"router"}
    assert all(p.grad is None for n, p in network.named_parameters() if not n.startswith("router."))


def test_the_decision_network_learns_from_weighted_cross_entropy(network: MedDANetNetwork) -> None:
    """Equal scores for all five actions cost log 5, however slices are weighted; sure ones cost by the weights."""
    truth = torch.zeros(2, 1, 32, 24, dtype=torch.int64)
    truth[1, :, :4] = 1
    for name in CANDIDATES:
        setattr(network, name, Says(truth))  # all perfect: D* is 0 and 1
    phase = M.phases(PLAN)[-1]

    def loss(scores: Tensor) -> float:
        network.router.forward = lambda images: scores  # type: ignore[method-assign]
        batch = Batch(numbered(2), truth)
        return float(M.loss(network, batch, TrainState(phase, 0, torch.Generator()))["cross_entropy"])

    assert loss(torch.zeros(2, 5)) == pytest.approx(math.log(5))
    sure_to_skip = torch.tensor([10.0, 0, 0, 0, 0]).expand(2, 5)
    rest = math.log(1 + 4 * math.exp(-10))
    assert loss(sure_to_skip) == pytest.approx((0.8 * rest + 1.0 * (10 + rest)) / 1.8, abs=1e-5)


def test_slices_whose_foreground_nobody_annotated_teach_no_decision(network: MedDANetNetwork) -> None:
    ignored = network.skip.n_labels
    truth = torch.zeros(4, 1, 32, 24, dtype=torch.int64)
    truth[1, :, :4] = 1
    truth[2] = ignored  # nobody annotated it
    truth[3, :, :4] = ignored  # nor what matters of this one
    for name in CANDIDATES:
        setattr(network, name, Says(truth * (truth < ignored)))
    scores = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    network.router.forward = lambda images: scores[: len(images)]  # type: ignore[method-assign]

    def loss(chosen: slice) -> Tensor:
        state = TrainState(M.phases(PLAN)[-1], 0, torch.Generator())
        return M.loss(network, Batch(numbered(4)[chosen], truth[chosen]), state)["cross_entropy"]

    assert float(loss(slice(4)).detach()) == pytest.approx(float(loss(slice(2)).detach()))
    loss(slice(4)).backward()
    assert scores.grad is not None
    assert scores.grad.abs().sum(1).bool().tolist() == [True, True, False, False]
    scores.grad = None
    network.router.forward = lambda images: scores[2:]  # type: ignore[method-assign]
    of_unknown = loss(slice(2, 4))
    of_unknown.backward()
    assert float(of_unknown.detach()) == 0
    assert not scores.grad.any()


def test_the_bank_has_400_parts_in_450_of_the_updates() -> None:
    phases = MedDANet(held_out=0.0).phases(PLAN)
    assert [(p.name, p.iterations) for p in phases] == [("bank", 4000), ("router", 500)]
    assert [p.optimiser.kind for p in phases] == ["adam", "adam"]
    assert all((p.optimiser.weight_decay, p.optimiser.amsgrad) == (1e-5, True) for p in phases)
    assert [p.optimiser.schedule(0, 400_000) for p in phases] == pytest.approx([1 / 1000, 1 / 8000])  # an epoch of each
    bank = phases[0].augmentation
    assert (bank.rotation_p, bank.scale_p, bank.intensity, bank.mirror) == (0, 0, "linear", True)
    assert phases[1].optimiser.rate == 1e-2
    assert phases[1].foreground == 0.0
    assert phases[1].augmentation == bank
    assert phases[1].batch_size == 64


def test_a_plan_for_a_cpu_has_a_bank_of_3000_updates_or_more() -> None:
    assert CPU.iterations == 5500
    phases = MedDANet().phases(PLAN.model_copy(update={"iterations": CPU.iterations}))
    assert phases[0].iterations >= 3000


@pytest.mark.parametrize(("updates", "decision"), [(4500, 500), (1000, 300), (160, 48)])
def test_the_decision_network_gets_300_updates_or_three_tenths_of_a_short_run(updates: int, decision: int) -> None:
    """Half of them on all cases, for where there is anything; then on those that the bank has not seen, at a tenth."""
    phases = MedDANet().phases(PLAN.model_copy(update={"iterations": updates}))
    assert [phase.name for phase in phases] == ["bank", "presence", "router"]
    assert [phase.iterations for phase in phases] == [updates - decision, decision // 2, decision // 2]
    assert [phase.optimiser.rate for phase in phases[1:]] == [1e-2, 1e-3]
    (shortest,) = {phase.iterations for phase in MedDANet().phases(PLAN.model_copy(update={"iterations": 2}))}
    assert shortest == 1


def test_the_choice_is_learned_on_cases_that_the_bank_has_not_seen() -> None:
    names = [f"case {number}" for number in range(16)]
    bank, presence, router = cases_by_phase(MedDANet().phases(PLAN), {name: {} for name in names}).values()
    assert (len(bank), len(router)) == (12, 4)
    assert sorted(bank + router) == sorted(presence) == sorted(names)
    everywhere = cases_by_phase(MedDANet(held_out=0.0).phases(PLAN), {name: {} for name in names})
    assert everywhere == {"bank": names, "router": names}
    few = cases_by_phase(MedDANet().phases(PLAN), {name: {} for name in names[:4]})
    assert few == {"bank": names[:4], "presence": names[:4], "router": names[:4]}


def test_windows_of_the_bank_may_turn_and_scale_and_those_of_the_decision_network_do_not() -> None:
    bank, *others = MedDANet(variation="turned").phases(PLAN)
    assert (bank.augmentation.rotation_p, bank.augmentation.flat_rotation_degrees) == (0.2, 30.0)
    assert all(phase.augmentation.rotation_p == 0 and phase.augmentation.intensity == "linear" for phase in others)


def test_strong_variation_is_that_of_the_bank_and_of_the_decision_network() -> None:
    found = {phase.augmentation for phase in MedDANet(variation="strong").phases(PLAN)}
    (strong,) = found
    assert (strong.intensity, strong.elastic_p > 0, strong.rotation_p) == ("full", True, 1)
    assert strong.shift_voxels == (0, 10, 7)  # three tenths of 32×24


def test_the_last_layer_alone_may_learn_to_choose(network: MedDANetNetwork, batch: Batch) -> None:
    """Neither other weights of D nor statistics of its norms move, so that it still knows where anything is."""
    phases = MedDANet(choice_layers="last").phases(PLAN)
    assert [phase.trains for phase in phases[1:]] == ["router.", "router.classify."]
    before = _state(network)
    trained = freeze(network, phases[2].trains)
    M.loss(network, batch, TrainState(phases[2], 0, torch.Generator()))["cross_entropy"].backward()  # type: ignore[no-untyped-call]
    torch.optim.Adam(trained, lr=1e-2).step()
    changed = {name for name, now in network.state_dict().items() if not torch.equal(now, before[name])}
    assert changed == {"router.classify.weight"}


def test_a_last_layer_that_has_no_phase_of_its_own_is_refused() -> None:
    with pytest.raises(MethodError, match="held_out=0 has no phase for it"):
        MedDANet(choice_layers="last", held_out=0.0)


def test_presence_is_to_skip_or_to_take_any_candidate(network: MedDANetNetwork) -> None:
    """Of five equal scores, four fifths are for any candidate; skipping weighs 0.8, the candidates 1.075 on average."""
    truth = torch.zeros(2, 1, 32, 24, dtype=torch.int64)
    truth[1, :, :4] = 1
    network.router.forward = lambda images: torch.zeros(2, 5)  # type: ignore[method-assign]
    state = TrainState(M.phases(PLAN)[1], 0, torch.Generator())
    loss = M.loss(network, Batch(numbered(2), truth), state)["cross_entropy"]
    assert float(loss) == pytest.approx((0.8 * math.log(5) + 1.075 * math.log(5 / 4)) / 1.875)


def test_until_choices_are_learned_the_largest_candidate_is_validated() -> None:
    trained = [M.trained_so_far(TrainState(phase, 0, torch.Generator())) for phase in M.phases(PLAN)]
    assert [m.to_json()["options"]["force"] for m in trained] == ["expert4", "expert4", "router"]


# What held-back slices say


def _examined(
    network: MedDANetNetwork, phase: int, answers: Sequence[Tensor], actions: list[int], method: MedDANet = M
) -> Any:
    """Return what is found when the candidates answer label maps and the decision network says ``actions``."""
    for name, answer in zip(CANDIDATES, answers, strict=True):
        setattr(network, name, Says(answer))
    network.router.forward = lambda images: torch.eye(5)[actions]  # type: ignore[method-assign]
    batch = Batch(numbered(len(actions)), TRUTH)
    return method.examine(network, M.phases(PLAN)[phase], lambda: iter([batch]))


TRUTH = torch.zeros(4, 1, 32, 24, dtype=torch.int64)
TRUTH[1:, :, :8] = 1  # slice 0 shows nothing


def _found(rows: Sequence[int]) -> Tensor:
    """Return label maps that find so many of the 8 rows that label 1 has, on slices 1, 2 and 3."""
    answer = torch.zeros_like(TRUTH)
    for number, n in enumerate(rows, start=1):
        answer[number, :, :n] = 1
    return answer


def test_a_bank_is_worth_choosing_from_where_it_rises_and_fails_together(network: MedDANetNetwork) -> None:
    rising = [_found(rows) for rows in ((2, 4, 6), (3, 5, 7), (4, 6, 8), (5, 7, 8))]
    good = _examined(network, 0, rising, [0, 1, 1, 1])
    assert good["passed"] is True
    assert good["slices"] == 3
    assert good["dice"]["M4"] == pytest.approx((2 + (10 / 13 + 14 / 15 + 1) / 3) / 3, abs=1e-4)  # labels 2, 3 count 1
    assert good["sentence"].startswith("The networks are worth choosing between: on 3 held-back slices")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            ((5, 7, 8), (4, 6, 8), (3, 5, 7), (2, 4, 6)),
            "(not rising within a tolerance of 0.01, ours)",
        ),  # the dearest is the worst
        (((2, 4, 6), (7, 5, 3), (4, 6, 8), (7, 7, 8)), "their errors correlate -0.9"),  # M2 fails where M1 does not
        (((8, 8, 8),) * 4, "their errors correlate nan"),  # none ever fails
        (((0, 0, 1),) * 4, "the best gains 0.07 of what skipping misses (expected 0.5)"),  # all alike, and none of use
    ],
)
def test_a_bank_that_is_not_is_told_with_what_to_do(network: MedDANetNetwork, rows: Any, why: str) -> None:
    found = _examined(network, 0, [_found(each) for each in rows], [0, 1, 1, 1])
    assert found["passed"] is False
    assert why in found["sentence"]
    assert "NOT worth choosing between yet" in found["sentence"]
    assert "Train longer (--iterations)" in found["sentence"]
    assert "--set force=expert1" in found["sentence"]


@pytest.mark.parametrize(
    ("dice", "strictly", "words"),
    [
        ((0.826, 0.827, 0.831, 0.833), True, "0.826, 0.827, 0.831, 0.833 (rising), the best"),
        ((0.831, 0.833, 0.837, 0.835), False, "0.835 (rising only within a tolerance of 0.01, ours), the best"),
    ],
)
def test_a_bank_that_passes_by_the_tolerance_alone_says_so(dice: tuple[float, ...], strictly: bool, words: str) -> None:
    found = bank_report(BankQuality(dice, 0.9, 0.8, 95), ("M1", "M2", "M3", "M4"), 0.01, 0.8)
    assert (found["passed"], found["rises_without_tolerance"]) == (True, strictly)
    assert words in found["sentence"]


def test_skill_is_what_choices_gain_over_the_same_choices_at_random(network: MedDANetNetwork) -> None:
    """M1 finds slices 1 and 2 alone, M2 slice 3 alone; the others nothing. A slice lost costs a third, one label of 3.

    Skip: 1 on slice 0, else 2/3: mean 0.75. M1: 1, 1, 1, 2/3: 11/12. M2: 1, 2/3, 2/3, 1: 5/6. M3, M4: 0.75.
    """
    answers = [_found(rows) for rows in ((8, 8, 0), (0, 0, 8), (0, 0, 0), (0, 0, 0))]
    best = _examined(network, 2, answers, [0, 1, 1, 2])
    by_chance = 0.25 * 0.75 + 0.5 * 11 / 12 + 0.25 * 5 / 6
    assert best["dice"] == 1
    assert best["dice_of_chance"] == pytest.approx(by_chance, abs=1e-4)
    assert best["skill"] == pytest.approx(1 - by_chance, abs=1e-4)
    assert (best["best_constant"], best["dice_of_best_constant"]) == ("M1", pytest.approx(11 / 12, abs=1e-4))
    assert best["dice_of_best_choices"] == 1
    # between networks, slices 1 to 3: at random 2/3 · (1 + 1 + 2/3)/3 + 1/3 · (2/3 + 2/3 + 1)/3
    assert best["skill_between_networks"] == pytest.approx(1 - (2 / 3 * 8 / 9 + 1 / 3 * 7 / 9), abs=1e-4)
    assert best["shares"] == {"skip": 0.25, "M1": 0.5, "M2": 0.25, "M3": 0, "M4": 0}
    assert (best["skip_precision"], best["skip_recall"]) == (1, 1)
    costs = network.cost(torch.arange(6)).tolist()
    assert best["cost_fraction"] == pytest.approx((costs[1] / 2 + costs[2] / 4 + costs[5]) / costs[4], abs=1e-4)


def test_a_constant_choice_has_no_skill_and_says_so(network: MedDANetNetwork) -> None:
    answers = [_found((8, 8, 0))] * 4
    found = _examined(network, 2, answers, [1, 1, 1, 1])
    assert found["skill"] == found["skill_between_networks"] == 0
    assert "Without skill there is nothing to gain" in found["sentence"]


def test_decided_first_whether_then_which_a_slice_runs_where_skipping_has_less_than_half(
    network: MedDANetNetwork,
) -> None:
    """Four candidates that share 0.6 equally are run, though skipping has the most of the five."""
    p = torch.tensor([[0.4, 0.15, 0.15, 0.14, 0.16], [0.6, 0.4, 0.0, 0.0, 0.0], [0.1, 0.2, 0.4, 0.2, 0.1]])
    network.router.forward = lambda images: p.log()  # type: ignore[method-assign]
    parts = dict(network.named_children())
    assert MedDANet().choose(parts, numbered(3)).tolist() == [0, 0, 2]
    assert MedDANet(decide="skip_first").choose(parts, numbered(3)).tolist() == [4, 0, 2]
    assert MedDANet(decide="skip_first", force="expert3").choose(parts, numbered(3)).tolist() == [3, 3, 3]


def test_a_slice_is_skipped_above_the_probability_that_is_asked_for(network: MedDANetNetwork) -> None:
    p = torch.tensor([[0.4, 0.6, 0.0, 0.0, 0.0], [0.6, 0.1, 0.3, 0.0, 0.0], [0.98, 0.0, 0.0, 0.02, 0.0]])
    network.router.forward = lambda images: p.log()  # type: ignore[method-assign]
    parts = dict(network.named_children())
    for above, actions in ((0.3, [0, 0, 0]), (0.5, [1, 0, 0]), (0.7, [1, 2, 0]), (0.97, [1, 2, 0]), (0.99, [1, 2, 3])):
        assert MedDANet(decide="skip_first", skip_above=above).choose(parts, numbered(3)).tolist() == actions
    with pytest.raises(MethodError, match=r"skip_above=0\.97 does nothing, as decide=at_once does not read it"):
        method("meddanet", skip_above=0.97)


def test_choices_are_examined_at_the_probability_that_is_asked_for(network: MedDANetNetwork) -> None:
    """Skipping has e/(e + 4) = 0.405: above 0.4 all are skipped, and at 0.41 all are run."""
    answers = [_found((8, 8, 8))] * 4
    for above, share in ((0.4, 1.0), (0.41, 0.0)):
        method = MedDANet(decide="skip_first", skip_above=above)
        assert _examined(network, 2, answers, [0, 0, 0, 0], method)["shares"]["skip"] == share


def test_the_other_way_to_decide_is_named_where_it_finds_more(network: MedDANetNetwork) -> None:
    """Scores of 1 to skip and 0 to each candidate skip at once; skipping has e/(e + 4), less than one half."""
    answers = [_found((8, 8, 8))] * 4
    skipped = _examined(network, 2, answers, [0, 0, 0, 0])
    assert (skipped["dice"], skipped["shares"]["skip"]) == (0.75, 1)
    assert skipped["better_way"]["decide"] == "skip_first"
    assert skipped["better_way"]["dice"] == 1
    assert "(`--set decide=skip_first`) it is 1.000" in skipped["sentence"]
    assert "better_way" not in _examined(network, 2, answers, [1, 1, 1, 1])


def test_where_all_is_skipped_nothing_is_known_of_networks_and_json_has_null(network: MedDANetNetwork) -> None:
    found = _examined(network, 2, [_found((8, 8, 8))] * 4, [0, 0, 0, 0])
    assert found["skill"] == 0
    assert found["skill_between_networks"] is None
    assert "all slices with a label are skipped" in found["sentence"]
    json.dumps(found, allow_nan=False)
    json.dumps(_examined(network, 0, [_found((8, 8, 8))] * 4, [0, 0, 0, 0]), allow_nan=False)


def test_without_held_back_slices_the_bank_is_not_judged_and_that_is_told(network: MedDANetNetwork) -> None:
    found = M.examine(network, M.phases(PLAN)[0], lambda: iter([]))
    assert found["passed"] is None
    assert "hold cases back with --fold" in found["sentence"]


def test_the_rate_is_published_at_the_published_length_and_grows_as_the_run_shortens() -> None:
    """A quarter of the updates doubles it; it never exceeds 0.002."""
    rates = [MedDANet().rate_for(n) for n in (1_000_000, 214_400, 53_600, 160)]
    assert rates == pytest.approx([1e-4, 1e-4, 2e-4, 2e-3])
    assert MedDANet(rate=3e-4).rate_for(160) == 3e-4


def test_the_rate_rises_for_an_epoch_and_falls_by_the_power_0_9() -> None:
    shares = [warmed_poly(i, 400_000, 400) for i in (0, 499, 999, 1000, 200_500)]
    assert shares == pytest.approx([0.001, 0.5, 1.0, 1.0, 0.5**0.9])


def test_a_short_run_warms_up_for_a_hundred_updates_or_a_tenth_of_it() -> None:
    assert [warmed_poly(i, 4000, 400) for i in (0, 49, 99, 100)] == pytest.approx([0.01, 0.5, 1.0, 1.0])
    assert [warmed_poly(i, 100, 400) for i in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1.0, 1.0])


def test_the_dice_loss_sums_over_labels_and_over_the_whole_batch() -> None:
    """Label 1 lies in one window only: 2 of its 3 voxels are found and 1 invented, 1 − 4/6. Labels 2, 3: absent, 1."""
    truth = torch.tensor([[[[1, 1, 1, 0]]], [[[0, 0, 0, 0]]]])
    answer = torch.tensor([[[[1, 1, 0, 0]]], [[[1, 0, 0, 0]]]])
    logits = 100.0 * Says(answer)(numbered(2))
    assert float(dice_loss_over_batch(logits, truth)) == pytest.approx(1 - 4 / 6 + 1 + 1, abs=1e-4)
    background = 1 - 2 * float(((truth == 0) & (logits.argmax(1) == 0)).sum()) / float(
        (truth == 0).sum() + (logits.argmax(1) == 0).sum()
    )
    assert float(dice_loss_over_batch(logits, truth, first=0)) == pytest.approx(
        background + 1 - 4 / 6 + 1 + 1, abs=1e-4
    )


def test_what_is_worth_its_cost_is_judged_by_published_costs_unless_told(network: MedDANetNetwork) -> None:
    """At a fraction of the widths 1/F is so large that its softmax is 1, 0, 0, 0."""
    S = torch.zeros(4, 1)
    assert M.candidate_costs(network, S).tolist() == pytest.approx(GMAC_128)
    assert MedDANet(setting="slice").candidate_costs(network, S).tolist() == pytest.approx([2.126, 3.75, 8.882, 19.878])
    own = MedDANet(choice_cost="own").candidate_costs(network, S)
    assert torch.equal(own, network.cost.published(torch.device("cpu")))
    assert (1 / own).softmax(0).tolist() == pytest.approx([1, 0, 0, 0], abs=1e-4)


def test_the_values_of_the_choice_have_names_and_costs(network: MedDANetNetwork) -> None:
    names, costs = M.value_names["candidate"], M.value_costs(PLAN)["candidate"]
    assert names == ("skip", "M1", "M2", "M3", "M4")
    assert list(costs) == pytest.approx(network.cost(torch.arange(5)).tolist())
    assert list(costs) == sorted(costs)
