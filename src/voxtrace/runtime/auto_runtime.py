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

    from voxtrace.runtime.speeds import Way

LEAST_CALLS = 24  # a window of 100,000 voxels that takes 0.5 s in torch and 0.2 s compiled: 7 s are saved, 5 s spent
LEAST_WINOGRAD = 8  # its loops are compiled once a machine, for all networks, and take a second to load
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
    """Return the fastest way that pays for a run of so many calls."""
    ways, source = ranked_ways(family, precision, openvino=has_openvino())
    best, way = ways[0], next(way for way in ways if LEAST[way.runtime] <= calls)
    missing = ""
    if not has_openvino() and ranked_ways(family, precision, openvino=True)[0][0].runtime == "openvino":
        missing = "; OpenVINO would be faster and is not installed (pip install 'voxtrace[openvino]')"
    if way.runtime != "torch":
        reason = f"a run of {calls} calls pays for compiling (from {LEAST[way.runtime]}), and {way} is fastest"
        return RuntimeChoice(way.runtime, _precision_to_open(way, precision), f"{reason} ({source}){missing}")
    if best.runtime == "torch":
        return RuntimeChoice("torch", precision, f"torch is fastest here ({source}){missing}")
    reason = f"a run of {calls} calls is over before compiling pays (from {LEAST[best.runtime]})"
    return RuntimeChoice("torch", precision, reason + missing)


def ranked_ways(family: str, precision: str, *, openvino: bool) -> tuple[list[Way], str]:
    """Return the ways that this machine has, from fast to slow, torch's among them, and the source of the order.

    ``precision`` is ``"auto"`` or the one that was asked for; ``openvino`` says whether OpenVINO is installed.
    """
    from voxtrace.runtime.processor import processor_kind
    from voxtrace.runtime.speeds import Way, ranking
    from voxtrace.runtime.torch import cpu_has_bfloat16

    native = "bfloat16" if cpu_has_bfloat16() else "float32"  # emulated bfloat16 is slower than float32
    torch_way = Way("torch", native if precision == "auto" else precision)
    ways, source = ranking(processor_kind(), family)
    if not ways:
        ways, source = _by_rule(family, native), "by rule; not measured on this kind of processor"
    there = {"openvino": openvino, "winograd": is_enabled("winograd")}
    usable = [way for way in ways if way == torch_way or (there.get(way.runtime) and _suits(way, precision, native))]
    return (usable if torch_way in usable else [*usable, torch_way]), source


def _precision_to_open(way: Way, precision: str) -> str:
    """Return what was asked for where the runtime takes the way's precision by itself, else that of the way."""
    from voxtrace.runtime.torch import cpu_has_bfloat16

    own = way.runtime == "winograd" or (way.precision == "bfloat16") == cpu_has_bfloat16()
    return precision if own else way.precision


def _suits(way: Way, precision: str, native: str) -> bool:
    """Tell whether a way computes in what was asked for, or, for ``"auto"``, in what the processor has."""
    return way.precision in ((native, "float32") if precision == "auto" else (precision,))


def _by_rule(family: str, native: str) -> list[Way]:
    """Return an order for what was not measured: OpenVINO in bfloat16 where the processor has it, else Winograd."""
    from voxtrace.runtime.speeds import Way

    winograd = [Way("winograd", "float32")] if family == "leaky" and native == "float32" else []
    return [*winograd, Way("openvino", native)]
