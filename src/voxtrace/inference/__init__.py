"""The one engine: a bundle and a volume in, labels and a trace out, in memory that does not grow with the scan.

Stages, in the order in which voxels pass through; nothing but the first and the last is held whole::

    volume ──▶ planes on the network grid ──▶ windows ──▶ logits, maps of each step ──▶ sums ──▶ labels, maps
    (input)    normalised (preprocess)        a row        mirrored or not                only      (output)
                                              at a time    (step_runner)                  planes that a
                                                                                          window still covers
                                                                                          (accumulator)

The names below are imported when they are first used: ``voxtrace.inference.options`` alone loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxtrace.inference.engine import predict, segment
    from voxtrace.inference.ensemble import check_bundles, check_compatible, chosen_method
    from voxtrace.inference.options import PredictOptions
    from voxtrace.inference.progress import FinishedPlanes, Progress, Result
    from voxtrace.inference.trace_size import trace_bytes

_HOMES = {
    "FinishedPlanes": "voxtrace.inference.progress",
    "PredictOptions": "voxtrace.inference.options",
    "Progress": "voxtrace.inference.progress",
    "Result": "voxtrace.inference.progress",
    "check_bundles": "voxtrace.inference.ensemble",
    "check_compatible": "voxtrace.inference.ensemble",
    "chosen_method": "voxtrace.inference.ensemble",
    "predict": "voxtrace.inference.engine",
    "segment": "voxtrace.inference.engine",
    "trace_bytes": "voxtrace.inference.trace_size",
}

__all__ = [
    "FinishedPlanes",
    "PredictOptions",
    "Progress",
    "Result",
    "check_bundles",
    "check_compatible",
    "chosen_method",
    "predict",
    "segment",
    "trace_bytes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value
