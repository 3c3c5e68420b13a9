"""Averaged weights: an exponential moving average of what an optimiser walks through (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of the weights that a phase trains; all else of the network is taken as it is.

    Parameters
    ----------
    network
        Whose weights with a gradient are averaged.
    decay
        Of what was before, at each update; less at the start, (1 + n) / (10 + n), so that the first weights do not
        stay. 0 averages nothing.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._trained = {n: p for n, p in network.named_parameters() if p.requires_grad} if decay else {}
        self._decay = decay
        self.updates = 0
        self.values = {name: weight.detach().clone() for name, weight in self._trained.items()}

    @torch.no_grad()
    def add(self) -> None:
        """Take the weights as they are after an update in, but for those that the update did not learn.

        A part that left the training earlier (two of Med-DANet's candidates do) keeps the average of its last updates.
        """
        learned = {name: weight.detach() for name, weight in self._trained.items() if weight.grad is not None}
        if not learned:
            return
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_([self.values[name] for name in learned], list(learned.values()), 1.0 - decay)

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps."""
        if not self._trained:
            return {}
        return {"updates": torch.tensor(self.updates), **{name: value.cpu() for name, value in self.values.items()}}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a checkpoint; without an average in it, from the weights as they are."""
        if not state:
            return
        self.updates = int(state["updates"])
        for name, value in self.values.items():
            value.copy_(state[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average in place of the weights within the block."""
        kept = {name: weight.detach().clone() for name, weight in self._trained.items()}
        self.settle()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weight in self._trained.items():
                    weight.copy_(kept[name])

    @torch.no_grad()
    def settle(self) -> None:
        """Put the average in place of the weights for good; what a mask switches off stays 0."""
        for name, weight in self._trained.items():
            weight.copy_(torch.where(weight == 0, weight, self.values[name]))
