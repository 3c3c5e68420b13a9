"""Which runtime and precision suit a network when nothing was asked for, and the sentence that says why.

The choice depends on the family of the network, the length of the run, the kind of processor, the extras that are
installed and the kernels that are switched off; never on timings of the day. So the same command gives the same labels
every day.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, NamedTuple

from voxtrace.kernels.switches import is_enabled

if TYPE_CHECKING:
    from torch import nn

    from voxtrace.runtime.speeds import Backend

# A window of 100,000 voxels that takes 0.5 s in torch and 0.2 s compiled: 7 s are saved, 5 s spent.
LEAST_CALLS = 24
# Its loops are compiled once a machine, for all networks, and take a second to load.
LEAST_WINOGRAD = 8
LEAST = {"torch": 0, "winograd": LEAST_WINOGRAD, "openvino": LEAST_CALLS}  # calls from which opening pays


class RuntimeChoice(NamedTuple):
    """A runtime, the precision to open it with (``"auto"`` leaves it to the runtime), and the reason."""

    runtime: str
    precision: str
    reason: str


def has_openvino() -> bool:
    """Tell whether the extra is installed, without loading it."""
    return importlib.util.find_spec("openvino") is not None


def choose_runtime(network: nn.Module, device: str, precision: str, calls: int | None) -> RuntimeChoice:
    """Return the runtime for so many calls of each part, None for unknown, with precision and reason."""
    from voxtrace.runtime.families import dense_family_of, family_of
    from voxtrace.runtime.torch import choose_device

    if choose_device(device)[0].type == "cuda":
        return RuntimeChoice("torch", precision, "CUDA runs in torch")
    family = family_of(network)
    if family == "masked":
        if is_enabled("sparse"):
            reason = "most kernels of this network are off, and the torch runtime skips them"
            return RuntimeChoice("torch", precision, reason)
        family = dense_family_of(network)
    if calls is None:
        return RuntimeChoice("torch", precision, "nothing is compiled for a run of unknown length")
    return _fastest(family, precision, calls)


def _fastest(family: str, precision: str, calls: int) -> RuntimeChoice:
    """Return the fastest backend that pays for a run of so many calls."""
    backends, source = ranked_backends(family, precision, openvino=has_openvino())
    best, backend = backends[0], next(backend for backend in backends if LEAST[backend.runtime] <= calls)
    # The extra is named only where it would have been taken.
    missing = ""
    if not has_openvino() and ranked_backends(family, precision, openvino=True)[0][0].runtime == "openvino":
        missing = '; OpenVINO would be faster and is not installed (pip install "voxtrace[openvino]")'
    if backend.runtime != "torch":
        reason = f"a run of {calls} calls pays for compiling (from {LEAST[backend.runtime]}), and {backend} is fastest"
        return RuntimeChoice(backend.runtime, _precision_to_open(backend, precision), f"{reason} ({source}){missing}")
    if best.runtime == "torch":
        return RuntimeChoice("torch", precision, f"torch is fastest here ({source}){missing}")
    reason = f"a run of {calls} calls is over before compiling pays (from {LEAST[best.runtime]})"
    return RuntimeChoice("torch", precision, reason + missing)


def ranked_backends(family: str, precision: str, *, openvino: bool) -> tuple[list[Backend], str]:
    """Return the backends that this machine has, from fast to slow, torch's among them, and the source of the order.

    ``precision`` is ``"auto"`` or the one that was asked for; ``openvino`` says whether OpenVINO is installed.
    """
    from voxtrace.runtime.processor import processor_kind
    from voxtrace.runtime.speeds import Backend, ranking
    from voxtrace.runtime.torch import cpu_has_bfloat16

    # Emulated bfloat16 is slower than float32.
    native = "bfloat16" if cpu_has_bfloat16() else "float32"
    torch_backend = Backend("torch", native if precision == "auto" else precision)
    backends, source = ranking(processor_kind(), family)
    if not backends:
        backends, source = _by_rule(family, torch_backend.precision), "by rule; not measured on this kind of processor"
    # Torch is always there, in the one precision that it would take by itself.
    there = {"openvino": openvino, "winograd": is_enabled("winograd")}
    usable = [
        one for one in backends if one == torch_backend or (there.get(one.runtime) and _suits(one, precision, native))
    ]
    return (usable if torch_backend in usable else [*usable, torch_backend]), source


def _precision_to_open(backend: Backend, precision: str) -> str:
    """Return what was asked for where the runtime takes the backend's precision by itself, else that of the backend."""
    from voxtrace.runtime.torch import cpu_has_bfloat16

    own = backend.runtime == "winograd" or (backend.precision == "bfloat16") == cpu_has_bfloat16()
    return precision if own else backend.precision


def _suits(backend: Backend, precision: str, native: str) -> bool:
    """Tell whether a backend computes in what was asked for, or, for ``"auto"``, in what the processor has."""
    return backend.precision in ((native, "float32") if precision == "auto" else (precision,))


def _by_rule(family: str, precision: str) -> list[Backend]:
    """Return an order for what was not measured: OpenVINO in bfloat16; in float32 Winograd first where it fits."""
    from voxtrace.runtime.speeds import Backend

    winograd = [Backend("winograd", "float32")] if family == "leaky" and precision == "float32" else []
    return [*winograd, Backend("openvino", precision)]
