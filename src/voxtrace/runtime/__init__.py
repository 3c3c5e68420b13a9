"""Runtime: where a network runs, on which device and in which precision.

A network's direct children become *parts*: callables from tensors to tensors. Methods see nothing else, so a part may
be the torch module itself or a compiled twin of it.

=========  ===========================================================================================
runtime    device and precision
=========  ===========================================================================================
torch      ``cpu``: bfloat16 where the processor has instructions for it, else float32;
           ``cuda``: bfloat16 from compute capability 8.0, else float16
=========  ===========================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxtrace.errors import UsageError
from voxtrace.runtime.opened import Opened

if TYPE_CHECKING:
    from torch import nn

__all__ = ["RUNTIMES", "Opened", "open_runtime"]

RUNTIMES = ("torch",)


def open_runtime(network: nn.Module, *, runtime: str = "auto", device: str = "auto", precision: str = "auto") -> Opened:
    """Return the network's direct children as callables, ready to run.

    Parameters
    ----------
    network
        In evaluation mode. It is left where it is and as it is; a device that does not hold it gets a copy.
    runtime
        ``"torch"``, or ``"auto"`` for the best there is.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"``: the first CUDA device, else the CPU.
    precision
        ``"float32"``, ``"bfloat16"``, ``"float16"``, or ``"auto"`` for the fastest that keeps labels the same.

    Raises
    ------
    UsageError
        A runtime or precision that does not exist, or that the device does not have.
    EngineError
        The device was asked for and this machine has none.
    """
    if runtime == "openvino":
        raise UsageError("runtime 'openvino' is not part of this version; use runtime='torch' or 'auto'.")
    if runtime not in ("auto", *RUNTIMES):
        raise UsageError(f"runtime {runtime!r} is unknown; use 'auto' or one of {', '.join(map(repr, RUNTIMES))}.")
    from voxtrace.runtime.torch import open_torch

    return open_torch(network, device, precision)
