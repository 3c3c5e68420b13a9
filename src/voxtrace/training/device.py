"""Which device a training is planned for, and the memory it has."""

from __future__ import annotations

import psutil
import torch

from voxtrace.runtime.torch import choose_device

GB = 1e9


def training_device(device: str = "auto", wanted_gb: float | None = None) -> tuple[str, float]:
    """Return the kind of device to plan for, ``cpu`` or ``cuda``, and its memory in GB.

    ``wanted_gb`` replaces the device's own memory; then the device need not exist.
    """
    if device.startswith("cuda") and wanted_gb is not None:
        return "cuda", wanted_gb
    chosen, _ = choose_device(device)
    if chosen.type == "cpu":
        return "cpu", wanted_gb or round(psutil.virtual_memory().available / GB, 1)
    return chosen.type, wanted_gb or round(torch.cuda.get_device_properties(chosen).total_memory / GB, 1)
