"""E2ENet: features of every level flow to every level, over sparse connections that training itself selects.

Idea: an encoder gives L levels of features, and a triangle of nodes fuses them stage by stage: the same level, the
coarser one (up) and the finer one (down). Convolutions are flat, 1×3×3; before each, a third of the channels moves a
slice up and a third a slice down (*restricted depth shift*). Most kernels of the fusions are off, and every ΔT
iterations the weakest are exchanged for others (*dynamic sparse feature fusion*, DSFF)::

    x(i, j) = F([ x(i, j−1), U(x(i+1, j−1)), D(x(i−1, j−1)) ])       i + j < L        (eq. 1)
    F, U use θ ⊙ M,   |M| = (1 − S)·Cin·Cout                         in each tensor    (eq. 2)

    every ΔT iterations, in each tensor                                                (Algorithm 1)
        n = ⌈f_decay(t)·|M|⌉
        prune  M ← 0 at the n active kernels of smallest L1 norm
        grow   M ← 1 at n inactive kernels drawn at random, θ = 0 there

Legend: i level (0 finest), j stage (0 is the encoder), L levels; F fusion (two convolutions where i + j = L − 1, else
one), U transposed convolution, D maximum pooling; θ weights, M mask over kernels (a kernel is all weights between one
input and one output channel), S sparsity; t iteration, T iterations of the run, ΔT (``delta_T``) iterations between two
updates of M, f_decay the fraction of active kernels that an update exchanges. The paper writes x^{j,i}, stage first,
and counts levels from 1. Its text masks F alone; its code and its sizes mask U as well, and so does this file.

Steps are the heads on the last nodes of the levels, from coarse to fine: x(3, L−4) … x(0, L−1). A head whose loss has
weight 0 is not trained and gives no step; with the paper's weights three heads remain.

The network is in :mod:`voxtrace.nn.sparse_fusion`, what the paper prints in :mod:`voxtrace.methods.published.e2enet`.

References
----------
Wu et al., "E2ENet: Dynamic Sparse Feature Fusion for Accurate and Efficient 3D Medical Image Segmentation",
NeurIPS 2024, arXiv:2312.04727.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from voxtrace.errors import MethodError, PlanError
from voxtrace.method import Alike, Batch, Figure, Method, Noise, Parts, Step, TrainState, option
from voxtrace.methods.published import e2enet as published
from voxtrace.nn.losses import supervised_loss
from voxtrace.nn.masked import Masked
from voxtrace.nn.sparse_fusion import FLAT, HEADS, SOURCES, E2ENetNetwork, FusionOptions, depth_moves
from voxtrace.plan import Plan, Topology, check_divisible
from voxtrace.trace import NodeChart

PUBLISHED_WIDTH, PLANNED_WIDTH, WIDEST = 48, 32, 320
PUBLISHED_ITERATIONS = 250_000
HEAD_WEIGHTS = {"paper": [4 / 7, 2 / 7, 1 / 7, 0.0], "code": [8 / 15, 4 / 15, 2 / 15, 1 / 15]}
STATIC = {"dynamic": (False,)}  # connections that stay
DENSE = (Alike({"sparsity": (0.0,), "level0_density": (0.0, 1.0)}),)  # connections that are all on
FACTS = tuple(f"{source}_share" for source in SOURCES)


@dataclass(frozen=True)
class E2ENet(Method):
    """Dynamic sparse feature fusion with restricted depth shift."""

    key: ClassVar[str] = "e2enet"
    title: ClassVar[str] = "E2ENet"
    source: ClassVar[str] = "Wu et al., E2ENet, NeurIPS 2024, arXiv:2312.04727"
    facts: ClassVar[Mapping[str, str]] = dict.fromkeys(FACTS, "fraction")
    step_word: ClassVar[str] = "head"
    overlapping: ClassVar[bool] = True
    training_facts: ClassVar[Mapping[str, str]] = {
        "density": "fraction",
        "f_decay": "fraction",
        "topology_updates": "update",
    }

    width: int = option(
        0, "Channels of the finest level; 0 takes 1.5 times the planned U-Net's, 48 for nnU-Net's 32.", low=0, high=320
    )
    sparsity: float = option(
        0.8, "S, the fraction of fusion kernels that are off; 0 is the dense network.", low=0, high=0.99
    )
    level0_density: float = option(
        0.0,
        "Fraction of kernels that are on where the finest level is fused; 0 takes 1 − S as elsewhere.",
        low=0,
        high=1,
        alike_where=(Alike({"sparsity": (0.0,)}, (0.0, 1.0)),),
    )
    dynamic: bool = option(
        True,
        "Prune and regrow connections during training; false keeps the first random ones, or in fine-tuning, where it "
        "is the default, the bundle's.",
        alike_where=DENSE,
    )
    update_every: int = option(
        1200,
        "ΔT, iterations between two updates of connections, in a run of 250,000; other runs keep the ratio.",
        low=1,
        unread_where=STATIC,
        alike_where=DENSE,
    )
    shift: int = option(
        1,
        "Slices that a third of the channels moves up and a third down; 0 keeps them in place.",
        low=0,
        high=16,
        unread_where={"cubic": (True,)},
    )
    shift_axis: Literal["z", "y", "x"] = option(
        "z",
        "Axis along which channels are shifted and kernels are flat: depth with 1×3×3 (paper), or, to compare, Y with "
        "3×1×3 or X with 3×3×1.",
        unread_where={"cubic": (True,)},
    )
    strict_shift: bool = option(
        False,
        "Shift maps of one or two channels, too, as the released code does.",
        unread_where={"cubic": (True,), "shift": (0,)},
    )
    cubic: bool = option(False, "Ablation: 3×3×3 kernels in encoder and last nodes instead of the depth shift.")
    heads: Literal["paper", "code"] = option(
        "paper", "Weights of the heads in training, finest first: 4:2:1:0 (paper) or 8:4:2:1 (released code)."
    )
    grow: Literal["paper", "code"] = option(
        "paper",
        "Where new connections come from: those that were off before pruning (paper), or all that are off (released "
        "code, which lets pruned ones return).",
        unread_where=STATIC,
        alike_where=DENSE,
    )
    gradient: Literal["all", "active"] = option(
        "all",
        "Gradient of kernels that are off: computed, as published, and counted in clipping, or left out, which trains "
        "twice as fast on a CPU.",
        alike_where=DENSE,
    )

    @property
    def steps(self) -> int:
        """Heads that are trained: three with the paper's weights, four with the code's."""
        return sum(weight > 0 for weight in HEAD_WEIGHTS[self.heads])

    # The network

    def adapt(self, plan: Plan) -> Plan:
        """Return the plan with this method's levels, or refuse a window that cannot be halved as planned.

        Strides stay the plan's. Four heads need five levels: levels for which the window has no room keep the size of
        the one before. Kernels become 1×3×3, which also marks a plan as adapted.
        """
        planned = plan.topology
        if len(planned.widths) < 2:
            raise PlanError(f"e2enet fuses levels, and the plan has {len(planned.widths)}; use a larger window.")
        strides = planned.strides + ((1, 1, 1),) * (HEADS + 1 - len(planned.strides))
        width = self.width or _first_width(planned)
        topology = Topology(widths=level_widths(width, len(strides)), kernels=(FLAT,) * len(strides), strides=strides)
        check_divisible(plan.window, topology)
        axis = self._axis
        if plan.window[axis] < 2 * topology.divisor[axis]:
            raise PlanError(
                f"window {plan.window} has {plan.window[axis] // topology.divisor[axis]} slice at the coarsest level, "
                f"and e2enet shifts features along {('depth', 'Y', 'X')[axis]}; use a window of at "
                f"least {2 * topology.divisor[axis]} along {self.shift_axis.upper()}."
            )
        return plan.model_copy(update={"topology": topology})

    def build(self, plan: Plan) -> nn.Module:
        """Return the network: children ``encode``, ``stage1`` … ``stage{L−1}``, ``head0`` … ``head3``."""
        S = self.sparsity
        active = self.gradient == "active"
        options = FusionOptions(
            1 - S, self.level0_density, self.shift, self.strict_shift, self.cubic, active, self._axis
        )
        return E2ENetNetwork(plan, options)

    def fine_tuned(self, other: Method | None = None) -> Self:
        """Return the method with connections that stay: the first update would prune half of the trained kernels."""
        return replace(self, dynamic=False)

    def check_start(self, other: Method | None) -> None:
        """Refuse another density than that of the weights it begins from: their connections are taken over."""
        if isinstance(other, E2ENet) and (self.sparsity, self._densest) != (other.sparsity, other._densest):
            name = "sparsity" if self.sparsity != other.sparsity else "level0_density"
            raise MethodError(
                f"e2enet: {name} is {getattr(self, name)}, but training goes on with the connections of the bundle, "
                f"trained with {name}={getattr(other, name)}; leave {name} out, or train from scratch."
            )

    def may_reorder_channels(self, plan: Plan, order: tuple[int, ...]) -> bool:
        """Return whether each channel is shifted along depth as the one that it becomes."""
        if self.cubic:
            return True
        moves = depth_moves(len(order), self.shift, self.strict_shift)
        return [moves[before] for before in order] == moves

    @property
    def _densest(self) -> float:
        return self.level0_density or 1 - self.sparsity

    @property
    def _axis(self) -> int:
        return "zyx".index(self.shift_axis)

    # Inference and loss

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        """Yield the decision of each trained head, coarse to fine; each stage ends in the last node of a level."""
        L = 1 + sum(name.startswith("stage") for name in parts)
        x: Any = parts["encode"](images)  # x(0, 0) … x(L−1, 0), each (B, w[i], Z/2^i, Y/2^i, X/2^i)
        for j in range(1, L):
            x = parts[f"stage{j}"](*x)  # eq. 1: x(0, j) … x(L−1−j, j)
            i = L - 1 - j  # level of the last node
            if i < self.steps:
                logits, shares = parts[f"head{i}"](x[-1])  # (B, K, Z/2^i, Y/2^i, X/2^i), (B, 3)
                size = images.shape[2:]
                logits = functional.interpolate(logits.float(), size, mode="trilinear")  # (B, K, Z, Y, X)
                yield Step(logits, dict(zip(FACTS, shares.unbind(1), strict=True)))

    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        """Return Dice and cross-entropy over the heads."""
        net, weights = cast(E2ENetNetwork, network), HEAD_WEIGHTS[self.heads]
        heads = network(batch.images)
        return supervised_loss(heads, batch.labels, weights=weights, over_batch=net.batch_dice, regions=net.regions)

    # Dynamic sparse feature fusion (Algorithm 1)

    def after_update(self, network: nn.Module, optimizer: torch.optim.Optimizer, state: TrainState) -> None:
        """Zero what is off, in weights and momentum; every ΔT iterations prune and grow."""
        net = cast(E2ENetNetwork, network)
        for conv in net.masked:
            conv.apply_mask(optimizer.state)  # eq. 2: θ ← θ ⊙ M, and the momentum of θ likewise
        if state.iteration == 0:
            net.count_sources()  # a run that starts from a bundle takes its connections over
        t, before, T = _time(state), _time_before(state), state.phase.iterations
        delta_T = self.update_interval(T)
        # Where time ends the phase, an iteration may pass a multiple of ΔT, or several: that is one update.
        # No update after the last iteration: kernels that it grew would stay 0.
        if not self.dynamic or t >= T or t // delta_T == before // delta_T:
            return
        if net.is_dense:  # nothing to exchange, and so no update
            return
        for conv in net.masked:
            prune_and_grow(conv, f_decay(t, T), optimizer.state, state.rng, returns=self.grow == "code")
        net.updates += 1
        net.count_sources()

    def training_report(self, network: nn.Module, state: TrainState) -> Mapping[str, float]:
        """Return how many kernels are on, which fraction an update exchanges now, and how often M was updated."""
        net = cast(E2ENetNetwork, network)
        kernels = sum(conv.mask.numel() for conv in net.masked)
        return {
            "density": sum(conv.active_kernels for conv in net.masked) / max(1, kernels),
            "f_decay": f_decay(_time(state), state.phase.iterations) if self.dynamic and not net.is_dense else 0.0,
            "topology_updates": int(net.updates),
        }

    def update_interval(self, T: int) -> int:
        """Return ΔT in a run of T iterations: the published ratio, about 208 updates a run; at least 1."""
        return max(1, round(self.update_every * T / PUBLISHED_ITERATIONS))

    # The card of a bundle, and the published figures

    def describe(self, network: nn.Module) -> dict[str, Any]:
        """Return how sparse the network is, how often its connections changed, and the sources of each node."""
        net = cast(E2ENetNetwork, network)
        kernels = sum(conv.mask.numel() for conv in net.masked)
        active = sum(conv.active_kernels for conv in net.masked)
        return {
            "kernels": kernels,
            "active_kernels": active,
            "sparsity": round(1 - active / kernels, 6),
            "topology_updates": int(net.updates),
            "nodes": [{"level": i, "stage": j, **node.connections()} for (i, j), node in net.nodes.items()],
        }

    def charts(self, network: nn.Module) -> tuple[NodeChart, ...]:
        """Return for each node how its active kernels are shared by source, and which fraction of each source is on.

        A source of many channels has a large share, also where few of its kernels are on.
        """
        nodes = cast(E2ENetNetwork, network).nodes
        levels = range(1 + max(i for i, _ in nodes))  # as many as stages
        shares, densities = np.full((2, len(levels), len(levels), len(SOURCES)), np.nan, np.float32)
        for (i, j), node in nodes.items():
            counts = node.sources().double().cpu().numpy()
            shares[i, j - 1] = counts / counts.sum()
            densities[i, j - 1] = counts / np.maximum(1, np.multiply(node.widths, node.widths[0]))  # 0 without a source
        rows, columns = tuple(f"level {i}" for i in levels), tuple(f"stage {i + 1}" for i in levels)
        return (
            NodeChart("connections by source", "fraction", rows, columns, SOURCES, shares),
            NodeChart("active fraction of each source", "fraction", rows, columns, SOURCES, densities),
        )

    @classmethod
    def figures(cls) -> tuple[Figure, ...]:
        """Return the published sizes, costs and scores, those of the baseline included."""

        def build(options: Mapping[str, Any], plan: Plan) -> nn.Module:
            method = cls(**options)
            return method.build(method.adapt(plan))

        return published.figures(build)


def f_decay(t: int, T: int) -> float:
    """Return the fraction of active kernels exchanged at iteration t of T: cosine decay from ½ to 0.001.

    The floor of 0.001 is the released code's; the paper has none.

    Examples
    --------
    >>> [round(f_decay(t, 250_000), 6) for t in (0, 62_500, 125_000)]
    [0.5, 0.426923, 0.2505]
    """
    return 0.001 + 0.2495 * (1 + math.cos(math.pi * (t / T)))


def _time(state: TrainState) -> int:
    """Return the iteration of an update, from 1; where time ends the phase, the one that is due at this time."""
    return round(state.progress * state.phase.iterations) + 1


def _time_before(state: TrainState) -> int:
    """Return the same of the update before; 0 at the first."""
    if state.iteration == 0:
        return 0
    return _time(replace(state, iteration=state.iteration - 1, spent=state.spent_before))


@torch.no_grad()
def prune_and_grow(
    conv: Masked, fraction: float, optimizer_state: Any, rng: torch.Generator, returns: bool = False
) -> None:
    """Exchange up to ``⌈fraction · active⌉`` kernels of one tensor; the number of active ones does not change.

    Growth draws from the kernels that were off before pruning (Algorithm 1, lines 20 and 21); where fewer were off, so
    many are exchanged. With ``returns`` it draws from all that are off after it, those just pruned included, as the
    released code does. A dense tensor stays as it is.
    """
    M = conv.mask.view(-1)  # (kernels,)
    if bool(M.all()):
        return
    n = math.ceil(fraction * conv.active_kernels)
    inactive = (~M).nonzero()[:, 0]
    if not returns:
        n = min(n, inactive.numel())

    # Prune: exactly n active kernels of smallest L1 norm, also where norms are equal.
    L1 = conv.weight.float().abs().sum((2, 3, 4)).flatten()  # (kernels,)
    M[L1.masked_fill(~M, math.inf).topk(n, largest=False).indices] = False
    conv.apply_mask(optimizer_state)

    # Grow: weight and momentum of inactive kernels are 0, so the output does not jump.
    if returns:
        inactive = (~M).nonzero()[:, 0]
    drawn = torch.randperm(inactive.numel(), generator=rng, device=rng.device)[:n]
    M[inactive[drawn.to(inactive.device)]] = True


def level_widths(width: int, n_levels: int) -> tuple[int, ...]:
    """Return the channels of each level: doubled from level to level, up to 320 (narrow networks: 320/48 · width).

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
    """Return the channels of level 0: those of a plan that was adapted already, else 48/32 times the planned ones."""
    if set(planned.kernels) == {FLAT}:
        return planned.widths[0]
    return max(1, round(planned.widths[0] * PUBLISHED_WIDTH / PLANNED_WIDTH))
