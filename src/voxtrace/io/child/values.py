"""Values <-> JSON and arrays, so that what a reader process sends is data and never runs.

A number, a text, True, False and None are themselves. Anything else is a list that begins with its kind:
``["tuple", …]``, ``["list", …]``, ``["dict", [key, value], …]``, ``["path", text]``, ``["array", number]`` of the
arrays that follow the document, and for the dataclasses in ``_HOMES`` ``["Volume", {field: value}]``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.volume import Array

# the only classes that are made from what comes out of a reader process
_HOMES = {
    "DicomGrid": "voxtrace.io.dicom.grid",
    "Finding": "voxtrace.passport",
    "Geometry": "voxtrace.geometry",
    "Grid": "voxtrace.geometry",
    "LabelMap": "voxtrace.volume",
    "NiftiGrid": "voxtrace.io.nifti.header",
    "Orientation": "voxtrace.io.nifti.header",
    "Passport": "voxtrace.passport",
    "Series": "voxtrace.io.dicom.series",
    "Slice": "voxtrace.io.dicom.slices",
    "SourceFrame": "voxtrace.io.dicom.grid",
    "Storage": "voxtrace.io.dicom.slices",
    "Volume": "voxtrace.volume",
}
_PLAIN = (str, int, float, bool, type(None))


def encoded(value: Any, arrays: list[Array]) -> Any:
    """Return a value as JSON has it; arrays in it are appended to ``arrays``.

    Raises
    ------
    TypeError
        When it is of a kind that does not cross.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) in _PLAIN:
        return value
    if is_dataclass(value) and type(value).__name__ in _HOMES:
        named = {one.name: encoded(getattr(value, one.name), arrays) for one in fields(value) if one.init}
        return [type(value).__name__, named]
    for kind, encode in _ENCODERS.items():
        if isinstance(value, kind):
            return encode(value, arrays)
    raise TypeError(f"a {type(value).__name__} does not cross between processes")


def decoded(document: Any, arrays: Sequence[Array]) -> Any:
    """Return the value that :func:`encoded` described.

    Raises
    ------
    ValueError, TypeError, KeyError, IndexError, AttributeError, GeometryError
        When it is no such document.
    """
    if not isinstance(document, list):
        if isinstance(document, dict):
            raise TypeError("expected a value")
        return document
    kind, *rest = document
    if kind in _HOMES:
        [named] = rest
        return _class(kind)(**{name: decoded(one, arrays) for name, one in named.items()})
    return _DECODERS[kind](rest, arrays)


def paths_in(document: Any) -> Iterator[Path]:
    """Yield the paths in what :func:`encoded` described."""
    if isinstance(document, dict):
        for one in document.values():
            yield from paths_in(one)
    elif isinstance(document, list) and document[:1] == ["path"] and len(document) == 2:
        yield from_text(str(document[1]))
    elif isinstance(document, list):
        for one in document:
            yield from paths_in(one)


def _encoded_array(value: Array, arrays: list[Array]) -> list[Any]:
    arrays.append(value)
    return ["array", len(arrays) - 1]


def _encoded_all(kind: str, values: Iterable[Any], arrays: list[Array]) -> list[Any]:
    return [kind, *(encoded(one, arrays) for one in values)]


_ENCODERS: dict[type, Callable[[Any, list[Array]], list[Any]]] = {
    np.ndarray: _encoded_array,
    tuple: lambda value, arrays: _encoded_all("tuple", value, arrays),
    list: lambda value, arrays: _encoded_all("list", value, arrays),
    Mapping: lambda value, arrays: [
        "dict",
        *([encoded(key, arrays), encoded(one, arrays)] for key, one in value.items()),
    ],
    Path: lambda value, _: ["path", as_text(value)],
}


def as_text(path: Path) -> str:
    """Return a path as a text that JSON takes: each byte of its name is a letter."""
    return os.fsencode(path).decode("latin-1")


def from_text(text: str) -> Path:
    """Return the path that :func:`as_text` described."""
    return Path(os.fsdecode(text.encode("latin-1")))


def _class(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(importlib.import_module(_HOMES[name]), name)
    return found


def _array(rest: list[Any], arrays: Sequence[Array]) -> Array:
    [number] = rest
    if not 0 <= number < len(arrays):
        raise IndexError(number)
    found: Array = arrays[number]
    return found


def _path(rest: list[Any], arrays: Sequence[Array]) -> Path:
    [text] = rest
    return from_text(text)


_DECODERS: dict[str, Callable[[list[Any], Sequence[Array]], Any]] = {
    "array": _array,
    "dict": lambda rest, arrays: {decoded(key, arrays): decoded(one, arrays) for key, one in rest},
    "list": lambda rest, arrays: [decoded(one, arrays) for one in rest],
    "path": _path,
    "tuple": lambda rest, arrays: tuple(decoded(one, arrays) for one in rest),
}
