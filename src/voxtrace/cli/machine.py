"""Facts of this machine: processor, memory, accelerators."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")
MATRIX_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
GB = 1e9


def processor(cpuinfo: Path = CPUINFO) -> dict[str, Any]:
    """Return the processor's name, cores, and its instructions for matrices (listed on Linux only)."""
    import psutil

    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    known = set(flags[1].split()) if flags else set()
    return {
        "name": name[1] if name else platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(logical=True),
        "instructions": [flag for flag in MATRIX_FLAGS if flag in known],
    }


def memory_gb() -> dict[str, float]:
    """Return total and available memory in GB."""
    import psutil

    memory = psutil.virtual_memory()
    return {"total": round(memory.total / GB, 1), "available": round(memory.available / GB, 1)}


def accelerators() -> list[dict[str, Any]]:
    """Return name and memory of every CUDA device that torch can use."""
    import torch

    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [{"name": device.name, "memory_gb": round(device.total_memory / GB, 1)} for device in found]
