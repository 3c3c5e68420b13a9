"""Headers of classic netCDF files (versions 1 and 2), as MINC 1 uses them: variables, where they lie, and attributes.

The format is that of Unidata's "NetCDF Classic Format Specification"; all numbers are big-endian. Lengths are compared
with the bytes there are before anything is taken from them. Files whose first dimension grows (record variables) are
not needed by MINC and refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.integrity import damaged
from voxtrace.volume import Array

_MOST_HEADER = 1 << 22  # bytes
_MOST_ENTRIES = 4096  # dimensions, variables or attributes
_TYPES: Final[dict[int, str]] = {1: ">i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8"}
_TEXT = 2
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12

Attribute = str | tuple[float, ...]


@dataclass(frozen=True)
class Variable:
    """A variable: the names and sizes of its dimensions, slowest first, its attributes, number type and first byte."""

    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    attributes: Mapping[str, Attribute]
    number_type: str
    start: int

    def values(self, path: Path, most: int = 1 << 20) -> Array:
        """Return its numbers, no more than ``most`` of them, as float64 of its shape.

        Raises
        ------
        ReadError
            When there are more, or the file does not hold them.
        """
        count, dtype = math.prod(self.shape), np.dtype(self.number_type)
        if count > most or dtype.kind == "S":
            raise damaged(path, f"a variable has {count} values where at most {most} numbers were expected")
        with path.open("rb") as file:
            file.seek(self.start)
            found = file.read(count * dtype.itemsize)
        if len(found) < count * dtype.itemsize:
            raise damaged(path, "it ends before the values that its header promises")
        return np.frombuffer(found, dtype).astype(np.float64).reshape(self.shape)


class _Header:
    """Reads a header from its first byte on."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 4
        self.wide = data[3:4] == b"\2"

    def number(self, kind: str = "i") -> int:
        (found,) = struct.unpack_from(f">{kind}", self.data, self.at)
        self.at += struct.calcsize(kind)
        return int(found)

    def content(self, length: int) -> bytes:
        padded = (length + 3) // 4 * 4
        if length < 0 or self.at + padded > len(self.data):
            raise ValueError("a length beyond the header")
        found = self.data[self.at : self.at + length]
        self.at += padded
        return found

    def name(self) -> str:
        return self.content(self.number()).decode("utf-8", "replace")

    def entries(self, tag: int) -> range:
        found, count = self.number(), self.number()
        if found not in (0, tag) or not 0 <= count <= _MOST_ENTRIES or (count and not found):
            raise ValueError("a list that is none")
        return range(count)

    def attributes(self) -> dict[str, Attribute]:
        return {self.name(): self._attribute() for _ in self.entries(_ATTRIBUTES)}

    def _attribute(self) -> Attribute:
        kind, count = self.number(), self.number()
        dtype = np.dtype(_TYPES[kind])
        content = self.content(count * dtype.itemsize if 0 <= count <= len(self.data) else -1)
        if kind == _TEXT:
            return content.split(b"\0")[0].decode("utf-8", "replace")
        return tuple(float(value) for value in np.frombuffer(content, dtype))

    def variable(self, dimensions: list[tuple[str, int]]) -> Variable:
        axes = [dimensions[self._index(len(dimensions))] for _ in self._axes()]
        attributes, kind, _ = self.attributes(), self.number(), self.number()
        start = self.number("q" if self.wide else "i")
        if start < 0 or any(size < 1 for _, size in axes):
            raise ValueError("a variable without a place")
        return Variable(tuple(n for n, _ in axes), tuple(s for _, s in axes), attributes, _TYPES[kind], start)

    def _axes(self) -> range:
        count = self.number()
        if not 0 <= count <= 32:
            raise ValueError("a variable with too many dimensions")
        return range(count)

    def _index(self, count: int) -> int:
        found = self.number()
        if not 0 <= found < count:
            raise ValueError("a dimension that is none")
        return found


def read_netcdf_header(path: Path) -> dict[str, Variable]:
    """Return the variables of a classic netCDF file by name.

    Raises
    ------
    ReadError
        When its header is cut short or makes no sense.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_HEADER)
    if data[:4] not in (b"CDF\1", b"CDF\2"):
        raise ReadError(f"{path} is not netCDF of version 1 or 2, though its name says so; check the file.")
    header = _Header(data)
    try:
        header.number()  # records, of which MINC has none
        dimensions = [(header.name(), header.number()) for _ in header.entries(_DIMENSIONS)]
        header.attributes()
        return {header.name(): header.variable(dimensions) for _ in header.entries(_VARIABLES)}
    except (struct.error, ValueError, KeyError, OverflowError) as error:
        raise damaged(path, f"its header makes no sense ({error})") from error
