"""The torch runtime: CPU and CUDA, autocast to the precision that suits the device.

Measured on two cores with AMX, RecycleNet of widths 16 … 128, one window 40×56×40, seven cycles: float32 0.69 s,
bfloat16 0.76 s, bfloat16 with channels last 0.15 s. Bfloat16 therefore always comes with channels last on a CPU.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from voxtrace.errors import EngineError, UsageError
from voxtrace.kernels.sparse import SkipMode, skip_masked, wants_float32
from voxtrace.runtime.arithmetic import ArithmeticCheck
from voxtrace.runtime.loaded import LoadedNetwork

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_ISAS_WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")


def open_torch(network: nn.Module, device: str, precision: str, kernels: SkipMode = "measured") -> LoadedNetwork:
    """Return the network's children on a torch device; see :func:`voxtrace.runtime.open_runtime`.

    ``kernels`` says how those that a mask switches off are treated; see :func:`~voxtrace.kernels.sparse.skip_masked`.
    """
    where, why_device = choose_device(device)
    chosen, why_precision = choose_precision(precision, where)
    if precision == "auto" and where.type == "cpu" and chosen == "bfloat16" and wants_float32(network):
        chosen, why_precision = "float32", "in float32, kernels that are off can be skipped"
    held = next((p.device for p in network.parameters()), where)
    if held != where:
        network = copy.deepcopy(network).to(where)
    why_kernels = ""
    if where.type == "cpu" and chosen == "float32":
        network, why_kernels = skip_masked(network, kernels)
    dtype = PRECISIONS[chosen]
    check = ArithmeticCheck(chosen, backward=False)
    parts = {name: _part(child, where, dtype, check) for name, child in network.named_children()}
    why = "; ".join(filter(None, (why_device, why_precision, why_kernels)))
    return LoadedNetwork(parts, str(where), chosen, "torch", why, check.sentence)


def _part(child: nn.Module, device: torch.device, dtype: torch.dtype, check: ArithmeticCheck) -> Callable[..., Tensor]:
    channels_last = device.type == "cpu" and dtype is torch.bfloat16

    def run(*tensors: Tensor) -> Tensor:
        if channels_last:
            tensors = tuple(t.to(memory_format=torch.channels_last_3d) if t.ndim == 5 else t for t in tensors)
        autocast = torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)
        with torch.inference_mode(), autocast, check.watching():
            result: Tensor = child(*tensors)
            return result

    return run


def choose_device(device: str) -> tuple[torch.device, str]:
    """Return the device that was asked for, and why; refuse one that does not exist or is not here."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0), "this machine has CUDA"
        return torch.device("cpu"), "this machine has no CUDA"
    kind, _, index = device.partition(":")
    if kind == "cpu" and not index:
        return torch.device("cpu"), "the CPU was asked for"
    if kind == "cuda" and (index.isdigit() or not index):
        return _cuda(int(index or 0)), "CUDA was asked for"
    raise UsageError(f"device {device!r} is unknown; use 'auto', 'cpu', 'cuda' or 'cuda:1'.")


def _cuda(index: int) -> torch.device:
    if not torch.cuda.is_available():
        raise EngineError("cuda was asked for; this machine has none that torch can use. Use device='cpu'.")
    count = torch.cuda.device_count()
    if index >= count:
        raise EngineError(f"cuda:{index} was asked for; this machine has cuda:0 to cuda:{count - 1}.")
    return torch.device("cuda", index)


def choose_precision(precision: str, device: torch.device) -> tuple[str, str]:
    """Return the precision that was asked for, or the one that suits the device, and why."""
    if precision not in ("auto", *PRECISIONS):
        raise UsageError(f"precision {precision!r} is unknown; use 'auto', {', '.join(map(repr, PRECISIONS))}.")
    if precision == "float16" and device.type == "cpu":
        raise UsageError("precision 'float16' is not for the CPU; use 'bfloat16' or 'float32' there.")
    if precision != "auto":
        return precision, f"{precision} was asked for"
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device) >= (8, 0):
            return "bfloat16", "its tensor cores compute in bfloat16"
        return "float16", "its tensor cores compute in float16 only"
    if cpu_has_bfloat16():
        return "bfloat16", "the processor computes in bfloat16"
    return "float32", "the processor has no instructions for bfloat16"


def isa_without_bfloat16() -> str:
    """Return the limit on oneDNN's instructions that the environment sets, if it leaves none for bfloat16; else "".

    oneDNN computes the convolutions of torch and of OpenVINO, and both read ``ONEDNN_MAX_CPU_ISA``.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return limit if limit in _ISAS_WITHOUT_BFLOAT16 else ""


def cpu_has_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 itself (AVX512-BF16 or AMX) and may; emulation would be slower."""
    if isa_without_bfloat16():
        return False
    checks = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(check is not None and check() for check in checks)
