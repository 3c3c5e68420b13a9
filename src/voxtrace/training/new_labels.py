"""How labels begin that a bundle does not know: rare, and out of the background.

A new label's score is the background's, lowered so that it has a tenth of the background's probability.
So every label that the bundle knows keeps its answer until the new one is learned, and the new one is found among what
was background before. Rows drawn at random would take voxels from every label at once. The rows of a new label then
learn faster than all else, which fine-tuning changes slowly (where the optimiser is ``sgd``: Adam's steps do not depend
on the gradient's size).

References
----------
Cermelli et al., "Modeling the Background for Incremental Learning in Semantic Segmentation", CVPR 2020,
arXiv:2002.00718: new rows are the background's, with a share of its probability.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

RARE = 0.1  # of the background's probability
FASTER = 10.0  # times the method's own rate
MOST = 100.0  # times the rate of all else, which is a tenth of the method's own where no other is asked for

Axes = tuple[tuple[int, int], ...]  # for each axis of a tensor: how much a channel adds, and a label


@torch.no_grad()
def begin_rare(
    network: nn.Module,
    labels: tuple[Sequence[int], Sequence[int]],
    n_channels: int,
    axes: Mapping[str, Axes],
    taken: Collection[str],
) -> dict[str, list[int]]:
    """Set what belongs to new labels in the weights ``taken`` over from a bundle; return the rows of heads by name.

    A head's bias is lowered by log 10. Heads without a bias have a mean of rows instead, half of it the background's,
    half all labels': it never exceeds the largest of them.

    Parameters
    ----------
    network
        Holds the bundle's rows already; its label 0 is the background.
    labels
        Values of the labels that the bundle knows, and of those that it does not.
    n_channels
        Image channels, which come before labels along an axis that counts both.
    axes
        For each tensor by name what its axes count; see :func:`voxtrace.training.takeover.counting_axes`.
    taken
        Names of the tensors of which the other rows are the bundle's.
    """
    known, new = (list(values) for values in labels)
    begun: dict[str, list[int]] = {}
    weights = {name: weight for name, weight in network.named_parameters() if name in taken}
    for name, weight in weights.items() if new else ():
        for axis, (by_channel, by_label) in enumerate(axes[name]):
            if by_label and axis == 0:
                lowered = f"{name.rpartition('.')[0]}.bias" in weights
                weight[new], begun[name] = _rare(weight[known], lowered), new
            elif by_label:  # nothing is read of a new label yet
                rows = torch.tensor([by_channel * n_channels + value for value in new], device=weight.device)
                weight.index_fill_(axis, rows, 0.0)
    return begun


def _rare(known: Tensor, lowered: bool) -> Tensor:
    """Return a new label's row, given those of the known labels (labels, …), the background's first."""
    background = known[0]
    if known.ndim == 1:
        return background + math.log(RARE)
    return background.clone() if lowered else (background + known.mean(0)) / 2


def times_faster(rate: float, own: float) -> float:
    """Return how many times as fast a new label's rows learn, at a rate of all else and the method's own.

    Examples
    --------
    >>> [times_faster(rate, own=0.01) for rate in (1e-9, 0.001, 0.01, 1.0)]
    [100.0, 100.0, 10.0, 1.0]
    """
    return float(min(MOST, max(1.0, FASTER * own / rate)))


def learn_faster(network: nn.Module, rows: Mapping[str, Sequence[int]], times: float) -> None:
    """Multiply the gradient of rows of weights, by the weights' names, from now on."""
    for name, those in rows.items():
        weight = network.get_parameter(name)
        factors = torch.ones(len(weight), *[1] * (weight.ndim - 1))
        factors[list(those)] = times
        weight.register_hook(partial(_multiplied, factors=factors))  # type: ignore[no-untyped-call]


def _multiplied(gradient: Tensor, factors: Tensor) -> Tensor:
    return gradient * factors.to(gradient.device, gradient.dtype)
