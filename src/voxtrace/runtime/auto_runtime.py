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
LEAST_WINOGRAD = 8  # its loops are compiled once a machine, for all networks, and take a second to load


def has_openvino() -> bool:
    """Tell whether the extra is installed, without loading it."""
    return importlib.util.find_spec("openvino") is not None


def choose_runtime(network: nn.Module, device: str, precision: str, calls: int | None) -> tuple[str, str]:
    """Return the runtime for so many calls of each part, None for unknown, and why."""
    if why := _why_torch(network, device):
        return "torch", why
    if calls is None:
        return "torch", "nothing is compiled for a run of unknown length"
    winograd = _prefers_winograd(network, precision)
    least = LEAST_WINOGRAD if winograd else LEAST_CALLS
    if calls < least:
        return "torch", f"a run of {calls} calls is over before compiling pays (from {least})"
    pays = f"a run of {calls} calls pays for compiling (from {least})"
    if winograd:
        return "winograd", f"{pays}, and most convolutions need fewer multiplications in float32"
    if not has_openvino():
        return "torch", "OpenVINO is not installed (pip install 'voxtrace[openvino]')"
    return "openvino", pays


def _why_torch(network: nn.Module, device: str) -> str:
    """Return why torch runs the network as it is, however long the run; empty if something may be compiled."""
    from voxtrace.kernels.sparse import masked_fraction
    from voxtrace.runtime.torch import choose_device

    if choose_device(device)[0].type == "cuda":
        return "CUDA runs in torch"
    if masked_fraction(network) >= MOSTLY_OFF:
        return "most kernels of this network are off, and the torch runtime passes over them"
    return ""


def _prefers_winograd(network: nn.Module, precision: str) -> bool:
    """Tell whether the network will compute in float32, and in what Winograd's way is for: three taps, leaky ReLU."""
    from voxtrace.kernels.winograd import fast_convolutions, is_leaky
    from voxtrace.runtime.torch import cpu_has_bfloat16

    if precision == "bfloat16" or (precision == "auto" and cpu_has_bfloat16()):
        return False
    fast, convolutions = fast_convolutions(network)
    others = any(type(m).__module__ == "torch.nn.modules.activation" and not is_leaky(m) for m in network.modules())
    return 2 * fast >= convolutions and not others
