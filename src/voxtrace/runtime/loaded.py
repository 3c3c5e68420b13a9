"""LoadedNetwork: a network that is ready to run, and what was chosen for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LoadedNetwork:
    """A network's parts on a device.

    Attributes
    ----------
    parts
        Name of a direct child -> callable from tensors to tensors, which live on ``device`` and have the batch first.
    device
        As torch names it, e.g. ``"cpu"`` or ``"cuda:0"``.
    precision
        ``"float32"``, ``"bfloat16"`` or ``"float16"``: what convolutions and products are computed in.
    runtime
        ``"torch"``, ``"openvino"`` or ``"winograd"``.
    reason
        A sentence that says why runtime, device and precision are what they are.
    in_float32
        Returns a sentence about layers that had to be computed in float32; empty if there are none. It is known once
        windows have run.
    """

    parts: Mapping[str, Callable[..., Tensor]]
    device: str
    precision: str
    runtime: str
    reason: str
    in_float32: Callable[[], str] = str

    def whole_reason(self) -> str:
        """Return ``reason``, and what was found while windows ran."""
        return "; ".join(filter(None, (self.reason, self.in_float32())))
