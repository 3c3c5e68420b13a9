"""Med-DANet: a small network looks at each slice and picks which of four networks segments it, or none.

Idea: most slices are easy. A bank of four networks on slices, cheap to dear, is trained jointly; then a classifier,
the decision network, learns which of them is worth its cost on a slice::

    a = argmax D(x)                                             0 skip, 1 … 4 a network of the bank
    y = background              where a = 0, nothing is run
        M_a(x)                  elsewhere

    D*(x) = 0                                                   where x has no foreground
            1 + argmax_i [(1 − α)·S_i + α·softmax_i(1/F_i)]     elsewhere (eq. 4)

Legend: x a slice, or a window of it; D decision network; M_1 … M_4 bank; a action; S_i Dice of M_i on the slice; F_i
its cost in GMAC, as the paper counts; α weight of cost; D* the action that D learns.

A slice is a window one voxel thick. M_1 and M_2 leave training after three quarters of the bank's updates; the bank
is frozen while D is trained.

References
----------
Wang et al., "Med-DANet: Dynamic Architecture Network for Efficient Medical Volumetric Segmentation", ECCV 2022,
arXiv:2206.06575.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.errors import MethodError, PlanError
from voxtrace.method import (
    NO_AUGMENTATION,
    Augmentation,
    Batch,
    Figure,
    Method,
    Noise,
    Optimiser,
    Parts,
    Phase,
    Step,
    TrainState,
    option,
)
from voxtrace.nn.baselines import TransBTS
from voxtrace.nn.flops import flops
from voxtrace.nn.shufflenet import ShuffleNet
from voxtrace.nn.transbts import SHRINKS, SliceTransBTS, SliceUNet
from voxtrace.plan import Plan, Shape, Topology, check_divisible
from voxtrace.windows import Windowing, strided, uniform

EXPERTS = ("expert1", "expert2", "expert3", "expert4")
ROUTER = len(EXPERTS) + 1  # asks for the router's cost, after skip and the experts
LEAST_WARM_UP = 100  # updates
LEAST_ROUTER = 300  # updates
DETACHED = 300 / 400  # of the bank's epochs, when M1 and M2 leave
LATE = 2  # M3 and M4 go on; they have transformer layers
DEPTHS = (1, 4)  # of M3 and M4
BANK_EPOCHS, ROUTER_EPOCHS = 400, 50
PUBLISHED_UPDATES = 400 * 536  # epochs × (4/5 of 335 cases × 128 slices / 64 in an update)
PUBLISHED_WIDTH = 32  # base width of the plan that nnU-Net makes on a machine like the paper's
SMALLEST, MOST_SLICES = 16, 64
SLICES_IN_A_ROW = 16
LEAST_SCALE = 0.25  # M1 would be as wide as M2 below it
NEVER = -110.0  # exp(−110) is 0 in float32
FIRST_SHARE = 0.01  # of the voxels, that an untrained network gives to each label

Region = tuple[int, ...]
BRATS_REGIONS: tuple[Region, ...] = ((1, 2, 3), (1, 3), (3,))  # whole tumour, tumour core, enhancing tumour


@dataclass(frozen=True)
class MedDANet(Method):
    """A bank of networks on slices and a decision network that picks one for each window."""

    key: ClassVar[str] = "meddanet"
    title: ClassVar[str] = "Med-DANet"
    source: ClassVar[str] = "Wang et al., Med-DANet, ECCV 2022, arXiv:2206.06575"
    facts: ClassVar[dict[str, str]] = {"expert": "index", "cost_gflop": "GFLOP"}

    setting: Literal["window", "slice"] = option(
        "window", "Decide for each of overlapping windows, or once a slice (the window then is the plane)."
    )
    size: int = option(
        0, "Side of a square window in voxels (published: 128, and 240 by slice); 0 takes the plan's.", low=0, high=1024
    )
    force: Literal["router", "expert1", "expert2", "expert3", "expert4"] = option(
        "router", "Who decides in inference: the decision network, or always the same expert.", live=True
    )
    alpha: float = option(0.001, "Weight of cost beside Dice when the best expert of a slice is chosen.", low=0, high=1)
    softmax_on_dice: bool = option(False, "Compare experts by the softmax of their Dice (ablation).")
    softmax_on_cost: bool = option(True, "Compare experts by the softmax of 1/GMAC; off compares 1/GMAC (ablation).")
    regions: Literal["labels", "brats"] = option(
        "labels", "What Dice is averaged over: each label, or whole tumour, tumour core and enhancing tumour."
    )
    skip_weight: float = option(0.8, "Weight of slices to skip in the decision network's loss.", low=0)
    expert1_weight: float = option(1.0, "Weight of slices for M1 in the decision network's loss.", low=0)
    expert2_weight: float = option(1.0, "Weight of slices for M2 in the decision network's loss.", low=0)
    expert3_weight: float = option(1.1, "Weight of slices for M3 in the decision network's loss.", low=0)
    expert4_weight: float = option(1.2, "Weight of slices for M4 in the decision network's loss.", low=0)
    scale: float = option(
        0.0,
        "Widths of the bank as a share of the published ones; 0 suits the plan (1 at base width 32).",
        low=0,
        high=2,
    )
    rate: float = option(
        0.0,
        "First learning rate of the bank; 0 suits the length of the run (0.0001 at the published one).",
        low=0,
        high=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size and (self.size < SMALLEST or self.size % SHRINKS):
            raise MethodError(
                f"meddanet: size is {self.size}; expected 0 or a multiple of {SHRINKS} from {SMALLEST}, e.g. 128."
            )
        if 0 < self.scale < LEAST_SCALE:
            raise MethodError(f"meddanet: scale is {self.scale}; expected 0, or {LEAST_SCALE} to 2.")

    def adapt(self, plan: Plan) -> Plan:
        """Return the plan for windows one voxel thick, as many of them in an update as have about as many voxels.

        In-plane the window stays as it is, up to whole eighths (the bank halves it three times) and at least 16.
        """
        if self.regions == "brats" and plan.n_labels != 1 + len(BRATS_REGIONS):
            raise MethodError(
                f"meddanet: the plan has {plan.n_labels} labels, but regions='brats' needs 4: background, core, edema "
                "and enhancing; use regions='labels'."
            )
        check_divisible(plan.window, plan.topology)
        window: Shape = (1, self.size or _whole(plan.window[1]), self.size or _whole(plan.window[2]))
        slices = plan.batch_size * math.prod(plan.window) // math.prod(window)
        return plan.model_copy(
            update={
                "window": window,
                "overlap": 2 / 3 if self.setting == "window" else 0.0,
                "topology": _flat(plan.topology.widths[0]),
                "batch_size": min(max(slices, 2), MOST_SLICES),
            }
        )

    def build(self, plan: Plan) -> nn.Module:
        """Return the network: children ``router``, ``expert1`` … ``expert4``, and ``skip`` and ``cost`` (no weights).

        Raises
        ------
        PlanError
            The plan's window is not a slice.
        """
        if plan.window[0] != 1:
            raise PlanError(
                f"window {plan.window} is {plan.window[0]} voxels deep; meddanet sees slices, so pass adapt(plan)."
            )
        return Network(plan, self.scale_for(plan))

    def scale_for(self, plan: Plan) -> float:
        """Return the bank's widths as a share of the published ones, at least a quarter."""
        return max(LEAST_SCALE, self.scale or plan.topology.widths[0] / PUBLISHED_WIDTH)

    def rate_for(self, iterations: int) -> float:
        """Return the bank's first learning rate: 1e-4, or more by the root of how much shorter a run is, up to 2e-3."""
        return self.rate or 1e-4 * min(20.0, max(1.0, (PUBLISHED_UPDATES / iterations) ** 0.5))

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """Return 400 parts in 450 of the updates for the bank, and the rest for the decision network.

        The decision network gets 300 updates, or three tenths of a short run (ours): after 100 it skips up to
        twice as many slices with a tumour.
        """
        share = round(plan.iterations * ROUTER_EPOCHS / (BANK_EPOCHS + ROUTER_EPOCHS))
        router = max(1, share, min(LEAST_ROUTER, plan.iterations * 3 // 10))
        bank = max(1, plan.iterations - router)
        return (
            Phase(
                "bank",
                bank,
                trains=tuple(f"{name}." for name in EXPERTS),
                optimiser=_adam(self.rate_for(bank), BANK_EPOCHS),
                augmentation=Augmentation(rotation_p=0.0, scale_p=0.0, intensity="linear"),
            ),
            Phase(
                "router",
                router,
                trains="router.",
                optimiser=_adam(1e-2, ROUTER_EPOCHS),
                augmentation=NO_AUGMENTATION,  # D* is worked out on slices as inference sees them
                foreground=0.0,  # and as often as it sees them
            ),
        )

    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        """Return the Dice losses of the experts that still train, or the decision network's cross-entropy."""
        bank = cast(Network, network)
        if state.phase.name == "bank":
            active = bank.experts if state.progress < DETACHED else bank.experts[LATE:]
            losses = {name: overlap_loss(expert(batch.images), batch.labels) for name, expert in active}
            return {name: loss / len(active) for name, loss in losses.items()}
        wanted = self.best_actions(bank, batch)
        scores = bank.router(batch.images).float()
        return {"cross_entropy": F.cross_entropy(scores, wanted, scores.new_tensor(self.weights))}

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the five actions in the decision network's loss."""
        return (self.skip_weight, self.expert1_weight, self.expert2_weight, self.expert3_weight, self.expert4_weight)

    @torch.no_grad()
    def best_actions(self, bank: Network, batch: Batch) -> Tensor:
        """Return D* (B,) of slices, by what the bank, in evaluation mode, makes of those that show something."""
        shown = batch.labels.flatten(1).any(1)
        actions = torch.zeros_like(shown, dtype=torch.int64)
        if bool(shown.any()):
            images, labels = batch.images[shown], batch.labels[shown]
            dice = torch.stack([self.slice_dice(expert(images), labels) for _, expert in bank.experts])
            actions[shown] = 1 + self.worth(dice, bank.cost.published(dice.device)).argmax(0)
        return actions

    def worth(self, dice: Tensor, gmac: Tensor) -> Tensor:
        """Return what each expert is worth on each slice, (4, B), of its Dice (4, B) and its cost (4,) in GMAC."""
        S = dice.softmax(0) if self.softmax_on_dice else dice
        cheap = (1.0 / gmac).softmax(0) if self.softmax_on_cost else 1.0 / gmac
        return (1.0 - self.alpha) * S + self.alpha * cheap[:, None]  # eq. 4

    def slice_dice(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return S (B,) of logits (B, K, 1, Y, X): Dice of the strongest label, the mean over regions of each slice.

        A region that is absent and not predicted counts as 1.
        """
        each_label = tuple((label,) for label in range(1, logits.shape[1]))
        regions = BRATS_REGIONS if self.regions == "brats" else each_label
        return torch.stack([_dice(logits.argmax(1), labels, region) for region in regions]).mean(0)

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        """Yield the one decision: each expert runs once, on the windows that were given to it; none on the others."""
        actions = self.route(parts, images)
        logits = parts["skip"](images)
        for action, name in enumerate(EXPERTS, start=1):
            chosen = (actions == action).nonzero()[:, 0]
            if len(chosen):
                logits = logits.index_copy(0, chosen, parts[name](images[chosen]).to(logits.dtype))
        cost = parts["cost"](actions)
        if self.force == "router":
            cost = cost + parts["cost"](torch.full_like(actions, ROUTER))
        yield Step(logits, {"expert": actions.float(), "cost_gflop": cost})

    def route(self, parts: Parts, images: Tensor) -> Tensor:
        """Return the action (B,) for each window: 0 to skip it, 1 … 4 for an expert."""
        if self.force != "router":
            return torch.full((len(images),), 1 + EXPERTS.index(self.force), device=images.device)
        return parts["router"](images).argmax(1)

    def windowing(self, plan: Plan) -> Windowing:
        """Return windows a third of their side apart (by slice: side by side), overlaps averaged."""
        return Windowing(schedule=strided(SLICES_IN_A_ROW), blend=uniform, slices=SLICES_IN_A_ROW)

    @classmethod
    def figures(cls) -> tuple[Figure, ...]:
        """Return costs: of the bank in both settings, of two decision networks over the 16 windows of a slice."""
        published = {128: (0.605, 1.067, 2.358, 4.979), 240: (2.126, 3.750, 8.882, 19.878)}
        source = {128: "total of setting 1 / (66 × 155 × 16)", 240: "total of setting 2 / (66 × 155)"}
        convention = "fvcore-old"
        bank = [
            Figure(f"cost of M{1 + i}, 4×{size}×{size}", gmac, "GMAC", tolerance, source[size], count, convention)
            for size, row in published.items()
            for i, gmac in enumerate(row)
            for tolerance, count in [(0.003 if (size, i) == (240, 1) else 0.001, partial(_expert_gmac, i, size))]
        ]
        tiny, half = ((12, 24, 48, 96, 256), (24, 48, 96, 192, 1024))
        decision = [
            Figure(
                f"cost of {name}, 16 windows 4×128×128", gmac, "GMAC", 0.0005, "decision networks", count, convention
            )
            for name, gmac, count in [
                ("the decision network", 0.078, partial(_router_gmac, tiny)),
                ("ShuffleNetV2 0.5× in its place", 0.247, partial(_router_gmac, half)),
            ]
        ]
        volume: Shape = (128, 128, 128)
        what, count = "cost of TransBTS, which works in 3D, 4×128×128×128", partial(_transbts_gmac, volume)
        return (*bank, *decision, Figure(what, 333.09, "GMAC", 0.005, "comparison on BraTS 2019", count, convention))


class Network(nn.Module):
    """Children ``router`` (D), ``expert1`` … ``expert4`` (M_1 … M_4), ``skip`` and ``cost``; the last have no weights.

    Experts map images (B, C, 1, Y, X) to logits (B, K, 1, Y, X), the router to scores (B, 5).
    """

    def __init__(self, plan: Plan, scale: float) -> None:
        super().__init__()
        self.router = _router(plan.n_channels)
        for index, name in enumerate(EXPERTS):
            self.add_module(name, _expert(index, plan.n_channels, plan.n_labels, plan.window, scale))
        self.skip = Skip(plan.n_labels)
        self.cost = Cost(plan, scale)

    @property
    def experts(self) -> list[tuple[str, nn.Module]]:
        """The bank, each with its name, cheapest first."""
        return [(name, self.get_submodule(name)) for name in EXPERTS]

    def counted(self, images: Tensor) -> list[Tensor]:
        """Return what router and experts say, each run once: more than any window costs in inference."""
        return [self.router(images), *(expert(images) for _, expert in self.experts)]


class Skip(nn.Module):
    """Says background with certainty, without a look: images (B, C, 1, Y, X) to logits (B, K, 1, Y, X)."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        self.n_labels = n_labels

    def forward(self, images: Tensor) -> Tensor:
        """Return 0 for the background and next to minus infinity for every other label."""
        logits = images.new_full((len(images), self.n_labels, *images.shape[2:]), NEVER)
        logits[:, 0] = 0.0
        return logits


class Cost(nn.Module):
    """What actions cost: (B,) to GFLOP (B,); 0 skips, 1 … 4 are experts, ``ROUTER`` asks for the router's own."""

    def __init__(self, plan: Plan, scale: float) -> None:
        super().__init__()
        self.of = (plan.n_channels, plan.n_labels, plan.window, scale)

    def forward(self, actions: Tensor) -> Tensor:
        """Return GFLOP (B,) on a window of the plan, two a multiply-add; only networks that ran are counted."""
        chosen = actions.tolist()
        gflop = {action: cost(action - 1, *self.of, "true") if action else 0.0 for action in set(chosen)}
        return torch.tensor([gflop[action] for action in chosen], device=actions.device)

    def published(self, device: torch.device) -> Tensor:
        """Return F (4,): GMAC of the experts, as the paper counts."""
        return torch.tensor(costs(*self.of, "fvcore-old")[: len(EXPERTS)], device=device)


def costs(n_channels: int, n_labels: int, window: Shape, scale: float, convention: str) -> tuple[float, ...]:
    """Return what M_1 … M_4 and D cost on a window, see :func:`voxtrace.nn.flops.flops`."""
    return tuple(cost(index, n_channels, n_labels, window, scale, convention) for index in range(ROUTER))


@lru_cache(maxsize=256)
def cost(index: int, n_channels: int, n_labels: int, window: Shape, scale: float, convention: str) -> float:
    """Return what one of M_1 … M_4 and D, counted from 0, costs on a window."""
    with torch.random.fork_rng(devices=[]):  # the weights do not matter, but drawing them must not change others
        expert = index < len(EXPERTS)
        network = _expert(index, n_channels, n_labels, window, scale) if expert else _router(n_channels)
    return flops(network, (n_channels, *window), convention, in_memory=True)


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return Σ_c [1 − 2·Σpg / (Σp + Σg + 1e-5)] over the foreground labels, sums over the whole mini-batch.

    Logits (B, K, 1, Y, X), labels (B, 1, Y, X); between 0 and K − 1. A label that the mini-batch lacks counts 1.
    """
    p = logits.float().softmax(1)
    g = F.one_hot(labels, logits.shape[1]).movedim(-1, 1)
    both, total = ((t[:, 1:].sum((0, 2, 3, 4))) for t in (p * g, p + g))
    return (1.0 - 2.0 * both / (total + 1e-5)).sum()


def warmed_poly(iteration: int, iterations: int, epochs: int) -> float:
    """Return the share of the first rate: linear over the first of ``epochs``, then (1 − progress)^0.9.

    Progress counts from the end of the first epoch. In short runs an epoch is a few updates; there the rise takes
    100 updates, or a tenth of the run (ours): without it, labels vanish from an answer at the start and stay away.

    Examples
    --------
    >>> [round(warmed_poly(i, 400, 4), 3) for i in (0, 49, 99, 100, 250)]
    [0.01, 0.5, 1.0, 1.0, 0.536]
    """
    warm = max(1, round(iterations / epochs), min(LEAST_WARM_UP, iterations // 10))
    if iteration < warm:
        return (iteration + 1) / warm
    return float((1.0 - (iteration - warm) / (iterations - warm)) ** 0.9)


def _flat(base_width: int) -> Topology:
    """Return stages that halve a slice three times, for the plan's base width; the bank's own is half of it."""
    widths = tuple(base_width * 2**level for level in range(4))
    stride: Shape = (1, 2, 2)
    return Topology(widths=widths, kernels=((1, 3, 3),) * 4, strides=((1, 1, 1), stride, stride, stride))


def _router(n_channels: int) -> ShuffleNet:
    return ShuffleNet(n_channels, 1 + len(EXPERTS))


def _expert(index: int, n_channels: int, n_labels: int, window: Shape, scale: float) -> nn.Module:
    """Return one of M_1 … M_4, counted from 0; heads stay 8, so tokens are scaled by whole eighths."""
    base, width = (_scaled(share, scale) for share in (12 if index == 0 else 16, 64))
    network: SliceUNet | SliceTransBTS = (
        SliceUNet(n_channels, n_labels, base)
        if index < LATE
        else SliceTransBTS(n_channels, n_labels, window[1:], base=base, width=8 * width, depth=DEPTHS[index - LATE])
    )
    _begin_with_background(network.decode.head)
    return network


def _begin_with_background(head: nn.Conv2d) -> None:
    """Set a head's bias so that the background has all but ``FIRST_SHARE`` of the voxels for each label.

    The loss does not ask for background. From equal shares, a label that is worth little yet takes it over, and the
    loss, flat there, hardly moves it back.
    """
    assert head.bias is not None
    with torch.no_grad():
        head.bias.zero_()
        head.bias[0] = math.log(1.0 / FIRST_SHARE - (head.out_channels - 1))


def _scaled(width: int, scale: float) -> int:
    return max(1, round(width * scale))


def _whole(voxels: int) -> int:
    return max(SMALLEST, math.ceil(voxels / SHRINKS) * SHRINKS)


def _adam(rate: float, epochs: int) -> Optimiser:
    schedule = partial(warmed_poly, epochs=epochs)
    return Optimiser(kind="adam", rate=rate, weight_decay=1e-5, amsgrad=True, schedule=schedule)


def _dice(answer: Tensor, truth: Tensor, region: Region) -> Tensor:
    """Return Dice (B,) of the voxels of label maps (B, 1, Y, X) that lie in a region."""
    values = torch.tensor(region, device=truth.device)
    p, g = (torch.isin(labels, values).flatten(1) for labels in (answer, truth))
    return (2.0 * (p & g).sum(1) + 1e-8) / (p.sum(1) + g.sum(1) + 1e-8)


def _expert_gmac(index: int, size: int) -> float:
    """Return what one expert costs on a published window, as the paper counts."""
    return costs(4, 4, (1, size, size), 1.0, "fvcore-old")[index]


def _router_gmac(widths: Sequence[int]) -> float:
    """Return what ShuffleNetV2 of some widths costs on the 16 windows of a slice, as the paper counts."""
    with torch.device("meta"):
        return 16 * flops(ShuffleNet(4, 1 + len(EXPERTS), widths), (4, 1, 128, 128), "fvcore-old")


def _transbts_gmac(volume: Shape) -> float:
    """Return what the baseline costs on a volume, as the paper counts."""
    with torch.device("meta"):
        return flops(TransBTS(4, 4, volume), (4, *volume), "fvcore-old")
