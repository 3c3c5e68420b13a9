"""A part fitted to this processor for windows of one shape, and the memory that goes in and out."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxtrace.runtime.interrupt import interrupts

LOOK_EVERY_MS = 50
HINTS = {"float32": "f32", "bfloat16": "bf16"}


@dataclass(frozen=True)
class CompileSettings:
    """How parts are compiled: ``"float32"`` or ``"bfloat16"``, and on how many threads."""

    precision: str
    threads: int

    def streams_for(self, windows: int) -> int:
        """Return how many windows are computed at once: a power of two, at most one a thread."""
        return 1 << (max(1, min(windows, self.threads)).bit_length() - 1)

    def for_streams(self, streams: int) -> dict[str, Any]:
        """Return OpenVINO's properties. Threads are not pinned: two runs on one machine would take the same cores."""
        return {
            "INFERENCE_PRECISION_HINT": HINTS[self.precision],
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,
        }


class Compiled:
    """Runs windows of one shape, up to ``streams`` of them at once. Not to be called from two threads at a time."""

    def __init__(self, model: Any, settings: CompileSettings, streams: int) -> None:
        compiled = core().compile_model(model, "CPU", settings.for_streams(streams))
        self._outputs = [(tuple(port.shape)[1:], _dtype(port)) for port in compiled.outputs]
        self._requests = [compiled.create_infer_request() for _ in range(streams)]

    def __call__(self, inputs: Sequence[Tensor], windows: int) -> list[Tensor]:
        """Return the outputs (B, …) in memory of their own, for inputs (B, …) of B windows."""
        arrays = [tensor.detach().contiguous().numpy() for tensor in inputs]
        outputs = [torch.empty((windows, *shape), dtype=dtype) for shape, dtype in self._outputs]
        filled = [output.numpy() for output in outputs]
        # As many windows as there are requests run side by side; the last group may be smaller.
        for first in range(0, windows, len(self._requests)):
            running = list(zip(range(first, windows), self._requests, strict=False))
            for b, request in running:
                _start(request, [a[b : b + 1] for a in arrays], [o[b : b + 1] for o in filled])
            _wait([request for _, request in running])
        return outputs


def _wait(requests: Sequence[Any]) -> None:
    """Return when all are done; whoever stops meanwhile stops them, too, since they write into the caller's memory."""
    try:
        for request in requests:
            while not request.wait_for(LOOK_EVERY_MS):
                interrupts.look()
    except BaseException:
        for request in requests:
            request.cancel()
        for request in requests:
            with suppress(RuntimeError):  # says that it was cancelled
                request.wait()
        raise


@functools.cache
def core() -> Any:
    """Return this process's OpenVINO."""
    import openvino

    return openvino.Core()


def _start(request: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Begin to compute one window straight from and into the arrays, without a copy."""
    import openvino

    for i, array in enumerate(inputs):
        request.set_input_tensor(i, openvino.Tensor(array, shared_memory=True))
    for i, array in enumerate(outputs):
        request.set_output_tensor(i, openvino.Tensor(array, shared_memory=True))
    request.start_async()


def _dtype(port: Any) -> torch.dtype:
    return torch.from_numpy(np.empty(0, port.element_type.to_dtype())).dtype
