"""Kernels: hand-written loops for the CPU where a library's way is several times slower.

Nothing here knows a network, a method or the engine of this project; arrays and torch modules come in and go out.

=====================  ===================================================================================
function               what it does
=====================  ===================================================================================
winograd_parts         runs the convolutions of a network as Winograd convolutions, float32
skip_masked            runs the masked convolutions of a network without the kernels that are off, float32
skip_while_learning    the same with gradients, for one update of a training
argmax_entropy         labels, log Σ exp, changed voxels and entropy of logits
accumulate_window      adds a window of logits or probabilities to a ring of planes
average_plane          turns one plane of the ring into averages
upsample_argmax        the strongest label of planes that are enlarged linearly
upsample_paint         regions above a threshold, painted from planes that are enlarged linearly
=====================  ===================================================================================

``docs/kernels.md`` says what each brings over the library's way and on which processors. Each group can be switched
off on a machine; see :mod:`voxtrace.kernels.switches`. Functions are imported at their first use: numba takes a second.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxtrace.kernels.sparse import skip_masked
    from voxtrace.kernels.sparse.autograd import skip_while_learning
    from voxtrace.kernels.voxelwise.accumulate import accumulate_window, average_plane
    from voxtrace.kernels.voxelwise.argmax_entropy import argmax_entropy
    from voxtrace.kernels.voxelwise.upsample_argmax import upsample_argmax
    from voxtrace.kernels.voxelwise.upsample_paint import upsample_paint
    from voxtrace.kernels.winograd import winograd_parts

__all__ = [
    "accumulate_window",
    "argmax_entropy",
    "average_plane",
    "skip_masked",
    "skip_while_learning",
    "upsample_argmax",
    "upsample_paint",
    "winograd_parts",
]

_HOMES = {
    "accumulate_window": "voxtrace.kernels.voxelwise.accumulate",
    "argmax_entropy": "voxtrace.kernels.voxelwise.argmax_entropy",
    "average_plane": "voxtrace.kernels.voxelwise.accumulate",
    "skip_masked": "voxtrace.kernels.sparse",
    "skip_while_learning": "voxtrace.kernels.sparse.autograd",
    "upsample_argmax": "voxtrace.kernels.voxelwise.upsample_argmax",
    "upsample_paint": "voxtrace.kernels.voxelwise.upsample_paint",
    "winograd_parts": "voxtrace.kernels.winograd",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'voxtrace.kernels' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
