"""E2ENet: features of every level flow to every level, over connections that training itself chooses.

Idea: an encoder gives L levels of features. A triangle of nodes fuses, stage by stage, the same level, the coarser
one (up) and the finer one (down); most kernels of these fusions are switched off, and every now and then the weakest
are given up for others at random (*dynamic sparse feature fusion*). Convolutions are flat, 1×3×3; before each, a
third of the channels is shifted a slice up and a third a slice down (*restricted depth shift*)::

    x(i, j) = F([ x(i, j−1), U(x(i+1, j−1)), D(x(i−1, j−1)) ])       i + j < L        (eq. 1)

Legend: i level (0 finest), j stage, F fusion (two convolutions where i + j = L − 1, else one), U transposed
convolution, D maximum pooling, S sparsity, d(t) death rate at iteration t of T, ΔT iterations between two updates.

Steps are the heads on the last nodes of the levels, from coarse to fine: x(3, L−4) … x(0, L−1). A head whose loss has
no weight learns nothing and is no step: the paper's weights leave three.

References
----------
Wu et al., "E2ENet: Dynamic Sparse Feature Fusion for Accurate and Efficient 3D Medical Image Segmentation",
NeurIPS 2024, arXiv:2312.04727.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.errors import MethodError, PlanError
from voxtrace.kernels.sparse.autograd import skip_while_learning
from voxtrace.method import Batch, Figure, Method, Noise, Parts, Step, TrainState, option
from voxtrace.nn.baselines import NnUNetV1
from voxtrace.nn.blocks import LEAK, he_init
from voxtrace.nn.flops import flops, parameters
from voxtrace.nn.losses import supervised_loss
from voxtrace.nn.masked import Masked, MaskedConv3d, MaskedConvTranspose3d
from voxtrace.plan import Plan, Topology, check_divisible

HEADS = 4
FLAT, CUBE = (1, 3, 3), (3, 3, 3)
PUBLISHED_WIDTH, PLANNED_WIDTH, WIDEST = 48, 32, 320
PUBLISHED_ITERATIONS = 250_000
BEST_DICE, LEAST_SIZE, LEAST_COST = 90.5, 7.64, 391.03  # %, Mparameters, GFLOP: what the paper's score compares with
HEAD_WEIGHTS = {"paper": [4 / 7, 2 / 7, 1 / 7, 0.0], "code": [8 / 15, 4 / 15, 2 / 15, 1 / 15]}
SOURCES = ("forward", "upward", "downward")  # from the same level, the coarser one, the finer one
FACTS = tuple(f"{source}_share" for source in SOURCES)


@dataclass(frozen=True)
class E2ENet(Method):
    """Dynamic sparse feature fusion with restricted depth shift."""

    key: ClassVar[str] = "e2enet"
    title: ClassVar[str] = "E2ENet"
    source: ClassVar[str] = "Wu et al., E2ENet, NeurIPS 2024, arXiv:2312.04727"
    facts: ClassVar[Mapping[str, str]] = dict.fromkeys(FACTS, "fraction")
    step_word: ClassVar[str] = "head"

    width: int = option(
        0, "Channels of the finest level; 0 takes 1.5 times the planned U-Net's, 48 for nnU-Net's 32.", low=0, high=320
    )
    sparsity: float = option(0.8, "Fraction of fusion kernels that are off; 0 is the dense network.", low=0, high=0.99)
    level0_density: float = option(
        0.0, "Fraction of kernels that are on where the finest level is fused; 0 is as everywhere.", low=0, high=1
    )
    dynamic: bool = option(True, "Prune and regrow connections during training; false keeps those drawn at first.")
    update_every: int = option(
        1200, "Iterations between two updates of connections in a run of 250,000; other runs keep the ratio.", low=1
    )
    shift: int = option(
        1, "Slices that a third of the channels moves up and a third down; 0 keeps them in place.", low=0, high=16
    )
    strict_shift: bool = option(False, "Shift one or two channels, too, as the released code does.")
    cubic: bool = option(False, "Ablation: 3×3×3 kernels in encoder and last nodes instead of the depth shift.")
    heads: Literal["paper", "code"] = option(
        "paper", "Weights of the heads in training, finest first: 4:2:1:0 (paper) or 8:4:2:1 (released code)."
    )
    gradient: Literal["all", "active"] = option(
        "all",
        "Gradient of kernels that are off: computed, as published, which counts in clipping, or left out, which trains "
        "twice as fast on a CPU.",
    )

    @property
    def steps(self) -> int:
        """Heads that learn, from coarse to fine: three with the paper's weights, four with the code's."""
        return sum(weight > 0 for weight in HEAD_WEIGHTS[self.heads])

    def adapt(self, plan: Plan) -> Plan:
        """Return the plan with this method's levels, or refuse a window that they cannot halve.

        Strides stay the plan's. Four heads need five levels: levels that the window has no room for keep the size of
        the one before. Kernels become 1×3×3, which is also how a plan that was adapted already is told.
        """
        planned = plan.topology
        if len(planned.widths) < 2:
            raise PlanError(f"e2enet fuses levels, and the plan has {len(planned.widths)}; use a larger window.")
        strides = planned.strides + ((1, 1, 1),) * (HEADS + 1 - len(planned.strides))
        width = self.width or _first_width(planned)
        topology = Topology(widths=level_widths(width, len(strides)), kernels=(FLAT,) * len(strides), strides=strides)
        check_divisible(plan.window, topology)
        if plan.window[0] < 2 * topology.divisor[0]:
            raise PlanError(
                f"window {plan.window} has {plan.window[0] // topology.divisor[0]} slice at the coarsest level, and "
                f"e2enet moves features along depth; use a window of at least {2 * topology.divisor[0]} along Z."
            )
        return plan.model_copy(update={"topology": topology})

    def build(self, plan: Plan) -> nn.Module:
        """Return the network: children ``encode``, ``stage1`` … ``stage{L−1}``, ``head0`` … ``head3``."""
        return Network(self, plan)

    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        """Return Dice and cross-entropy over the heads."""
        batch_dice, weights = cast(Network, network).batch_dice, HEAD_WEIGHTS[self.heads]
        learner = skip_while_learning(network, batch.images) if self.gradient == "active" else network
        return supervised_loss(learner(batch.images), batch.labels, weights=weights, over_batch=batch_dice)

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        """Yield the decision of each head that learns, coarse to fine; each stage ends in the last node of a level."""
        stages = sum(name.startswith("stage") for name in parts)
        maps: Any = parts["encode"](images)  # L maps, finest first
        for j in range(1, stages + 1):
            maps = parts[f"stage{j}"](*maps)  # one map fewer; the last is x(L−1−j, j)
            if stages - j < self.steps:
                logits, shares = parts[f"head{stages - j}"](maps[-1])
                facts = dict(zip(FACTS, shares.unbind(1), strict=True))
                yield Step(F.interpolate(logits.float(), images.shape[2:], mode="trilinear"), facts)

    def after_update(self, network: nn.Module, optimizer: torch.optim.Optimizer, state: TrainState) -> None:
        """Zero what is off, in weights and momentum; every ΔT iterations prune and regrow."""
        net = cast(Network, network)
        for conv in net.masked:
            conv.hold(optimizer.state)
        if state.iteration == 0:
            net.refresh()  # fine-tuning may have brought other connections
        t, last = state.iteration + 1, state.phase.iterations
        if not self.dynamic or t == last or t % self.interval(last):
            return
        for conv in net.masked:
            prune_and_grow(conv, death_rate(t / last), optimizer.state, state.rng)
        net.updates += 1
        net.refresh()

    def interval(self, iterations: int) -> int:
        """Return ΔT in a run of so many iterations: the published ratio, about 208 updates a run; at least 1."""
        return max(1, round(self.update_every * iterations / PUBLISHED_ITERATIONS))

    def describe(self, network: nn.Module) -> dict[str, Any]:
        """Return how sparse the network is, how often its connections changed, and whence each node's features flow."""
        net = cast(Network, network)
        kernels = sum(conv.mask.numel() for conv in net.masked)
        active = sum(conv.active_kernels for conv in net.masked)
        return {
            "kernels": kernels,
            "active_kernels": active,
            "sparsity": round(1 - active / kernels, 6),
            "topology_updates": int(net.updates),
            "nodes": [{"level": i, "stage": j, **node.flow()} for (i, j), node in net.nodes.items()],
        }

    @classmethod
    def figures(cls) -> tuple[Figure, ...]:
        """Return the published sizes, costs and scores, those of the baseline included."""
        return (
            *(figure for row in _PUBLISHED for figure in _figures(*row)),
            *(figure for row in _BASELINES for figure in _baseline_figures(*row)),
            *(_score(*row) for row in _SCORES),
        )


def level_widths(width: int, n_levels: int) -> tuple[int, ...]:
    """Return channels of each level: doubled from level to level, up to 320 (narrow networks: up to 320/48 · width).

    Examples
    --------
    >>> level_widths(48, 6)
    (48, 96, 192, 320, 320, 320)
    >>> level_widths(12, 6)
    (12, 24, 48, 80, 80, 80)
    """
    widest = min(WIDEST, round(width * WIDEST / PUBLISHED_WIDTH))
    return tuple(min(width * 2**i, widest) for i in range(n_levels))


def _first_width(planned: Topology) -> int:
    if set(planned.kernels) == {FLAT}:  # adapted already
        return planned.widths[0]
    return max(1, round(planned.widths[0] * PUBLISHED_WIDTH / PLANNED_WIDTH))


def depth_shift(x: Tensor, distance: int = 1, strict: bool = False) -> Tensor:
    """Return (B, C, Z, Y, X) with the first third of the channels moved to lower z, the last third to higher z.

    ``out[z] = in[z + distance]`` for the first ⌈C/3⌉ channels, unchanged for the next, ``in[z − distance]`` for the
    rest; what comes in from outside is 0. One or two channels stay as they are unless ``strict``.
    """
    if distance == 0 or (x.shape[1] < 3 and not strict):
        return x
    depth = x.shape[2]
    padded = F.pad(x, (0, 0, 0, 0, distance, distance))
    groups = padded.chunk(3, dim=1)  # of ⌈C/3⌉ channels
    starts = (2 * distance, distance, 0)
    return torch.cat([g[:, :, s : s + depth] for g, s in zip(groups, starts, strict=False)], dim=1)


def death_rate(progress: float) -> float:
    """Return d(t), the fraction of active kernels that is pruned at t = progress · T: cosine decay from ½ to 0.001.

    Examples
    --------
    >>> [round(death_rate(t / 250_000), 6) for t in (0, 62_500, 125_000)]
    [0.5, 0.426923, 0.2505]
    """
    return 0.001 + 0.2495 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def prune_and_grow(conv: Masked, rate: float, state: Any, rng: torch.Generator) -> None:
    """Switch off the ``⌈rate · active⌉`` kernels of smallest L1 norm, and on as many at random, with weight 0.

    Just-pruned kernels may come back; the number of active ones does not change. Nothing happens where all are on.
    """
    flat = conv.mask.view(-1)
    n = math.ceil(rate * conv.active_kernels)
    if bool(flat.all()):
        return
    strength = conv.weight.float().abs().sum((2, 3, 4)).flatten()
    weakest = strength.masked_fill(~flat, math.inf).topk(n, largest=False).indices
    flat[weakest] = False
    conv.hold(state)
    inactive = (~flat).nonzero()[:, 0]
    drawn = torch.randperm(inactive.numel(), generator=rng, device=rng.device)[:n]
    flat[inactive[drawn.to(inactive.device)]] = True


class Block(nn.Module):
    """Depth shift, convolution (with bias), instance norm, leaky ReLU; (B, Cin, Z, Y, X) to (B, Cout, …)."""

    def __init__(self, conv: nn.Conv3d, method: E2ENet) -> None:
        super().__init__()
        self.distance = 0 if method.cubic else method.shift
        self.strict = method.strict_shift
        self.conv = conv
        self.norm = nn.InstanceNorm3d(conv.out_channels, eps=1e-5, affine=True)
        self.act = nn.LeakyReLU(LEAK, inplace=True)

    def moves(self, channels: int) -> list[int]:
        """Return how many slices each channel moves; a runtime that knows need not shift before it convolves."""
        if self.distance == 0 or (channels < 3 and not self.strict):
            return [0] * channels
        group = -(-channels // 3)
        return [(self.distance, 0, -self.distance)[c // group] for c in range(channels)]

    def forward(self, maps: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the activated map of one map, or of several concatenated along channels."""
        x = torch.cat(list(maps), dim=1) if isinstance(maps, (list, tuple)) else cast(Tensor, maps)
        activated: Tensor = self.act(self.norm(self.conv(depth_shift(x, self.distance, self.strict))))
        return activated


class Encoder(nn.Module):
    """Two blocks a level; the first carries the stride."""

    def __init__(self, method: E2ENet, plan: Plan) -> None:
        super().__init__()
        widths, strides = plan.topology.widths, plan.topology.strides
        kernel = CUBE if method.cubic else FLAT
        padding = (kernel[0] // 2, 1, 1)
        self.levels = nn.ModuleList(
            nn.Sequential(
                Block(nn.Conv3d(n_in, n_out, kernel, stride, padding), method),
                Block(nn.Conv3d(n_out, n_out, kernel, 1, padding), method),
            )
            for n_in, n_out, stride in zip((plan.n_channels, *widths), widths, strides, strict=False)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the map of each level, finest first: (B, widths[i], Z/2^i, …)."""
        maps = [images]
        for level in self.levels:
            maps.append(level(maps[-1]))
        return tuple(maps[1:])


class Node(nn.Module):
    """x(i, j), j ≥ 1: fuses the maps of levels i, i + 1 and i − 1 of the stage before."""

    def __init__(self, method: E2ENet, topology: Topology, level: int, last: bool) -> None:
        super().__init__()
        w, s = topology.widths, topology.strides
        on = 1 - method.sparsity
        fused_on = method.level0_density if level == 0 and method.level0_density else on
        self.up = MaskedConvTranspose3d(w[level + 1], w[level], s[level + 1], on)
        self.down = nn.MaxPool3d(s[level]) if level else None
        self.widths = (w[level], w[level], w[level - 1] if level else 0)  # channels from each of SOURCES
        kernel = CUBE if method.cubic and last else FLAT
        convs = [MaskedConv3d(sum(self.widths), w[level], kernel, fused_on, fuses=True)]
        if last:
            convs.append(MaskedConv3d(w[level], w[level], kernel, fused_on, fuses=True))
        self.fuse = nn.Sequential(*(Block(conv, method) for conv in convs))

    def forward(self, same: Tensor, coarser: Tensor, finer: Tensor | None = None) -> Tensor:
        """Return the fused map, of the size of ``same``."""
        maps = [same, self.up(coarser)]
        if self.down is not None:
            maps.append(self.down(finer))
        fused: Tensor = self.fuse(maps)
        return fused

    def sources(self) -> Tensor:
        """Return how many active kernels read each of SOURCES, (3,) int64."""
        mask = cast(MaskedConv3d, self.fuse[0].conv).mask  # (Cout, Cin)
        return torch.stack([group.sum() for group in mask.split_with_sizes(self.widths, dim=1)])

    def flow(self) -> dict[str, Any]:
        """Return active kernels by source: how many, their share of the node's, and the fraction that is on."""
        counts: list[int] = self.sources().tolist()
        told: dict[str, Any] = {"active_kernels": sum(counts)}
        for name, count, width in zip(SOURCES, counts, self.widths, strict=True):
            possible = width * self.widths[0]
            share, on = count / sum(counts), count / possible if possible else 0.0
            told[name] = {"active_kernels": count, "share": round(share, 6), "density": round(on, 6)}
        return told


class Stage(nn.ModuleList):
    """One column of the triangle: takes the maps of stage j − 1, finest first, and returns one map fewer."""

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Return x(0, j) … x(L−1−j, j)."""
        return tuple(node(maps[i], maps[i + 1], *maps[i - 1 : i]) for i, node in enumerate(self))


class Head(nn.Module):
    """A 1×1×1 convolution without bias on a last node; it also tells where that node's features flow from."""

    sources: Tensor

    def __init__(self, width: int, n_labels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(width, n_labels, 1, bias=False)
        self.register_buffer("sources", torch.zeros(3, dtype=torch.int64))  # active kernels of the node, by source

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, K, Z, Y, X) and the share of active kernels by source, (B, 3)."""
        return self.conv(x), (self.sources / self.sources.sum()).expand(x.shape[0], 3)


class Network(nn.Module):
    """Encoder, fusion stages and heads.

    ``updates`` counts how often the connections were changed since the network was first made.
    """

    updates: Tensor

    def __init__(self, method: E2ENet, plan: Plan) -> None:
        super().__init__()
        t = plan.topology
        n = len(t.widths)
        self.batch_dice = plan.batch_dice
        self.encode = Encoder(method, plan)
        for j in range(1, n):
            self.add_module(f"stage{j}", Stage(Node(method, t, i, last=i + j == n - 1) for i in range(n - j)))
        for i in range(HEADS):
            self.add_module(f"head{i}", Head(t.widths[i], plan.n_labels))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.apply(he_init)
        for masked in self.masked:
            masked.active_gradient = method.gradient == "active"
        for conv in self.masked:
            conv.hold()
        self.refresh()

    @property
    def stages(self) -> list[Stage]:
        """Stages 1 … L−1."""
        return [child for child in self.children() if isinstance(child, Stage)]

    @property
    def nodes(self) -> dict[tuple[int, int], Node]:
        """Node x(i, j) by (i, j), stage after stage."""
        return {(i, j): cast(Node, n) for j, stage in enumerate(self.stages, 1) for i, n in enumerate(stage)}

    @property
    def supervised(self) -> list[Head]:
        """Heads, finest first."""
        return [child for child in self.children() if isinstance(child, Head)]

    @property
    def masked(self) -> list[Masked]:
        """Every masked convolution, in order of construction."""
        return [module for module in self.modules() if isinstance(module, Masked)]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return logits of each head, finest first, each at its own size."""
        maps, last = self.encode(images), []
        for stage in self.stages:
            maps = stage(*maps)
            last.append(maps[-1])
        return [head(x)[0] for head, x in zip(self.supervised, reversed(last), strict=False)]

    def refresh(self) -> None:
        """Tell the heads where the features of their nodes flow from."""
        for head, stage in zip(self.supervised, reversed(self.stages), strict=False):
            head.sources.copy_(cast(Node, stage[-1]).sources())


def performance_trade_off(
    dice: float, best_dice: float, size: float, least_size: float, cost: float, least_cost: float
) -> float:
    """Return the paper's score of accuracy against size and cost: ``dice/best + ½(P_min/P + F_min/F)``.

    Raises
    ------
    MethodError
        A size, cost or best Dice that is not positive.
    """
    if min(best_dice, size, cost) <= 0:
        raise MethodError(f"best Dice {best_dice}, size {size} and cost {cost} are compared; each must be positive.")
    return dice / best_dice + (least_size / size + least_cost / cost) / 2


_Shape = tuple[int, int, int]  # channels, labels, side of the window

_OTHER_LAYERS = "its layers are not known; the same counting fits the rows on AMOS"
_OTHER_ROUNDING = "0.3 % apart, while the cost fits"

# where, what, options, shape, Mparameters, GFLOP, why it does not come out: of the size, of the cost
_PUBLISHED: tuple[tuple[str, str, dict[str, Any], _Shape, float, float, str, str], ...] = (
    ("AMOS", "dense", {"sparsity": 0.0}, (1, 16, 128), 23.90, 3069.55, "", ""),
    ("AMOS", "S=0.7", {"sparsity": 0.7, "level0_density": 0.2}, (1, 16, 128), 11.23, 969.32, "", ""),
    ("AMOS", "S=0.8", {"sparsity": 0.8}, (1, 16, 128), 9.44, 778.74, "", ""),
    ("AMOS", "S=0.9", {"sparsity": 0.9}, (1, 16, 128), 7.64, 492.29, "", ""),
    ("AMOS", "3×3×3, dense", {"sparsity": 0.0, "cubic": True}, (1, 16, 128), 52.54, 4511.57, "", ""),
    ("AMOS", "3×3×3, S=0.7", {"sparsity": 0.7, "cubic": True}, (1, 16, 128), 27.97, 1778.55, "", ""),
    ("AMOS", "width 58, S=0.8", {"sparsity": 0.8, "width": 58}, (1, 16, 128), 10.37, 1119.17, _OTHER_ROUNDING, ""),
    ("BraTS", "dense", {"sparsity": 0.0}, (4, 4, 128), 23.89, 3071.78, "", ""),
    ("BraTS", "S=0.7", {"sparsity": 0.7}, (4, 4, 128), 11.24, 1067.06, "", ""),
    ("BraTS", "S=0.8", {"sparsity": 0.8}, (4, 4, 128), 9.44, 780.97, "", ""),
    ("BraTS", "S=0.9", {"sparsity": 0.9}, (4, 4, 128), 7.63, 494.52, "", ""),
    (
        *("BraTS", "3×3×3, dense", {"sparsity": 0.0, "cubic": True}, (4, 4, 128), 52.55, 4519.26),
        *(_OTHER_LAYERS, _OTHER_LAYERS),
    ),
    (
        *("BraTS", "3×3×3, S=0.7", {"sparsity": 0.7, "cubic": True}, (4, 4, 128), 28.02, 2023.52),
        *(_OTHER_LAYERS, _OTHER_LAYERS),
    ),
    ("BTCV", "S=0.7", {"sparsity": 0.7}, (1, 14, 96), 11.25, 449.00, "", ""),
)

_FLAT_ENDS: dict[str, Any] = {"strides": ((1, 2, 2), *((2, 2, 2),) * 3, (1, 2, 2)), "first_kernel": FLAT}

# nnU-Net as the paper counts it. where, what, its plan, shape, Mparameters, GFLOP (None: printed with another plan)
_BASELINES: tuple[tuple[str, str, dict[str, Any], _Shape, float, float | None], ...] = (
    ("AMOS", "nnU-Net", {}, (1, 16, 128), 31.20, 1067.89),
    ("AMOS", "nnU-Net, first and last stride 1×2×2", _FLAT_ENDS, (1, 16, 128), 30.76, None),
    ("AMOS", "nnU-Net(−), width 27", {"base": 27, "strides": ((2, 2, 2),) * 4}, (1, 16, 128), 12.96, 755.79),
    ("BraTS", "nnU-Net", {}, (4, 4, 128), 31.20, 1076.62),
    ("BTCV", "nnU-Net, first kernel 1×3×3", {"first_kernel": FLAT}, (1, 14, 96), 31.18, 416.73),
)

_Made = Callable[[], nn.Module]


def _published_network(options: dict[str, Any], channels: int, labels: int) -> nn.Module:
    """Return a published network as shapes without memory: six levels, five strides of 2×2×2."""
    method = E2ENet(**options)
    with torch.device("meta"):
        return method.build(method.adapt(Plan.example(channels, labels, window=(128, 128, 128))))


def _baseline(plan: dict[str, Any], channels: int, labels: int) -> nn.Module:
    """Return nnU-Net as shapes without memory."""
    with torch.device("meta"):
        return NnUNetV1(channels, labels, **plan)


# what, printed Dice in %, network for the size, network for the cost, score
_SCORES: tuple[tuple[str, float, _Made, _Made, float], ...] = (
    ("nnU-Net", 90.0, partial(_baseline, _FLAT_ENDS, 1, 16), partial(_baseline, {}, 1, 16), 1.302),
    ("S=0.8", 90.0, *(partial(_published_network, {"sparsity": 0.8}, 1, 16),) * 2, 1.650),
    ("S=0.9", 89.6, *(partial(_published_network, {"sparsity": 0.9}, 1, 16),) * 2, 1.887),
    ("S=0.9, post-processed", 89.9, *(partial(_published_network, {"sparsity": 0.9}, 1, 16),) * 2, 1.891),
)


def _figures(
    data: str, what: str, options: dict[str, Any], shape: _Shape, size: float, cost: float, off_size: str, off_cost: str
) -> Iterator[Figure]:
    made = partial(_published_network, options, *shape[:2])
    yield _size_figure(data, what, shape, size, made, off_size)
    yield _cost_figure(data, what, shape, cost, made, off_cost)


def _baseline_figures(
    data: str, what: str, plan: dict[str, Any], shape: _Shape, size: float, cost: float | None
) -> Iterator[Figure]:
    made = partial(_baseline, plan, *shape[:2])
    yield _size_figure(data, what, shape, size, made)
    if cost is not None:
        yield _cost_figure(data, what, shape, cost, made)


def _size_figure(data: str, what: str, shape: _Shape, value: float, made: _Made, off: str = "") -> Figure:
    where = f"parameters, {what}, {_words(shape)}"
    return Figure(where, value, "M", 0.01, f"results on {data}", lambda: parameters(made()) / 1e6, differs=off)


def _cost_figure(data: str, what: str, shape: _Shape, value: float, made: _Made, off: str = "") -> Figure:
    channels, _, side = shape
    images, where = (channels, side, side, side), f"cost, {what}, {_words(shape)}"
    source = f"results on {data}"
    return Figure(where, value, "GFLOP", 0.01, source, lambda: flops(made(), images, "e2e"), "e2e", differs=off)


def _words(shape: _Shape) -> str:
    channels, labels, side = shape
    return f"{channels}×{side}³, {labels} labels"


def _score(what: str, dice: float, sized: _Made, counted: _Made, value: float) -> Figure:
    """Return the score of a printed Dice with our size and cost, against the best of the paper's table."""

    def ours() -> float:
        size, cost = parameters(sized()) / 1e6, flops(counted(), (1, 128, 128, 128), "e2e")
        return performance_trade_off(dice, BEST_DICE, size, LEAST_SIZE, cost, LEAST_COST)

    return Figure(f"trade-off score, {what}, mean Dice {dice} %", value, "score", 0.002, "results on AMOS", ours)
