"""Nested arguments and answers as a flat list of tensors and a form that tells how they were nested.

A form is JSON, so it can be kept beside a compiled part::

    (a, [b, None])   →   [a, b],  {"tuple": [{"tensor": 0}, {"list": [{"tensor": 1}, {"value": null}]}]}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

Form = dict[str, Any]


def flatten(value: Any, tensors: list[Tensor]) -> Form:
    """Return the form of a value; its tensors are appended to ``tensors``, in order.

    Raises
    ------
    TypeError
        Something that is no tensor, plain value, tuple, list or dictionary of these.
    """
    if isinstance(value, Tensor):
        tensors.append(value)
        return {"tensor": len(tensors) - 1}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    if isinstance(value, (tuple, list)):
        return {"list" if isinstance(value, list) else "tuple": [flatten(v, tensors) for v in value]}
    if isinstance(value, dict):
        return {"dict": {name: flatten(v, tensors) for name, v in value.items()}}
    raise TypeError(f"{type(value).__name__} among the arguments or answers of a part; expected tensors")


def unflatten(form: Form, tensors: Sequence[Tensor]) -> Any:
    """Return the value of a form, the inverse of :func:`flatten`."""
    ((kind, inside),) = form.items()
    if kind == "tensor":
        return tensors[inside]
    if kind == "value":
        return inside
    if kind == "dict":
        return {name: unflatten(v, tensors) for name, v in inside.items()}
    nested = [unflatten(v, tensors) for v in inside]
    return tuple(nested) if kind == "tuple" else nested
