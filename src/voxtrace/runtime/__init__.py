"""Runtime: where a network runs, on which device and in which precision.

A network's direct children become *parts*: callables from tensors to tensors. Methods see nothing else, so a part may
be the torch module itself or a compiled twin of it.

=========  ===========================================================================================
runtime    device and precision
=========  ===========================================================================================
torch      ``cpu``: bfloat16 where the processor has instructions for it, else float32;
           ``cuda``: bfloat16 from compute capability 8.0, else float16
openvino   ``cpu``: bfloat16 where the processor has instructions for it, else float32
winograd   ``cpu``: float32, for networks of 3×3×3 convolutions
=========  ===========================================================================================
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from voxtrace.errors import UsageError
from voxtrace.runtime.auto_runtime import choose_runtime, has_openvino
from voxtrace.runtime.loaded import LoadedNetwork

if TYPE_CHECKING:
    from torch import nn

__all__ = ["RUNTIMES", "LoadedNetwork", "open_runtime"]

RUNTIMES = ("torch", "openvino", "winograd")


def open_runtime(
    network: nn.Module,
    *,
    runtime: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    calls: int | None = None,
) -> LoadedNetwork:
    """Return the network's direct children as callables, ready to run.

    Parameters
    ----------
    network
        In evaluation mode. It is left where it is and as it is; a device that does not hold it gets a copy.
    runtime
        ``"torch"``, ``"openvino"``, ``"winograd"``, or ``"auto"``: on a CPU and for a run that is long enough to pay
        for compiling, OpenVINO where the processor computes in bfloat16 or the network has few 3×3×3 convolutions,
        else Winograd; torch everywhere else.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"``: the first CUDA device, else the CPU.
    precision
        ``"float32"``, ``"bfloat16"``, ``"float16"``, or ``"auto"`` for the fastest that keeps labels the same.
    calls
        How often each part will run, counted in windows, for ``runtime="auto"``; None where nobody knows.

    Raises
    ------
    UsageError
        A runtime or precision that does not exist, that is not installed, or that the device does not have.
    EngineError
        The device was asked for and this machine has none.
    """
    if runtime not in ("auto", *RUNTIMES):
        raise UsageError(f"runtime {runtime!r} is unknown; use 'auto' or one of {', '.join(map(repr, RUNTIMES))}.")
    asked = runtime, f"{runtime} was asked for"
    chosen, why = choose_runtime(network, device, precision, calls) if runtime == "auto" else asked
    opened = _OPENERS[chosen](network, device, precision)
    return replace(opened, why=f"{why}; {opened.why}")


def _open_torch(network: nn.Module, device: str, precision: str) -> LoadedNetwork:
    from voxtrace.runtime.torch import open_torch

    return open_torch(network, device, precision)


def _open_openvino(network: nn.Module, device: str, precision: str) -> LoadedNetwork:
    if not has_openvino():
        raise UsageError(
            "runtime 'openvino' is not installed; run pip install 'voxtrace[openvino]', or use runtime='torch'."
        )
    from voxtrace.runtime.openvino import open_openvino

    return open_openvino(network, device, precision)


def _open_winograd(network: nn.Module, device: str, precision: str) -> LoadedNetwork:
    from voxtrace.runtime.winograd import open_winograd

    return open_winograd(network, device, precision)


_OPENERS = {"torch": _open_torch, "openvino": _open_openvino, "winograd": _open_winograd}
