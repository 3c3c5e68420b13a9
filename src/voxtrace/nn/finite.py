"""Whether tensors hold only finite numbers, without a boolean mask of their size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def all_finite(tensor: Tensor) -> bool:
    """Return whether a tensor of any shape holds neither nan nor inf; integers and empty tensors hold none.

    Smallest and largest value tell it, because torch carries nan into both.
    """
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    return all(math.isfinite(extreme.item()) for extreme in torch.aminmax(tensor.detach()))


def first_not_finite(tensors: Mapping[str, Any]) -> str:
    """Return the dotted name of the first tensor with nan or inf, in nested mappings and lists too; "" if none."""
    return next((name for name, tensor in tensors_in(tensors, "") if not all_finite(tensor)), "")


def tensors_in(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the dotted name of each tensor in nested mappings and lists, and the tensor."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from tensors_in(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from tensors_in(item, f"{name}.{number}")
