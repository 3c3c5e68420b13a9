"""A part: what a method calls in place of a torch module."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from voxtrace.errors import Cancelled, EngineError
from voxtrace.runtime.interrupt import interrupts
from voxtrace.runtime.openvino.cache import Cache
from voxtrace.runtime.openvino.compiled import Compiled, CompileSettings
from voxtrace.runtime.openvino.convert import Converted, Inputs, convert
from voxtrace.runtime.openvino.key import key
from voxtrace.runtime.openvino.structure import flatten, unflatten

# Compiled models hold memory for every map inside.
MOST_SHAPES = 4


class Part:
    """One child of a network, compiled anew for each shape of window that comes.

    Called as the child: every tensor in arguments and answer has the batch first. The weights are those at the first
    call with a shape.
    """

    def __init__(self, name: str, child: nn.Module, settings: CompileSettings, cache: Cache) -> None:
        self._name, self._child, self._settings, self._cache = name, child, settings, cache
        self._shapes: OrderedDict[str, _Shape] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the child returns."""
        tensors: list[Tensor] = []
        form = flatten((args, kwargs), tensors)
        tensors = [t.float() if t.is_floating_point() else t for t in tensors]
        windows = self._windows(tensors)
        inputs = Inputs(form, tuple(((1, *t.shape[1:]), t.dtype) for t in tensors))
        # Requests hold memory for one call, so that two threads may not run the same part at once.
        with self._lock:
            shape = self._shape(inputs)
            outputs = shape.compiled(self._settings, windows)(tensors, windows)
        return unflatten(shape.converted.form, outputs)

    def _windows(self, tensors: list[Tensor]) -> int:
        counts = {len(t) if t.ndim else 0 for t in tensors}
        if len(counts) != 1:
            shapes = ", ".join(str(tuple(t.shape)) for t in tensors)
            raise EngineError(
                f"part {self._name!r} was called with tensors of shapes {shapes or 'none'}; expected one batch size "
                "along the first axis of all. Use runtime='torch'."
            )
        return counts.pop()

    def _shape(self, inputs: Inputs) -> _Shape:
        """Return what was made for these inputs; the shape that was not used for longest leaves."""
        name = json.dumps([inputs.form, [str(tensor) for tensor in inputs.tensors]])
        if name not in self._shapes:
            self._shapes[name] = _Shape(self._convert(inputs))
        self._shapes.move_to_end(name)
        if len(self._shapes) > MOST_SHAPES:
            self._shapes.popitem(last=False)
        return self._shapes[name]

    def _convert(self, inputs: Inputs) -> Converted:
        """Return the child as a model, from the cache or from torch."""
        kept_as = key(self._child, inputs)
        converted = self._cache.load(kept_as) if kept_as else None
        if converted is not None:
            return converted
        try:
            return interrupts.waiting(lambda: self._converted(inputs, kept_as))
        except (Cancelled, EngineError):
            raise
        # Torch and OpenVINO raise whatever their layers raise.
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EngineError(
                f"OpenVINO cannot take over part {self._name!r}: {reason}. Use runtime='torch'."
            ) from error

    def _converted(self, inputs: Inputs, kept_as: str | None) -> Converted:
        """Return the child as a model from torch, and keep it: also where the run that needs it stops meanwhile."""
        converted = convert(self._child, inputs)
        if any(output.shape[0] != 1 for output in converted.model.outputs):
            raise EngineError(f"part {self._name!r} answers without a batch along the first axis. Use runtime='torch'.")
        if kept_as:
            self._cache.store(kept_as, converted)
        return converted


class _Shape:
    """A converted part, compiled for each number of windows at once that was needed."""

    def __init__(self, converted: Converted) -> None:
        self.converted = converted
        self._by_streams: dict[int, Compiled] = {}

    def compiled(self, settings: CompileSettings, windows: int) -> Compiled:
        """Return the model for so many windows."""
        streams = settings.streams_for(windows)
        if streams not in self._by_streams:
            compiled = interrupts.waiting(lambda: Compiled(self.converted.model, settings, streams))
            self._by_streams[streams] = compiled
        return self._by_streams[streams]
