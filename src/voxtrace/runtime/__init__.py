"""Runtime: where a network runs, on which device and in which precision.

A network's direct children become *parts*: callables from tensors to tensors. Methods see nothing else, so a part may
be the torch module itself or a compiled version of it.

=========  ===========================================================================================
runtime    device and precision
=========  ===========================================================================================
torch      ``cpu``: bfloat16 where the processor has instructions for it, else float32;
           ``cuda``: bfloat16 from compute capability 8.0, else float16
openvino   ``cpu``: bfloat16 where the processor has instructions for it, else float32
winograd   ``cpu``: float32, Winograd convolution, for networks of 3×3×3 convolutions
=========  ===========================================================================================
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from voxtrace.errors import UsageError
from voxtrace.kernels.switches import disabled, is_enabled
from voxtrace.runtime.auto_runtime import RuntimeChoice, choose_runtime, has_openvino
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
        for compiling, what the table of :mod:`voxtrace.runtime.speeds` has as fastest for this kind of processor and
        network; torch everywhere else.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"``: the first CUDA device, else the CPU.
    precision
        ``"float32"``, ``"bfloat16"``, ``"float16"``, or ``"auto"``: that of the runtime chosen from the table, else the
        fastest that the device computes in.
    calls
        How often each part will run, counted in windows, for ``runtime="auto"``; None if unknown.

    Raises
    ------
    UsageError
        A runtime or precision that does not exist, is not installed or switched off, or that the device does not have.
    EngineError
        The device was asked for and this machine has none.
    """
    from voxtrace.runtime.quota import keep_to_quota

    if runtime not in ("auto", *RUNTIMES):
        raise UsageError(f"runtime {runtime!r} is unknown; use 'auto' or one of {', '.join(map(repr, RUNTIMES))}.")
    keep_to_quota()
    asked = RuntimeChoice(runtime, precision, f"{runtime} was asked for")
    choice = choose_runtime(network, device, precision, calls) if runtime == "auto" else asked
    loaded = _OPENERS[choice.runtime](network, device, choice.precision)
    off = f"kernels switched off on this machine: {', '.join(disabled())}" if disabled() else ""
    # Where auto chose the precision, its own reason names it.
    precise = loaded.reason if choice.precision == precision else ""
    return replace(loaded, reason="; ".join(filter(None, (choice.reason, precise, off))))


def _open_torch(network: nn.Module, device: str, precision: str) -> LoadedNetwork:
    from voxtrace.runtime.torch import open_torch

    return open_torch(network, device, precision)


def _open_openvino(network: nn.Module, device: str, precision: str) -> LoadedNetwork:
    if not has_openvino():
        raise UsageError(
            "runtime 'openvino' is not installed; run pip install \"voxtrace[openvino]\", or use runtime='torch'."
        )
    from voxtrace.runtime.openvino import open_openvino

    return open_openvino(network, device, precision)


def _open_winograd(network: nn.Module, device: str, precision: str) -> LoadedNetwork:
    if not is_enabled("winograd"):
        raise UsageError(
            "runtime 'winograd' is switched off on this machine; switch it on with `voxtrace doctor --enable "
            "winograd`, or use runtime='auto'."
        )
    from voxtrace.runtime.winograd import open_winograd

    return open_winograd(network, device, precision)


_OPENERS = {"torch": _open_torch, "openvino": _open_openvino, "winograd": _open_winograd}
