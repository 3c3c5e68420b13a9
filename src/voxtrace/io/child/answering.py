"""One call in the reader process: the function is run, and what it returns or raises is sent back as data."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from voxtrace import errors
from voxtrace.errors import VoxTraceError
from voxtrace.io.child.messages import send
from voxtrace.io.child.values import decoded, encoded
from voxtrace.volume import Array

_MOST_LETTERS = 10_000  # of a message


def function_of(call: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the function that a call names, as ``module:function``."""
    module, _, name = call["function"].partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def answer(
    pipe: int, call: Mapping[str, Any], begin: Callable[[], None] = lambda: None, *, give_back: bool = False
) -> None:
    """Run a call and send what it gives: ``value``, ``error`` with ``message``, ``fault``, or ``died`` of memory.

    ``begin`` is called before the first byte is sent.
    """
    arrays: list[Array] = []
    try:
        value = function_of(call)(*decoded(call["arguments"], ()))
        found = {"value": encoded(value, arrays)}
        del value
    except MemoryError:
        found = {"died": "memory"}
    except VoxTraceError as error:
        found = {"error": _class_of(error), "message": str(error)[:_MOST_LETTERS]}
    except Exception as error:
        text = " ".join(str(error).split())
        found = {"fault": f"{type(error).__name__}: {text}"[:_MOST_LETTERS]}
    begin()
    send(pipe, {"token": call["token"], **found}, arrays if "value" in found else (), give_back=give_back)


def _class_of(error: VoxTraceError) -> str:
    """Return the name of the class among VoxTrace's errors that an error is nearest to."""
    known = [one.__name__ for one in type(error).__mro__ if getattr(errors, one.__name__, None) is one]
    return str(known[0])
