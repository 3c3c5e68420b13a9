"""Limits for networks that a stranger described: the memory that building one may take, the types of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from voxtrace.errors import BundleError

_BUDGET, _RATIO = 1 << 29, 100
_MAKERS = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.arange, torch.randperm)


@contextmanager
def limited_build(stored_bytes: int) -> Iterator[None]:
    """Refuse to make tensors that are far larger than a file of weights within this context, before memory is taken.

    Together they may have 512 MiB, or a hundred times ``stored_bytes`` where that is more.

    Raises
    ------
    BundleError
        When more is asked for.
    """
    with _Limited(max(_BUDGET, _RATIO * stored_bytes)):
        yield


def same_kind(stored: Tensor, expected: Tensor) -> bool:
    """Return whether numbers are of the type that a network expects, or floats of at most its precision."""
    if expected.is_floating_point():
        return stored.is_floating_point() and 2 <= stored.element_size() <= expected.element_size()
    return stored.dtype == expected.dtype


class _Limited(TorchFunctionMode):
    """Adds up the size of every new tensor before it is made."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self._most = self._left = most_bytes

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _MAKERS:
            self._left -= _numbers(func, args, kwargs or {}) * _item_bytes(kwargs or {})
            if self._left < 0:
                raise BundleError(
                    f"its network would take more than {self._most / 1e9:.3g} GB, far more than its weights have"
                )
        return func(*args, **(kwargs or {}))


def _numbers(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Return how many numbers a function is asked to make."""
    if func in (torch.arange, torch.randperm):
        ends = [int(end) for end in args[:2]] or [int(kwargs.get("end", 0))]
        return abs(ends[-1] - (ends[0] if len(ends) > 1 else 0))
    size = kwargs.get("size", args[0] if args and isinstance(args[0], Sequence) else args)
    count = 1
    for n in size:
        count *= max(0, int(n))
    return count


def _item_bytes(kwargs: Mapping[str, Any]) -> int:
    return (kwargs.get("dtype") or torch.get_default_dtype()).itemsize
