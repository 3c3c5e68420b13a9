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
    """

    parts: Mapping[str, Callable[..., Tensor]]
    device: str
    precision: str
    runtime: str
    reason: str
