"""Diffusion as published: its schedule, its recycling, its samplers and its counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from chance import chance, drawn
from tolerance import Counted, InFloat64, apart, assert_close_to_float64, distance, learning_error, rounding, strayed
from voxtrace.errors import MethodError
from voxtrace.method import Batch, Phase, Step, TrainState
from voxtrace.methods import method
from voxtrace.methods.diffusion import (
    Diffusion,
    DiffusionNetwork,
    as_mask,
    peak_rate,
    segmentation_loss,
    warm_cosine,
)
from voxtrace.nn.averages import mean_logits
from voxtrace.nn.flops import flops, parameters
from voxtrace.nn.noise_schedule import NoiseSchedule
from voxtrace.nn.timeunet import TimeUNet, time_embedding
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.runtime.arithmetic import ArithmeticCheck
from voxtrace.windows import Window

pytestmark = pytest.mark.numeric


K, SIZE = 3, (16, 16, 16)
PLAN = Plan.example(labels=K, window=SIZE, base_width=4)
BASE = NoiseSchedule.resampled(5, 1001)
TABLE = {  # float64, five steps kept of 1001 points; entries k = 1 … 5
    "alpha_bar": (9.9990000000e-01, 5.2175013648e-01, 7.7992323188e-02, 3.3189135771e-03, 3.9952024060e-05),
    "beta": (1.0000000000e-04, 4.7819768329e-01, 8.5051786720e-01, 9.5744563771e-01, 9.8796231865e-01),
    "posterior_variance": (0, 9.9989089337e-05, 4.4116775179e-01, 8.8571182911e-01, 9.8472269876e-01),
    "from_mask": (1, 0.9998408976, 0.6663159204, 0.2682772441, 0.0569187959),
    "from_noisy": (0, 1.5104214575e-04, 0.2005464416, 0.1908316316, 0.1093565976),
    "noise_level": (0.01, 0.6915561174, 0.9602123082, 0.9983391640, 0.9999800238),
}
TABLE_1000 = {
    "alpha_bar": (0.9999, 0.5214230306, 0.0785872429, 0.0033505504, 4.0358297654e-05),
    "beta": (1e-4, 0.4785248219, 0.8492831381, 0.9573652120, 0.9879547261),
    "posterior_variance": (0, 9.9989103630e-05, 0.4411132223, 0.8850940719, 0.9846842742),
}


@pytest.fixture
@drawn()
def network() -> DiffusionNetwork:
    return cast(DiffusionNetwork, method("diffusion").build(PLAN))


@pytest.fixture
def batch() -> Batch:
    rng = torch.Generator().manual_seed(2)
    return Batch(torch.randn(2, 1, *SIZE, generator=rng), torch.randint(0, K, (2, *SIZE), generator=rng))


def _state(seed: int = 0) -> TrainState:
    return TrainState(Phase("train", 1000), 0, torch.Generator().manual_seed(seed))


def _noise(seed: int = 0, n: int = 2) -> GridNoise:
    return GridNoise(seed, [Window(0, 0, 0)] * n, SIZE, (), "cpu")


def _steps(m: Diffusion, parts: Any, images: Tensor, noise: Any = None) -> list[Step]:
    with torch.no_grad():
        return list(m.infer(parts, images, noise or _noise()))


def _parts(network: DiffusionNetwork) -> Any:
    return dict(network.eval().named_children())


# The schedule


@pytest.mark.parametrize("name", TABLE)
def test_five_steps_of_1001_points_have_the_constants_of_the_paper(name: str) -> None:
    assert getattr(BASE, name)[1:].tolist() == pytest.approx(TABLE[name], rel=1e-6)


@pytest.mark.parametrize("name", TABLE_1000)
def test_five_steps_of_1000_points_have_the_constants_of_the_paper(name: str) -> None:
    assert getattr(Diffusion(grid="1000").schedule(5), name)[1:].tolist() == pytest.approx(TABLE_1000[name], rel=1e-6)


@pytest.mark.parametrize("steps", [2, 5, 50, 1000])
def test_a_step_back_undoes_a_step_of_noise_on_average(steps: int) -> None:
    """Noised k times and taken back once, a mask has the mean and the variance of one noised k − 1 times."""
    s = NoiseSchedule.resampled(steps, 1001)
    before, here = s.alpha_bar[:-1], s.alpha_bar[1:]
    c0, ct, variance = s.from_mask[1:], s.from_noisy[1:], s.posterior_variance[1:]
    # 1 − ᾱ is divided by, and loses digits where ᾱ is close to 1.
    allowed = rounding(torch.float64, products=2, roundings=6) / float((1 - here).min())
    assert distance(c0 + ct * here.sqrt(), before.sqrt()) <= allowed
    assert distance(ct**2 * (1 - here) + variance, 1 - before) <= allowed


def test_fewer_steps_end_in_as_much_noise() -> None:
    last = [float(NoiseSchedule.resampled(steps, 1001).alpha_bar[-1]) for steps in (1, 2, 5, 1000)]
    assert last == pytest.approx([3.9952024060e-05] * 4)


def test_the_noise_that_made_a_mask_implies_it() -> None:
    rng = chance()
    x_0 = as_mask(torch.randint(0, K, (5, 4, 4, 4), generator=rng), K).double()
    noise, k = torch.randn(x_0.shape, generator=rng, dtype=torch.float64), torch.arange(1, 6)
    amplified = float(noise.abs().max() / BASE.alpha_bar.min().sqrt())
    found = BASE.implied(BASE.noised(x_0, k, noise), k, noise)
    assert distance(found, x_0) <= amplified * rounding(torch.float64, products=2, roundings=3)


def test_a_mask_is_one_at_its_label_and_minus_one_elsewhere() -> None:
    assert as_mask(torch.tensor([[[[0, 2]]]]), 3)[0, :, 0, 0].tolist() == [[1, -1], [-1, -1], [-1, 1]]


# The samplers


def test_a_ddpm_step_is_the_mean_and_deviation_of_the_posterior() -> None:
    """k = 3, x̂_0 = 1, x_3 = 0.5: 0.6663159 + 0.5·0.2005464 = 0.7665891; √0.44116775 = 0.6642046."""
    mean, deviation = BASE.ddpm(torch.tensor(1.0), torch.tensor(0.5), 3)
    assert (float(mean), deviation) == pytest.approx((0.7665891412, 0.6642046))


def test_the_large_variance_is_that_of_the_forward_step() -> None:
    """√0.850517867 = 0.9222353."""
    x = torch.zeros(())
    assert BASE.ddpm(x, x, 3, "large")[1] == pytest.approx(0.9222353)
    assert BASE.ddpm(x, x, 1, "large")[1] == 0


def test_a_ddim_step_keeps_the_noise_it_finds() -> None:
    """k = 3, x̂_0 = 1, x_3 = 0.5: ε̂ = (0.5 − 0.2792711)/0.9602123 = 0.2298751; 0.7223227 + 0.6915561·ε̂ = 0.8812943."""
    mean, deviation = BASE.ddim(torch.tensor(1.0), torch.tensor(0.5), 3)
    assert (float(mean), deviation) == pytest.approx((0.8812943, 0))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_ddim_with_eta_one_is_ddpm(k: int) -> None:
    x_0, x_k = torch.tensor([1.0, -1.0, 0.3]), torch.tensor([0.2, 0.9, -2.0])
    (mean, deviation), (expected, spread) = BASE.ddim(x_0, x_k, k, 1.0), BASE.ddpm(x_0, x_k, k)
    exact, _ = BASE.ddpm(x_0.double(), x_k.double(), k)
    assert_close_to_float64(mean, expected, exact, torch.float32, products=2, roundings=4)
    assert deviation == pytest.approx(spread)


def test_eta_scales_the_deviation() -> None:
    x = torch.zeros(())
    assert BASE.ddim(x, x, 4, 0.5)[1] == pytest.approx(0.5 * 0.88571182911**0.5)


@pytest.mark.parametrize("options", [{}, {"variance": "large"}, {"sampler": "ddim"}, {"sampler": "ddim", "eta": 0.7}])
def test_a_perfect_prediction_leads_from_any_noise_to_the_truth(options: Any, batch: Batch) -> None:
    x_0 = as_mask(batch.labels, K)
    parts = {"blank": lambda images: torch.zeros_like(x_0), "denoise": lambda images, x_t, t: 100 * x_0}
    m = Diffusion(**options)
    last = _steps(m, parts, batch.images)[-1]
    assert torch.equal(2 * last.logits.softmax(1) - 1, x_0)
    for step_back in (BASE.ddpm, BASE.ddim):
        mean, deviation = step_back(x_0, last.extras["noisy"], 1)
        assert torch.equal(mean, x_0)
        assert deviation == 0


def test_a_perfect_prediction_makes_every_mask_on_the_way_less_noisy(batch: Batch) -> None:
    """With DDIM the noise that was there at first is still all there is: x_k = √ᾱ_k·x_0 + √(1−ᾱ_k)·ε."""
    x_0 = as_mask(batch.labels, K)
    parts = {"blank": lambda images: torch.zeros_like(x_0), "denoise": lambda images, x_t, t: 100 * x_0}
    noisy = [step.extras["noisy"] for step in _steps(Diffusion(sampler="ddim"), parts, batch.images)]
    five = torch.tensor([5, 5])
    truth = x_0.double()
    noise = (noisy[0].double() - BASE.noised(truth, five, torch.zeros_like(truth))) / BASE.noise_level[5]
    for steps, x_k in enumerate(noisy[1:], start=1):
        k = 5 - steps
        exact = BASE.noised(truth, torch.tensor([k, k]), noise)
        assert distance(x_k, exact) <= rounding(torch.float32, products=2 * steps, roundings=4 * steps)


# The network


@pytest.mark.parametrize(
    ("labels", "timed", "count", "size", "gmac"),
    [
        (16, True, 6_795_120, (128, 128, 192), 483.788),
        (16, False, 6_682_224, (128, 128, 192), 440.301),
        (9, True, 6_788_841, (48, 256, 256), 464.058),
        (9, False, 6_681_993, (48, 256, 256), 439.597),
    ],
)
def test_size_and_cost_are_those_of_the_released_network(
    labels: int, timed: bool, count: int, size: tuple[int, int, int], gmac: float
) -> None:
    """AMOS (16 labels) and prostate (9), and the baseline without diffusion beside each."""
    plan = Plan.example(labels=labels, window=size)
    with torch.device("meta"):
        network = method("diffusion").build(plan) if timed else TimeUNet(1, labels, timed=False)
    assert parameters(network) == count
    assert flops(network, (1, *size)) / 2 == pytest.approx(gmac, abs=5e-4)


def test_the_time_is_told_by_cosines_and_sines() -> None:
    e = time_embedding(torch.tensor([1.0]), 128)[0]
    assert [float(e[i]) for i in (0, 1, 64, 127)] == pytest.approx([0.540302, 0.647906, 0.841471, 1.15478e-4], rel=1e-5)
    assert time_embedding(torch.tensor([0.0]), 128)[0].tolist() == [1.0] * 64 + [0.0] * 64


@pytest.mark.parametrize(("enters", "seen"), [("before_norm", False), ("after_norm", True)])
def test_as_published_the_norm_takes_the_time_away(enters: str, seen: bool) -> None:
    """A block adds one number to each channel, and the norm after it takes each channel's mean."""
    torch.manual_seed(3)
    plan = Plan.example(labels=K, window=(16, 16, 16), base_width=8)
    network = cast(DiffusionNetwork, method("diffusion", time_enters=enters).build(plan)).eval()
    images, noisy = (torch.randn(1, n, 16, 16, 16, generator=chance(2)) for n in (1, K))
    with torch.no_grad():
        first, last = (network.denoise(images, noisy, torch.tensor([t])) for t in (0.0, 4.0))
    assert bool((first - last).abs().max() > 1e-3) == seen
    assert seen or bool((first - last).abs().max() < 1e-4 * first.abs().max())


@pytest.mark.parametrize("size", [(16, 16, 16), (9, 13, 7), (1, 16, 24), (1, 1, 1)])
def test_any_window_comes_back_at_its_own_size(network: DiffusionNetwork, size: tuple[int, int, int]) -> None:
    images = torch.randn(1, 1, *size, generator=chance(2))
    assert network.train().counted(images).shape == (1, K, *size)


def test_the_network_sees_the_mask(network: DiffusionNetwork, batch: Batch) -> None:
    """Far beyond rounding, which is all that the time changes where the norm takes it away."""
    x_t, t = torch.zeros(2, K, *SIZE), torch.zeros(2)
    with torch.no_grad():
        first = network.denoise(batch.images, x_t, t)
        other = network.denoise(batch.images, x_t + torch.randn_like(x_t), t)
    assert float((other - first).abs().max()) > 0.01 * float(first.abs().max())


def test_added_after_the_norm_the_network_hears_the_time(batch: Batch) -> None:
    """From one step to the next, too, and far beyond rounding."""
    network = cast(DiffusionNetwork, method("diffusion", time_enters="after_norm").build(PLAN))
    x_t, t = torch.zeros(2, K, *SIZE), torch.zeros(2)
    with torch.no_grad():
        first, next_one = (network.denoise(batch.images, x_t, t + later) for later in (0, 1))
    assert float((next_one - first).abs().max()) > 1e-3 * float(first.abs().max())


# Training


@dataclass
class Call:
    """What one call of the network was given and gave."""

    x_t: Tensor
    t: Tensor
    with_gradient: bool
    output: Tensor


@dataclass
class Watched:
    """A network whose calls are noted."""

    network: DiffusionNetwork
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network.denoise.register_forward_hook(self._note)

    def _note(self, module: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        _, x_t, t = inputs
        self.calls.append(Call(x_t, t, torch.is_grad_enabled(), output))


def _noise_in(x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
    """Return ε of x_t = √ᾱ_t·x_0 + √(1−ᾱ_t)·ε, t counted from 0."""
    left = BASE.alpha_bar[1:][t][:, None, None, None, None]
    return ((x_t - left.sqrt() * x_0) / (1 - left).sqrt()).flatten()


def test_recycling_sees_its_own_prediction_under_fresh_noise(network: DiffusionNetwork, batch: Batch) -> None:
    watched = Watched(network.train())
    Diffusion().loss(network, batch, _state())
    first, second = watched.calls
    old = _noise_in(first.x_t, as_mask(batch.labels, K), first.t)
    new = _noise_in(second.x_t, 2 * first.output.softmax(1) - 1, second.t)
    assert all(abs(float(e.mean())) < 0.03 and abs(float(e.std()) - 1) < 0.03 for e in (old, new))  # 24,576 numbers
    assert abs(float(torch.corrcoef(torch.stack([old, new]))[0, 1])) < 0.03


def test_the_first_pass_leaves_no_gradient(network: DiffusionNetwork, batch: Batch) -> None:
    """The gradient equals that of the second pass alone, given the mask that the first one made."""
    watched = Watched(network.train())
    ours = _gradients(network, Diffusion().loss(network, batch, _state()))
    first, second = watched.calls
    assert (first.with_gradient, second.with_gradient) == (False, True)
    assert not second.x_t.requires_grad
    alone = network.denoise(batch.images, second.x_t, second.t)
    by_hand = _gradients(network, segmentation_loss(alone, batch.labels))
    assert all(torch.equal(a, b) for a, b in zip(ours, by_hand, strict=True))
    assert all(g.any() for g in ours[:4])


def _gradients(network: DiffusionNetwork, terms: dict[str, Tensor]) -> list[Tensor]:
    total = torch.stack(list(terms.values())).sum()
    return list(torch.autograd.grad(total, list(network.parameters())))


def test_the_first_pass_is_one_step_earlier_or_at_the_first_step(network: DiffusionNetwork, batch: Batch) -> None:
    drawn = set()
    for seed in range(12):
        watched = Watched(network)
        Diffusion().loss(network, Batch(batch.images[..., :4, :4], batch.labels[..., :4, :4]), _state(seed))
        first, second = watched.calls
        drawn |= set(zip(second.t.tolist(), first.t.tolist(), strict=True))
    assert drawn == {(0, 1), (1, 2), (2, 3), (3, 4), (4, 4)}


def test_without_recycling_the_network_sees_the_truth_under_noise(network: DiffusionNetwork, batch: Batch) -> None:
    watched = Watched(network)
    Diffusion(recycling=False).loss(network, batch, _state())
    (only,) = watched.calls
    noise = _noise_in(only.x_t, as_mask(batch.labels, K), only.t)
    assert float(noise.std()) == pytest.approx(1, abs=0.03)


def test_predicting_noise_adds_a_tenth_of_its_squared_error(network: DiffusionNetwork, batch: Batch) -> None:
    watched = Watched(network)
    terms = Diffusion(predict="noise", recycling=False).loss(network, batch, _state())
    (only,) = watched.calls
    noise = _noise_in(only.x_t, as_mask(batch.labels, K), only.t)
    assert set(terms) == {"cross_entropy", "dice", "noise"}
    expected = 0.1 * ((only.output.double().flatten() - noise) ** 2).mean()
    allowed = rounding(torch.float32, products=strayed(noise.numel()), roundings=3)
    read = 2 * rounding(torch.float32, products=2) / float(BASE.noise_level[1:][only.t].min())  # noise, from a mask
    assert distance(terms["noise"], expected) <= allowed + read


def test_the_true_noise_is_read_as_the_truth(batch: Batch) -> None:
    x_0, k, rng = as_mask(batch.labels, K), torch.tensor([2, 4]), torch.Generator().manual_seed(0)
    noise = torch.randn(x_0.shape, generator=rng)
    logits, found = Diffusion(predict="noise")._read(BASE, noise, BASE.noised(x_0, k, noise), k)
    amplified = float(noise.abs().max() / BASE.alpha_bar[k].min().sqrt())
    assert distance(found, x_0.double()) <= amplified * rounding(torch.float32, products=2, roundings=4)
    assert torch.equal(logits.argmax(1), batch.labels)


def test_it_learns_the_same_in_bfloat16(network: DiffusionNetwork, batch: Batch) -> None:
    """Autocast remembers weights it has cast; those cast without a graph must not starve the second pass."""
    with InFloat64():
        terms = Diffusion().loss(network, batch, _state())
    exact = _gradients(network, terms)
    plain = _gradients(network, Diffusion().loss(network, batch, _state()))
    with torch.autocast("cpu", torch.bfloat16), ArithmeticCheck("bfloat16", backward=True).watching():
        terms = Diffusion().loss(network, batch, _state())
    rounded = _gradients(network, terms)
    for found, dtype in ((plain, torch.float32), (rounded, torch.bfloat16)):
        both = [torch.cat([g.flatten() for g in grads]) for grads in (found, exact)]
        assert apart(*both) <= learning_error(network, dtype)
        assert all(g.any() for g, e in zip(found, exact, strict=True) if e.any())


@pytest.mark.parametrize(("depth", "met"), [(1, False), (2, True), (6, True), (20, True), (32, True), (33, False)])
def test_windows_of_2_to_32_slices_are_halved_to_a_map_of_two(depth: int, met: bool, network: DiffusionNetwork) -> None:
    depths = []
    for block in network.denoise.encode:
        block.register_forward_hook(lambda _module, inputs, _result: depths.append(inputs[0].shape[2]))
    with torch.no_grad():
        network.denoise(torch.zeros(1, 1, depth, 2, 2), torch.zeros(1, K, depth, 2, 2), torch.zeros(1))
    assert (2 in depths) == met


def test_labels_that_a_window_lacks_do_not_count() -> None:
    """All labels equally likely; two of four voxels of the first window are label 1, the second has background alone.

    Label 1: 1 − 2·⅔/(4/3 + 2) = 0.6. Label 2 is absent. Mean over windows: (0.6 + 0)/2.
    """
    labels = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 0]]).reshape(2, 1, 1, 4)
    logits = torch.zeros(2, 3, 1, 1, 4, requires_grad=True)
    terms = segmentation_loss(logits, labels)
    assert float(terms["dice"].detach()) == pytest.approx(0.3)
    assert float(terms["cross_entropy"].detach()) == pytest.approx(1.0986123)
    (gradient,) = torch.autograd.grad(terms["dice"], logits)
    assert torch.isfinite(gradient).all()
    assert not gradient[1].any()


def test_a_right_answer_costs_nothing() -> None:
    labels = torch.arange(3).reshape(1, 1, 1, 3)
    terms = segmentation_loss(F.one_hot(labels, 3).movedim(-1, 1) * 100.0, labels)
    assert {name: float(value) for name, value in terms.items()} == pytest.approx({"cross_entropy": 0, "dice": 0})


def test_the_learning_rate_rises_and_falls_as_published() -> None:
    optimiser = Diffusion().phases(PLAN.model_copy(update={"iterations": 12_500}))[0].optimiser
    assert (optimiser.kind, optimiser.betas, optimiser.weight_decay) == ("adamw", (0.9, 0.999), 1e-8)
    assert optimiser.clip_norm == 1.0
    rates = [optimiser.rate * optimiser.schedule(i, 12_500) for i in (0, 50, 100, 5_050, 10_000, 12_499)]
    assert rates == pytest.approx([1e-5, 5.5e-5, 1e-4, 5.05e-5, 1e-6, 1e-6])


def test_a_shorter_run_takes_a_higher_rate_up_to_ten_times() -> None:
    assert [peak_rate(1e-4, n) for n in (50_000, 6_250, 1_250, 160)] == pytest.approx([1e-4, 2e-4, 1e-3, 1e-3])
    assert [warm_cosine(i, 1_250) for i in (0, 10, 1_000)] == pytest.approx([0.1, 1, 0.01])


def test_windows_are_shifted_by_ten_voxels_or_a_twelfth_of_their_length() -> None:
    shifts = {
        window: Diffusion().phases(PLAN.model_copy(update={"window": window}))[0].augmentation.shift_voxels
        for window in ((192, 128, 128), (48, 256, 256), (16, 16, 16))
    }
    assert list(shifts.values()) == [(10, 10, 10), (4, 10, 10), (1, 1, 1)]


# Inference


@dataclass
class Monotonous:
    """Noise that is the same whatever its number, and remembers the numbers asked for."""

    numbers: list[int] = field(default_factory=list)

    def normal(self, step: int, channels: int) -> Tensor:
        self.numbers.append(step)
        return _noise().normal(0, channels)


def test_five_steps_run_from_noise_to_the_answer(network: DiffusionNetwork, batch: Batch) -> None:
    steps = _steps(Diffusion(), _parts(network), batch.images)
    levels = [float(step.facts["noise_level"][0]) for step in steps]
    assert levels == pytest.approx(TABLE["noise_level"][::-1])
    assert torch.equal(steps[0].extras["noisy"], _noise().normal(0, K))


def test_each_step_is_told_its_time(network: DiffusionNetwork, batch: Batch) -> None:
    watched = Watched(network)
    _steps(Diffusion(), _parts(network), batch.images)
    assert [call.t.tolist() for call in watched.calls] == [[t, t] for t in (4, 3, 2, 1, 0)]


def test_a_second_step_follows_the_posterior(network: DiffusionNetwork, batch: Batch) -> None:
    """x_4 = c0·(2·softmax(D(x_5)) − 1) + ct·x_5 + √β̃_5·ε, written out from the table."""
    first, second = _steps(Diffusion(), _parts(network), batch.images)[:2]
    x_5, D = first.extras["noisy"].double(), first.logits.double()
    mean = 0.0569187959 * (2 * D.softmax(1) - 1) + 0.1093565976 * x_5
    exact = mean + 0.98472269876**0.5 * _noise().normal(1, K).double()
    assert distance(second.extras["noisy"], exact) <= rounding(torch.float32, products=3 + K, roundings=4)


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({"variance": "large"}, lambda x_0, x_5: BASE.ddpm(x_0, x_5, 5, "large")),
        ({"sampler": "ddim"}, lambda x_0, x_5: BASE.ddim(x_0, x_5, 5)),
        ({"sampler": "ddim", "eta": 0.5}, lambda x_0, x_5: BASE.ddim(x_0, x_5, 5, 0.5)),
    ],
)
def test_a_second_step_is_the_one_that_the_options_ask_for(
    network: DiffusionNetwork, batch: Batch, options: Any, taken: Any
) -> None:
    first, second = _steps(Diffusion(**options), _parts(network), batch.images)[:2]
    mean, deviation = taken(2 * first.logits.double().softmax(1) - 1, first.extras["noisy"].double())
    exact = mean + deviation * _noise().normal(1, K).double()
    assert distance(second.extras["noisy"], exact) <= rounding(torch.float32, products=3 + K, roundings=8)


@pytest.mark.parametrize(("steps", "times"), [(9, [4, 3.5, 3, 2.5, 2, 1.5, 1, 0.5, 0]), (3, [4, 2, 0]), (1, [4])])
def test_other_steps_than_in_training_lie_between_those_of_training(steps: int, times: list[float]) -> None:
    m = Diffusion().with_steps(steps)
    assert m.steps == steps
    assert [m.time_input(k) for k in range(steps, 0, -1)] == times
    assert m.denoising_steps == 5


@pytest.mark.parametrize("options", [{}, {"sampler": "ddim"}, {"predict": "noise"}, {"ensemble": 2}])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_any_number_of_steps_gives_that_many_answers(
    network: DiffusionNetwork, batch: Batch, options: Any, steps: int
) -> None:
    answers = _steps(Diffusion(**options).with_steps(steps), _parts(network), batch.images)
    assert [tuple(a.logits.shape) for a in answers] == [(2, K, *SIZE)] * steps
    assert all(torch.isfinite(a.logits).all() for a in answers)


def test_another_seed_gives_another_answer(network: DiffusionNetwork, batch: Batch) -> None:
    one, other = (_steps(Diffusion(), _parts(network), batch.images, _noise(seed))[-1].logits for seed in (0, 1))
    assert not torch.allclose(one, other)


def test_members_that_are_alike_answer_as_one(network: DiffusionNetwork, batch: Batch) -> None:
    one = _steps(Diffusion(), _parts(network), batch.images, Monotonous())
    three = _steps(Diffusion(ensemble=3), _parts(network), batch.images, Monotonous())
    with torch.no_grad(), InFloat64(), Counted(network) as done:
        steps = Diffusion().infer(_parts(network), batch.images, cast(Any, Monotonous()))
        exact = [(step.logits.double().log_softmax(1), done.counts) for step in steps]
    for a, b, (c, counts) in zip(one, three, exact, strict=True):
        assert_close_to_float64(*(s.logits.double().log_softmax(1) for s in (a, b)), c, torch.float32, **counts)


def test_members_see_different_noise_at_every_step(network: DiffusionNetwork, batch: Batch) -> None:
    noise = Monotonous()
    _steps(Diffusion(ensemble=3), _parts(network), batch.images, noise)
    assert len(noise.numbers) == len(set(noise.numbers)) == 3 * 5  # at first, and after each step but the last


def test_ddim_without_eta_makes_noise_once(network: DiffusionNetwork, batch: Batch) -> None:
    noise = Monotonous()
    _steps(Diffusion(sampler="ddim"), _parts(network), batch.images, noise)
    assert noise.numbers == [0]


def test_an_ensemble_averages_probabilities() -> None:
    """(0.9 + 0.1)/2 and (0.6 + 0.2)/2, not a mean of logits."""
    one, other = (torch.tensor(p).log().reshape(1, 3, 1, 1, 1) for p in ([0.9, 0.06, 0.04], [0.1, 0.54, 0.36]))
    assert mean_logits([one, other]).softmax(1).flatten().tolist() == pytest.approx([0.5, 0.3, 0.2])


# Plans and options


def test_the_plan_says_which_network_is_built() -> None:
    m = Diffusion()
    plan = m.adapt(Plan.example(labels=16, window=(128, 128, 192)))
    assert plan.topology.widths == (32, 32, 64, 128, 256)
    assert plan.topology.divisor == (16, 16, 16)
    assert m.adapt(plan) == plan
    assert Diffusion(width=8).adapt(plan).topology.widths == (8, 8, 16, 32, 64)


def test_inference_mirrors_no_more_than_training_did() -> None:
    m = Diffusion()
    plan = m.adapt(PLAN.model_copy(update={"mirror_axes": (0, 1, 2)}))
    assert plan.mirror_axes == ()
    assert not any(phase.augmentation.mirror for phase in m.phases(plan))


def test_a_narrow_network_fits_a_small_bundle() -> None:
    with torch.device("meta"):
        network = Diffusion(width=16).build(Plan.example(labels=8))
    assert 2 * parameters(network) < 4e6  # bytes, in half precision


def test_how_to_sample_may_be_chosen_after_training() -> None:
    live = {info.name for info in Diffusion.options() if info.live}
    assert live == {"sampling_steps", "sampler", "variance", "eta", "ensemble"}


@pytest.mark.parametrize("steps", [0, 1001])
def test_a_number_of_steps_out_of_range_is_refused(steps: int) -> None:
    with pytest.raises(MethodError, match=f"{steps} steps; expected 1 to 1000"):
        Diffusion().with_steps(steps)


@pytest.mark.parametrize("options", [{"eta": 0.5}, {"sampler": "ddim", "variance": "large"}])
def test_noise_that_the_sampler_would_not_draw_is_refused(options: Any) -> None:
    with pytest.raises(
        MethodError, match=r"does nothing, as sampler=dd(pm|im) does not read it; leave (eta|variance) "
    ):
        method("diffusion", **options)


def test_one_step_in_training_is_refused() -> None:
    with pytest.raises(MethodError, match="denoising_steps is 1; expected 2 to 1000"):
        Diffusion(denoising_steps=1)


def test_the_continuous_noisy_mask_is_shown_for_each_label() -> None:
    m = Diffusion()
    with torch.no_grad():
        network = cast(DiffusionNetwork, m.build(m.adapt(PLAN)).eval())
        images = torch.zeros(1, 1, *SIZE)
        noise = GridNoise(0, [Window(0, 0, 0)], SIZE, (), "cpu")
        steps = list(m.infer(cast(Any, dict(network.named_children())), images, noise))
    for step in steps:
        assert step.label_maps["noisy"] is step.extras["noisy"]
        assert step.label_maps["noisy"].shape == (1, K, *SIZE)
    assert float(steps[0].label_maps["noisy"].std()) == pytest.approx(1, abs=0.1)  # pure noise


def test_cross_entropy_alone_can_be_learned(network: DiffusionNetwork, batch: Batch) -> None:
    both = Diffusion().loss(network, batch, _state())
    alone = Diffusion(ce_only=True).loss(network, batch, _state())
    assert [sorted(both), sorted(alone)] == [["cross_entropy", "dice"], ["cross_entropy"]]
    assert torch.equal(both["cross_entropy"], alone["cross_entropy"])
