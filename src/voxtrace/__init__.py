"""VoxTrace shows how a CT or MR segmentation came about."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from voxtrace.version import __version__

if TYPE_CHECKING:
    from voxtrace.bundle import Bundle, load
    from voxtrace.errors import VoxTraceError
    from voxtrace.inference import Result, predict, segment
    from voxtrace.io import read, read_labels, write
    from voxtrace.method import Method, Phase, Step
    from voxtrace.methods import method
    from voxtrace.nn.flops import flops, parameters
    from voxtrace.plan import Plan
    from voxtrace.trace import Trace
    from voxtrace.training import train
    from voxtrace.volume import Case, Geometry, LabelMap, Volume

_HOMES = {
    "Bundle": "voxtrace.bundle",
    "Case": "voxtrace.volume",
    "Geometry": "voxtrace.volume",
    "LabelMap": "voxtrace.volume",
    "Method": "voxtrace.method",
    "Phase": "voxtrace.method",
    "Plan": "voxtrace.plan",
    "Result": "voxtrace.inference",
    "Step": "voxtrace.method",
    "Trace": "voxtrace.trace",
    "Volume": "voxtrace.volume",
    "VoxTraceError": "voxtrace.errors",
    "flops": "voxtrace.nn.flops",
    "load": "voxtrace.bundle",
    "method": "voxtrace.methods",
    "parameters": "voxtrace.nn.flops",
    "predict": "voxtrace.inference",
    "read": "voxtrace.io",
    "read_labels": "voxtrace.io",
    "segment": "voxtrace.inference",
    "train": "voxtrace.training",
    "write": "voxtrace.io",
}

_MODULES = ("batch", "io", "metrics", "phantoms", "plan", "preprocess", "trace", "windows")

# Threads of OpenMP wait for their next loop asleep: awake, they hold the cores that other programs need, and a busy
# machine becomes five times slower. OpenMP reads this once, when torch is loaded; what the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__ = [
    "Bundle",
    "Case",
    "Geometry",
    "LabelMap",
    "Method",
    "Phase",
    "Plan",
    "Result",
    "Step",
    "Trace",
    "Volume",
    "VoxTraceError",
    "__version__",
    "flops",
    "load",
    "method",
    "parameters",
    "predict",
    "read",
    "read_labels",
    "segment",
    "train",
    "write",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"voxtrace.{name}")
    raise AttributeError(f"module 'voxtrace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps ``voxtrace.method`` the function: importing the module of that name would put the module in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
