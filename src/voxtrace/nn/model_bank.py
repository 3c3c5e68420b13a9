"""Med-DANet's networks on slices: the decision network D, the candidates M_1 … M_4, and what each of them costs.

::

                  ┌─ 0  skip: background, nothing is run
    slice ── D ───┼─ 1  M_1  U-Net, base width 12
                  ├─ 2  M_2  U-Net, base width 16
                  ├─ 3  M_3  the same with 1 transformer layer
                  └─ 4  M_4  the same with 4 transformer layers

Inside a network the parts keep the short names under which their weights are stored: ``router`` is D, ``expert1`` …
``expert4`` are M_1 … M_4.

References
----------
Wang et al., "Med-DANet: Dynamic Architecture Network for Efficient Medical Volumetric Segmentation", ECCV 2022,
arXiv:2206.06575.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from voxtrace.nn.flops import flops
from voxtrace.nn.shufflenet import ShuffleNet
from voxtrace.nn.transbts import BLOCKS, SliceTransBTS, SliceUNet
from voxtrace.plan import Plan, Shape, Topology

CANDIDATES = ("expert1", "expert2", "expert3", "expert4")  # M_1 … M_4
DECISION = len(CANDIDATES) + 1  # stands for D among the actions that cost, after skip and the candidates
BASES = (12, 16, 16, 16)  # published channels at full resolution
DEPTHS = (0, 0, 1, 4)  # transformer layers
TOKEN_WIDTH, HEADS = 512, 8
NEVER = -110.0  # exp(−110) is 0 in float32
WAYS = ("at_once", "skip_first")  # in which D's scores decide
FIRST_FRACTION = 0.01  # of the voxels, that an untrained candidate gives to each label


class MedDANetNetwork(nn.Module):
    """Children ``router`` (D), ``expert1`` … ``expert4`` (M_1 … M_4), ``skip`` and ``cost``; the last have no weights.

    Candidates map images (B, C, 1, Y, X) to logits (B, K, 1, Y, X), the decision network to scores (B, 5).
    """

    def __init__(self, plan: Plan, scale: float) -> None:
        super().__init__()
        self.router = decision_network(plan.n_channels)
        for index, name in enumerate(CANDIDATES):
            self.add_module(name, candidate(index, plan.n_channels, plan.n_labels, plan.window, scale))
        # Parts without weights: inference gets only parts, and needs the labels and the costs.
        self.skip = Skip(plan.n_labels)
        self.cost = ActionCost(plan, scale)

    @property
    def candidates(self) -> list[tuple[str, nn.Module]]:
        """M_1 … M_4, each with its part's name, the cheapest first."""
        return [(name, self.get_submodule(name)) for name in CANDIDATES]

    def is_shown(self, labels: Tensor) -> Tensor:
        """Return which slices (B,) of labels (B, 1, Y, X) show a label; voxels that nobody annotated show none."""
        return ((labels > 0) & (labels < self.skip.n_labels)).flatten(1).any(1)

    def counted(self, images: Tensor) -> list[Tensor]:
        """Return scores and logits of D and every candidate, each run once: more than any window costs in inference."""
        return [self.router(images), *(network(images) for _, network in self.candidates)]


class Skip(nn.Module):
    """The answer for a skipped slice: images (B, C, 1, Y, X) to logits (B, K, 1, Y, X) of certain background."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        self.n_labels = n_labels

    def forward(self, images: Tensor) -> Tensor:
        """Return 0 for the background and next to minus infinity for every other label."""
        logits = images.new_full((len(images), self.n_labels, *images.shape[2:]), NEVER)  # (B, K, 1, Y, X)
        logits[:, 0] = 0.0
        return logits


class ActionCost(nn.Module):
    """Cost of actions: (B,) to GFLOP (B,); 0 skips, 1 … 4 run a candidate, ``DECISION`` runs the decision network."""

    def __init__(self, plan: Plan, scale: float) -> None:
        super().__init__()
        self.of = (plan.n_channels, plan.n_labels, plan.window, scale)

    def forward(self, actions: Tensor) -> Tensor:
        """Return GFLOP (B,) on a window of the plan, two a multiply-add."""
        chosen = actions.tolist()
        # Counting a network takes a fraction of a second: only those that were chosen are counted.
        gflop = {action: cost(action - 1, *self.of, "true") if action else 0.0 for action in set(chosen)}
        return torch.tensor([gflop[action] for action in chosen], device=actions.device)

    def published(self, device: torch.device) -> Tensor:
        """Return F (4,): GMAC of the candidates, as the paper counts."""
        return torch.tensor(costs(*self.of, "fvcore-old")[: len(CANDIDATES)], device=device)


def largest(scores: Tensor) -> Tensor:
    """Return the action (B,) with the largest of D's five scores (B, 5), as published."""
    return scores.argmax(1)


def whether_then_which(scores: Tensor, above: float = 0.5) -> Tensor:
    """Return 0 (B,) where D gives skipping more than ``above``, else the candidate with the largest score (ours).

    Four candidates that are equally good share what is left: skipping has the largest score with 0.21.

    Examples
    --------
    >>> p = torch.tensor([[0.40, 0.14, 0.16, 0.15, 0.15]])
    >>> int(largest(p.log())), int(whether_then_which(p.log()))
    (0, 2)
    """
    skips = scores[:, 0] - scores[:, 1:].logsumexp(1) > math.log(above / (1.0 - above))
    return torch.where(skips, 0, 1 + scores[:, 1:].argmax(1))


def decided(scores: Tensor, way: str, above: float = 0.5) -> Tensor:
    """Return the action (B,) that D's scores (B, 5) decide in one of ``WAYS``; ``above`` is of ``skip_first``."""
    return largest(scores) if way == "at_once" else whether_then_which(scores, above)


def decision_network(n_channels: int) -> ShuffleNet:
    """Return D, untrained: images (B, C, 1, Y, X) to scores (B, 5)."""
    return ShuffleNet(n_channels, 1 + len(CANDIDATES))


def candidate(index: int, n_channels: int, n_labels: int, window: Shape, scale: float) -> SliceUNet | SliceTransBTS:
    """Return one of M_1 … M_4, counted from 0, untrained, at ``scale`` times the published widths."""
    base = _scaled(BASES[index], scale)
    network: SliceUNet | SliceTransBTS
    if DEPTHS[index]:
        # The number of heads stays, so the token's width grows and shrinks by whole multiples of it.
        width = HEADS * _scaled(TOKEN_WIDTH // HEADS, scale)
        network = SliceTransBTS(
            n_channels, n_labels, window[1:], base=base, width=width, depth=DEPTHS[index], heads=HEADS
        )
    else:
        network = SliceUNet(n_channels, n_labels, base)
    _start_with_background(network.decode.head)
    return network


def slice_topology(base_width: int) -> Topology:
    """Return stages that halve a slice three times, for the plan's base width; the candidates' own is half of it."""
    widths = tuple(base_width * 2**level for level in range(len(BLOCKS)))
    stride: Shape = (1, 2, 2)
    return Topology(widths=widths, kernels=((1, 3, 3),) * 4, strides=((1, 1, 1), stride, stride, stride))


def costs(n_channels: int, n_labels: int, window: Shape, scale: float, convention: str) -> tuple[float, ...]:
    """Return what M_1 … M_4 and D cost on a window, see :func:`voxtrace.nn.flops.flops`."""
    return tuple(cost(index, n_channels, n_labels, window, scale, convention) for index in range(DECISION))


@lru_cache(maxsize=256)
def cost(index: int, n_channels: int, n_labels: int, window: Shape, scale: float, convention: str) -> float:
    """Return what one of M_1 … M_4 and D, counted from 0, costs on a window."""
    # The weights do not matter, but drawing them must not change the random numbers of others.
    with torch.random.fork_rng(devices=[]):
        is_candidate = index < len(CANDIDATES)
        network = (
            candidate(index, n_channels, n_labels, window, scale) if is_candidate else decision_network(n_channels)
        )
    return flops(network, (n_channels, *window), convention, in_memory=True)


def _start_with_background(head: nn.Conv2d) -> None:
    """Set a head's bias so that each label begins with ``FIRST_FRACTION`` of the voxels, the background with the rest.

    The loss leaves the background out. From equal fractions, the label with the lowest Dice takes the background over;
    there the loss is flat and hardly moves it back.
    """
    assert head.bias is not None
    with torch.no_grad():
        head.bias.zero_()
        head.bias[0] = math.log(1.0 / FIRST_FRACTION - (head.out_channels - 1))


def _scaled(width: int, scale: float) -> int:
    return max(1, round(width * scale))
