"""The OpenVINO runtime: a network's parts compiled for this processor.

Parts are compiled at the first call for the shape of one window, and a batch runs as so many windows side by side: one
model serves every size of batch, and small windows, each on a core of its own, take less time than all cores together
on one after the other.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from voxtrace.errors import UsageError
from voxtrace.runtime.loaded import LoadedNetwork
from voxtrace.runtime.openvino import cache as disk
from voxtrace.runtime.openvino.compiled import CompileSettings
from voxtrace.runtime.openvino.part import Part
from voxtrace.runtime.torch import choose_precision, isa_without_bfloat16

__all__ = ["open_openvino"]


def open_openvino(network: nn.Module, device: str, precision: str, cache: disk.Cache | None = None) -> LoadedNetwork:
    """Return the network's children compiled for the CPU; see :func:`voxtrace.runtime.open_runtime`.

    Children without weights run in torch: there is nothing to gain. What was converted once is kept in ``cache``, by
    default a folder of the user's.

    Raises
    ------
    UsageError
        Another device than the CPU, or bfloat16 where the environment forbids its instructions.
    """
    if device not in ("auto", "cpu"):
        raise UsageError(f"runtime 'openvino' is for the CPU, and device {device!r} was asked for; use device='cpu'.")
    chosen, reason = choose_precision(precision, torch.device("cpu"))
    if chosen == "bfloat16" and (limit := isa_without_bfloat16()):
        raise UsageError(
            f"bfloat16 was asked for, and ONEDNN_MAX_CPU_ISA={limit} leaves OpenVINO no instructions for it; use "
            "precision 'float32', or unset that variable."
        )
    if any(parameter.device.type != "cpu" for parameter in network.parameters()):
        network = copy.deepcopy(network).to("cpu")
    settings = CompileSettings(chosen, torch.get_num_threads())
    cache = disk.Cache(disk.user_folder()) if cache is None else cache
    parts = {
        name: Part(name, child, settings, cache) if _has_weights(child) else child
        for name, child in network.named_children()
    }
    return LoadedNetwork(
        parts, "cpu", chosen, "openvino", f"OpenVINO compiles the network for this processor; {reason}"
    )


def _has_weights(child: nn.Module) -> bool:
    return any(True for _ in child.parameters())
