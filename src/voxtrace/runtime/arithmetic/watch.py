"""Intercepts the layers of a network while it runs, checks each once, and computes in float32 those that disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from voxtrace.runtime.arithmetic.compare import disagreements
from voxtrace.runtime.arithmetic.layers import LAYERS, LayerCall, layer_call
from voxtrace.runtime.arithmetic.verdicts import CheckedLayer, Verdicts, machine_verdicts


class ArithmeticCheck:
    """The layers that a network was seen to call, and what is wrong with them.

    Parameters
    ----------
    precision
        ``"float32"`` is computed as it is; ``"bfloat16"`` and ``"float16"`` are checked.
    backward
        Whether gradients are computed, too.
    verdicts
        What is known; by default what is known of this machine.
    """

    def __init__(self, precision: str, *, backward: bool, verdicts: Verdicts | None = None) -> None:
        self.precision, self.backward = precision, backward
        self._known = verdicts
        self._seen: dict[LayerCall, tuple[str, ...]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Check the layers that are called in this thread meanwhile; enter it around the forward pass."""
        if self.precision == "float32":
            yield
            return
        with _Interception(self):
            yield
        if self._known is not None:
            self._known.write()

    def wrong(self, function: Callable[..., Any], call: LayerCall, device: torch.device) -> tuple[str, ...]:
        """Return what a layer computes wrongly; checks it if it was never seen on this machine."""
        if call not in self._seen:
            if self._known is None:
                self._known = machine_verdicts(device)
            key = self._key(call, device)
            self._seen[call] = self._known.of(key, lambda: self._check(function, call, device))
        return self._seen[call]

    @property
    def layers(self) -> list[CheckedLayer]:
        """All layers that were checked, each once, whatever the memory formats that it was called with."""
        found: dict[str, tuple[str, ...]] = {}
        for call, wrong in self._seen.items():
            found[str(call)] = tuple(sorted({*found.get(str(call), ()), *wrong}))
        return [CheckedLayer(layer, wrong) for layer, wrong in found.items()]

    @property
    def in_float32(self) -> list[CheckedLayer]:
        """The layers that are computed in float32, and what is wrong with them."""
        return [layer for layer in self.layers if layer.wrong]

    def sentence(self) -> str:
        """Return a sentence about layers that are computed in float32; empty if there are none."""
        wrong = self.in_float32
        if not wrong:
            return ""
        what = " and the ".join(sorted({quantity for layer in wrong for quantity in layer.wrong}))
        layers = f"{len(wrong)} of {len(self.layers)} layers {'is' if len(wrong) == 1 else 'are'}"
        return f"{layers} computed in float32: the {what} in {self.precision} is wrong on this machine"

    def to_json(self) -> dict[str, Any]:
        """Return what a bundle's provenance says: empty if every layer agrees."""
        wrong = {layer.layer: list(layer.wrong) for layer in self.in_float32}
        return {"precision": self.precision, "checked": len(self.layers), "in_float32": wrong} if wrong else {}

    def _check(self, function: Callable[..., Any], call: LayerCall, device: torch.device) -> tuple[str, ...]:
        return disagreements(function, call, device, backward=self.backward)

    def _key(self, call: LayerCall, device: torch.device) -> str:
        passes = "forward and backward" if self.backward else "forward"
        threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
        return f"{call.key}, {passes}{threads}"


class _Interception(TorchFunctionMode):
    """Passes the layers of a network to a check, and all other functions on."""

    def __init__(self, check: ArithmeticCheck) -> None:
        super().__init__()
        self.check = check

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return what ``function`` returns; computed in float32 if it is a layer that is wrong."""
        kwargs = kwargs or {}
        if function in LAYERS and self._is_wrong(function, args, kwargs):
            return in_float32(function, args, kwargs)
        return function(*args, **kwargs)

    def _is_wrong(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        device = (args[0] if args else kwargs["input"]).device
        if not torch.is_autocast_enabled(device.type):
            return False
        call = layer_call(function, args, kwargs, torch.get_autocast_dtype(device.type))
        return call is not None and bool(self.check.wrong(function, call, device))


def in_float32(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """Return what a layer gives in float32, its gradients included, in the type that autocast would give."""
    device = (args[0] if args else kwargs["input"]).device.type
    with torch.autocast(device, enabled=False):
        whole: Tensor = function(*map(_float32, args), **{name: _float32(value) for name, value in kwargs.items()})
    return whole.to(torch.get_autocast_dtype(device))


def _float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value
