"""Sums and statistics over a mini-batch whose windows lie in several processes that train together.

Such processes hold equal shares of the mini-batch and average their gradients. A loss that is a mean over windows needs
nothing of this; one with a sum over the whole mini-batch inside a ratio, as Dice over the batch, does.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F


def over_processes(part: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes that train together; alone, the tensor itself.

    The gradient flows back to every process, such that the mean of their gradients is that of one process with the
    whole mini-batch. Every process must call it, in the same order.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return part
    summed: Tensor = _Summed.apply(part)  # type: ignore[no-untyped-call]
    return summed


class _Summed(torch.autograd.Function):
    """The sum over processes; the gradient of a sum is the sum of the gradients."""

    @staticmethod
    def forward(context: object, part: Tensor) -> Tensor:
        summed = part.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        summed = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed)
        return summed


class BatchNormAcross(nn.BatchNorm2d):
    """A batch norm of maps (B, C, Y, X) with the mean and variance of the windows of all processes."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return normalised maps; in evaluation, by the running statistics."""
        if not self.training:
            return super().forward(maps)
        x = maps.float()
        n = over_processes(x.new_tensor(float(x.numel() // x.shape[1])))
        mean = (over_processes(x.sum((0, 2, 3), dtype=torch.float64)) / n).to(x.dtype)
        centred = x - mean[:, None, None]
        variance = (over_processes(centred.square().sum((0, 2, 3), dtype=torch.float64)) / n).to(x.dtype)
        self._remember(mean.detach(), variance.detach() * n / (n - 1))
        scaled = centred * (variance + self.eps).rsqrt()[:, None, None]
        return (scaled * self.weight[:, None, None] + self.bias[:, None, None]).to(maps.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of this mini-batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class DropoutOfPart(nn.Dropout):
    """A dropout that draws for the whole mini-batch and applies what belongs to the windows at hand."""

    part, parts = 0, 1

    def forward(self, values: Tensor) -> Tensor:
        """Return values (B, …) of which a fraction is 0 in training."""
        return _dropped(self, values, values.shape[1:]) if self.training else values


class DropoutOfPart2d(nn.Dropout2d):
    """As :class:`DropoutOfPart`, of whole channels of maps (B, C, Y, X)."""

    part, parts = 0, 1

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of which a fraction of the channels is 0 in training."""
        return _dropped(self, maps, (maps.shape[1], 1, 1)) if self.training else maps


def _dropped(layer: DropoutOfPart | DropoutOfPart2d, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    if len(values) == 0 or layer.p == 0:
        return F.dropout(values, layer.p, training=True)
    kept = torch.empty((len(values) * layer.parts, *shape), dtype=values.dtype, device=values.device)
    kept = kept.bernoulli_(1.0 - layer.p).div_(1.0 - layer.p)
    return values * kept.chunk(layer.parts)[layer.part]


_OF_PARTS: dict[type[nn.Module], type[nn.Module]] = {nn.Dropout: DropoutOfPart, nn.Dropout2d: DropoutOfPart2d}


def share_batches(network: nn.Module, processes: bool) -> None:
    """Let layers whose answer depends on the whole mini-batch see it as one, although only a part is at hand.

    Where several processes have the parts, batch norms take their statistics over all of them.
    """
    kinds = {**_OF_PARTS, nn.BatchNorm2d: BatchNormAcross} if processes else _OF_PARTS
    for layer in network.modules():
        if type(layer) in kinds:
            layer.__class__ = kinds[type(layer)]


def set_part(network: nn.Module, part: int, parts: int) -> None:
    """Say which part of the mini-batch runs next."""
    for layer in network.modules():
        if isinstance(layer, (DropoutOfPart, DropoutOfPart2d)):
            layer.part, layer.parts = part, parts
