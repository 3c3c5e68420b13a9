"""RecycleNet as published: same weights as the U-Net, one cycle of gradient, the published counts."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from cases import ball
from chance import drawn
from tolerance import Counted, InFloat64, apart, assert_close_to_float64, learning_error
from voxtrace.bundle import Bundle
from voxtrace.errors import MethodError, PlanError
from voxtrace.inference import predict
from voxtrace.method import Batch, Phase, TrainState, changed_after_training
from voxtrace.methods import method
from voxtrace.methods.recyclenet import RecycleNet, most_cycles
from voxtrace.nn.flops import flops, flops_by_part, parameters
from voxtrace.nn.losses import supervised_loss
from voxtrace.nn.unet import UNetNetwork
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.runtime.arithmetic import ArithmeticCheck
from voxtrace.windows import Window

pytestmark = pytest.mark.numeric


PLAN = Plan.example(labels=3, window=(16, 16, 16), base_width=4)
EXACT: Any = {"device": "cpu", "precision": "float32", "runtime": "torch"}


@pytest.fixture
@drawn()
def network() -> UNetNetwork:
    return cast(UNetNetwork, method("recyclenet").build(PLAN).eval())


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))


def _decisions(m: RecycleNet, network: nn.Module, images: Tensor) -> list[Tensor]:
    noise = GridNoise(0, [Window(0, 0, 0)] * 2, PLAN.window, (), "cpu")
    parts = cast(Any, dict(network.named_children()))
    with torch.no_grad():
        return [step.logits for step in m.infer(parts, images, noise)]


def _state(progress: float, seed: int = 0) -> TrainState:
    return TrainState(Phase("train", 1000), round(progress * 1000), torch.Generator().manual_seed(seed))


def test_it_has_exactly_the_parameters_of_the_unet() -> None:
    plan = Plan.example(labels=14, window=(128, 128, 128))
    with torch.device("meta"):
        recycling, plain = method("recyclenet").build(plan), method("unet").build(plan)
    assert parameters(recycling) == parameters(plain) == 31_205_254


# What nnU-Net's second version plans for 1 channel and 14 labels, in multiply-adds: parameters, GMAC of I, R and O
# with all heads, and of seven cycles, I + 7·R + O.
ISOTROPIC = ((128, 128, 128), (1.0, 1.0, 1.0), 31_205_254, (59.794, 417.303, 1.250), 2982.17)
ANISOTROPIC = ((48, 192, 192), (3.0, 0.76, 0.76), 30_713_158, (16.817, 456.561, 1.317), 3214.06)


@pytest.mark.parametrize(("window", "spacing_mm", "size", "gmac", "seven_cycles"), [ISOTROPIC, ANISOTROPIC])
def test_size_and_cost_of_the_three_parts_are_as_specified(
    window: Any, spacing_mm: Any, size: int, gmac: tuple[float, float, float], seven_cycles: float
) -> None:
    plan = Plan.example(labels=14, window=window, spacing_mm=spacing_mm)
    with torch.device("meta"):
        network = method("recyclenet").build(plan)
    assert parameters(network) == size
    parts = flops_by_part(network, (1, *window))
    project, recycle, decide = ours = [parts[name] / 2 for name in ("project", "recycle", "decide")]
    assert ours == pytest.approx(gmac, abs=5e-4)
    assert project + 7 * recycle + decide == pytest.approx(seven_cycles, abs=5e-3)
    assert flops(network, (1, *window)) / 2 == pytest.approx(sum(ours))


def test_figures_are_as_published() -> None:
    for figure in RecycleNet.figures():
        assert figure.ours() == pytest.approx(figure.value, abs=figure.tolerance), figure.what


def test_one_cycle_is_the_plain_unet_bit_for_bit(network: UNetNetwork, images: Tensor) -> None:
    with torch.no_grad():
        plain = network(images)
    assert torch.equal(_decisions(RecycleNet(cycles=1), network, images)[0], plain)


@pytest.mark.parametrize("norm", ["instance", "layer", "window"])
def test_nothing_recycled_stays_nothing(norm: Any) -> None:
    assert not RecycleNet(norm=norm).normalised(torch.zeros(1, 4, 8, 8, 8)).any()


@pytest.mark.parametrize(("norm", "axes"), [("instance", (2, 3, 4)), ("layer", (1,)), ("window", (1, 2, 3, 4))])
def test_recycled_features_have_unit_scale(norm: Any, axes: tuple[int, ...]) -> None:
    r = 3 + 5 * torch.randn(2, 6, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    normalised = RecycleNet(norm=norm).normalised(r)
    assert normalised.mean(axes).abs().max() < 1e-4
    assert (normalised.var(axes, unbiased=False) - 1).abs().max() < 1e-3


def test_n_cycles_give_n_different_decisions_and_the_first_do_not_depend_on_n(
    network: UNetNetwork, images: Tensor
) -> None:
    seven = _decisions(RecycleNet(cycles=7), network, images)
    three = _decisions(RecycleNet(cycles=3), network, images)
    assert len(seven) == 7
    assert all(torch.equal(a, b) for a, b in zip(three, seven, strict=False))
    assert not torch.equal(seven[0], seven[1])


@pytest.mark.parametrize(("norm", "axes"), [("instance", (2, 3, 4)), ("layer", 1), ("window", (1, 2, 3, 4))])
def test_a_second_cycle_follows_algorithm_1(network: UNetNetwork, images: Tensor, norm: Any, axes: Any) -> None:
    """y_2 = O(R(z + norm(R(z)))), with z = I(x), written out."""

    def written_out() -> Tensor:
        z = network.project(images)
        r = network.recycle(z)
        mean, var = r.mean(axes, keepdim=True), r.var(axes, keepdim=True, unbiased=False)
        answer: Tensor = network.decide(network.recycle(z + (r - mean) / (var + 1e-5).sqrt()))
        return answer

    with torch.no_grad():
        expected = written_out()
        with InFloat64(), Counted(network) as done:
            exact = written_out()
    found = _decisions(RecycleNet(cycles=2, norm=norm), network, images)[1]
    assert_close_to_float64(found, expected, exact, torch.float32, **done.counts)


@pytest.mark.parametrize("cycles", [1, 2, 3, 5])
def test_cycles_before_the_last_keep_no_graph(network: UNetNetwork, images: Tensor, cycles: int) -> None:
    """The body runs N − 1 times without one, so that memory does not grow with N, and once with."""
    with_graph: list[bool] = []
    network.recycle.register_forward_hook(lambda *_: with_graph.append(torch.is_grad_enabled()))
    labels = torch.zeros(2, 16, 16, 16, dtype=torch.int64)
    m = RecycleNet(schedule="increasing", train_cycles=cycles, warm_up=False)
    terms = m.loss(network, Batch(images, labels), _state(0.9))
    assert with_graph[: cycles - 1] == [False] * (cycles - 1)
    assert all(with_graph[cycles - 1 :])
    assert all(term.requires_grad for term in terms.values())


def test_all_of_a_window_is_normalised_at_once_unless_told() -> None:
    """Each channel on its own lifts weak ones until the cycles no longer come to rest."""
    assert RecycleNet().norm == "window"


def _gradients(network: UNetNetwork, terms: dict[str, Tensor]) -> list[Tensor]:
    wanted = list(network.parameters())
    grads = torch.autograd.grad(sum(terms.values()), wanted, allow_unused=True)  # type: ignore[arg-type]
    return [torch.zeros_like(p) if g is None else g for p, g in zip(wanted, grads, strict=True)]


def test_it_learns_from_the_last_cycle_alone(network: UNetNetwork, images: Tensor) -> None:
    """Gradients equal those of a graph through all cycles whose recycled features are detached."""
    m = RecycleNet(schedule="increasing")
    labels = torch.randint(0, 3, (2, 16, 16, 16), generator=torch.Generator().manual_seed(2))
    ours = _gradients(network, m.loss(network, Batch(images, labels), _state(0.9)))
    z = network.project(images)
    r = torch.zeros_like(z)
    for _ in range(2):
        r = network.recycle(z + m.normalised(r)).detach()
    by_hand = _gradients(network, supervised_loss(network.supervised(z + m.normalised(r)), labels))
    assert all(torch.equal(a, b) for a, b in zip(ours, by_hand, strict=True))
    assert any(g.any() for g in ours[:4])  # the projection learns, too


def test_it_learns_the_same_in_bfloat16(network: UNetNetwork, images: Tensor) -> None:
    """Autocast remembers weights it has cast; those cast without a graph must not starve the last cycle."""
    m = RecycleNet(schedule="increasing")
    batch = Batch(images, torch.randint(0, 3, (2, 16, 16, 16), generator=torch.Generator().manual_seed(2)))
    with InFloat64():
        terms = m.loss(network, batch, _state(0.9))
    exact = _gradients(network, terms)
    plain = _gradients(network, m.loss(network, batch, _state(0.9)))
    with torch.autocast("cpu", torch.bfloat16), ArithmeticCheck("bfloat16", backward=True).watching():
        terms = m.loss(network, batch, _state(0.9))
    rounded = _gradients(network, terms)
    for found, dtype in ((plain, torch.float32), (rounded, torch.bfloat16)):
        for (name, parameter), one, other in zip(network.named_parameters(), found, exact, strict=True):
            if parameter.ndim > 1 and other.any():
                assert apart(one, other) <= learning_error(network, dtype, passes=3), name


def test_n_max_rises_after_200_and_400_of_1000_epochs() -> None:
    assert [most_cycles(epoch / 1000) for epoch in (0, 199, 200, 399, 400, 999)] == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("train_cycles", "expected"),
    [(1, [1, 1, 1, 1, 1]), (2, [1, 2, 2, 2, 2]), (5, [1, 2, 3, 4, 5]), (7, [1, 2, 4, 5, 7]), (9, [1, 3, 5, 7, 9])],
)
def test_n_max_rises_with_every_fifth(train_cycles: int, expected: list[int]) -> None:
    assert [most_cycles(progress, train_cycles) for progress in (0, 0.2, 0.4, 0.6, 0.99)] == expected


@pytest.mark.parametrize(("options", "expected"), [({}, [1, 4, 7]), ({"warm_up": False}, [7, 7, 7])])
def test_n_max_is_the_option_and_comes_at_once_without_a_warm_up(options: Any, expected: list[int]) -> None:
    m = RecycleNet(train_cycles=7, schedule="increasing", **options)
    assert [m.draw_cycles(_state(progress)) for progress in (0, 0.5, 0.9)] == expected


def test_less_feedback_is_that_part_of_the_normalised_features() -> None:
    r = torch.randn(2, 4, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(RecycleNet(feedback=0.25).normalised(r), 0.25 * RecycleNet().normalised(r))


def test_a_prediction_may_feed_less_back(network: UNetNetwork, images: Tensor) -> None:
    """With three quarters of norm(r) the second cycle is O(R(z + 0.75·norm(R(z)))), of the same weights."""
    m = cast(RecycleNet, changed_after_training(RecycleNet(cycles=2), feedback=0.75))
    first, second = _decisions(m, network, images)
    with torch.no_grad():
        z = network.project(images)
        by_hand = network.decide(network.recycle(z + 0.75 * RecycleNet().normalised(network.recycle(z))))
    assert torch.equal(second, by_hand)
    plain = _decisions(RecycleNet(cycles=2), network, images)
    assert torch.equal(first, plain[0])
    assert not torch.equal(second, plain[1])


def test_a_trace_says_how_much_was_fed_back(network: UNetNetwork) -> None:
    bundle = Bundle(RecycleNet(cycles=2), PLAN, network, {})
    result = predict(bundle, ball(0).volume, options={"feedback": 0.75}, **EXACT)
    assert result.trace.provenance.options["options"]["feedback"] == 0.75


def test_the_schedule_explains_the_published_mean_epoch() -> None:
    """74 s with one pass, 15 % more with N_max 2, 96 s with 3: the paper states 89.4 s."""
    seconds = (74, 85.1, 96)
    assert sum(seconds[most_cycles(e / 1000) - 1] for e in range(1000)) / 1000 == pytest.approx(89.42)


def test_the_mean_over_cycles_is_that_of_their_probabilities(network: UNetNetwork, images: Tensor) -> None:
    single = torch.stack([logits.softmax(1) for logits in _decisions(RecycleNet(cycles=4), network, images)])
    averaged = _decisions(RecycleNet(cycles=4, average=True), network, images)
    for n, logits in enumerate(averaged, start=1):
        assert torch.allclose(logits.softmax(1), single[:n].mean(0), atol=1e-5)


def test_cycles_are_drawn_uniformly_up_to_n_max() -> None:
    m = RecycleNet()
    drawn = Counter(m.draw_cycles(_state(0.7, seed)) for seed in range(3000))
    assert set(drawn) == {1, 2, 3}
    assert all(abs(n - 1000) < 120 for n in drawn.values())  # 4.6 standard deviations


@pytest.mark.parametrize(("schedule", "expected"), [("static", [2, 2, 2]), ("increasing", [1, 2, 3])])
def test_the_ablation_schedules_draw_nothing(schedule: Any, expected: list[int]) -> None:
    m = RecycleNet(schedule=schedule)
    assert [m.draw_cycles(_state(p)) for p in (0.1, 0.3, 0.5)] == expected


def test_no_cycles_at_all_is_refused() -> None:
    with pytest.raises(MethodError, match="0 cycles; expected 1 to"):
        RecycleNet().with_steps(0)


@pytest.mark.parametrize("name", ["recyclenet", "unet"])
def test_a_window_that_is_never_halved_is_refused(name: str) -> None:
    with pytest.raises(PlanError, match=r"window \(5, 7, 7\) leaves the U-Net 1 stage"):
        method(name).adapt(Plan.example(window=(5, 7, 7)))
