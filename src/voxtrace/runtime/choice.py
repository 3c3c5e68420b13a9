"""Which runtime suits a network, and the sentence that says why.

Compiling takes 1 to 4 s for each part of a network, once a machine, and every call after that is two to seven times
faster (measured in docs/performance.md). The choice looks at the network and the length of the run and never at what
was compiled before, so the same command gives the same labels on the first day and on the second.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

MOSTLY_OFF = 0.5  # share of kernels that masks switch off from which passing over them beats compiled convolutions
LEAST_CALLS = 24  # a window of 100,000 voxels that takes 0.5 s in torch and 0.2 s compiled: 7 s are saved, 5 s spent


def has_openvino() -> bool:
    """Tell whether the extra is installed, without loading it."""
    return importlib.util.find_spec("openvino") is not None


def choose_runtime(network: nn.Module, device: str, calls: int | None) -> tuple[str, str]:
    """Return ``"torch"`` or ``"openvino"`` for a run of so many calls of each part, None for unknown, and why."""
    from voxtrace.runtime.sparse import share_off
    from voxtrace.runtime.torch import choose_device

    if choose_device(device)[0].type == "cuda":
        return "torch", "CUDA runs in torch"
    if not has_openvino():
        return "torch", "OpenVINO is not installed (pip install 'voxtrace[openvino]')"
    if share_off(network) >= MOSTLY_OFF:
        return "torch", "most kernels of this network are off, and the torch runtime passes over them"
    if calls is None:
        return "torch", "nothing is compiled for a run of unknown length"
    if calls < LEAST_CALLS:
        return "torch", f"a run of {calls} calls is over before compiling pays (from {LEAST_CALLS})"
    return "openvino", f"a run of {calls} calls pays for compiling (from {LEAST_CALLS})"
