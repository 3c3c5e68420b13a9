"""The Winograd runtime: a network on the CPU in float32, its convolutions as Winograd convolutions."""

from __future__ import annotations

import copy

from torch import nn

from voxtrace.errors import UsageError
from voxtrace.kernels import winograd_parts
from voxtrace.kernels.winograd.coverage import fast_convolutions
from voxtrace.runtime.interrupt import interrupts
from voxtrace.runtime.loaded import LoadedNetwork

__all__ = ["open_winograd"]


def open_winograd(network: nn.Module, device: str, precision: str) -> LoadedNetwork:
    """Return the network's children on the CPU in float32; see :func:`voxtrace.runtime.open_runtime`.

    Raises
    ------
    UsageError
        Another device or precision was asked for.
    """
    if device not in ("auto", "cpu") or precision not in ("auto", "float32"):
        raise UsageError(
            f"runtime 'winograd' computes in float32 on the CPU; device {device!r} and precision {precision!r} were "
            "asked for. Use runtime 'auto'."
        )
    if any(p.device.type != "cpu" for p in network.parameters()):
        network = copy.deepcopy(network).to("cpu")
    fast, convs = fast_convolutions(network)
    reason = f"{fast} of {convs} convolutions as Winograd convolutions, in float32"
    return LoadedNetwork(winograd_parts(network, interrupts.look), "cpu", "float32", "winograd", reason)
