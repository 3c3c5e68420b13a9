"""Bytes on a pipe: the length of a JSON document, the document, and the bytes of arrays that it describes."""

from __future__ import annotations

import ctypes
import json
import math
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from voxtrace.safe_text import MOST_BYTES, parse_json
from voxtrace.volume import Array

_LENGTH = struct.Struct("<Q")
_CHUNK = 1 << 18
_GIVEN_BACK = 1 << 24  # bytes of an array that was sent, at once
_KINDS = "biuf"  # booleans, integers, floating-point numbers
_MOST_ARRAYS = 100_000
_MOST_VALUES = 10_000_000  # in a document, each of which takes about a hundred bytes of memory
_MADV_DONTNEED = 4


class BrokenMessageError(Exception):
    """What came is no message: the other process ended, or sends something else."""


def send(pipe: int, document: dict[str, Any], arrays: Sequence[Array] = (), *, give_back: bool = False) -> None:
    """Write a document and arrays.

    With ``give_back`` the memory of the arrays goes back to the system while they are written, and they must not be
    used any more: between the two processes there is one copy of a large volume. Arrays that share memory keep it.
    """
    described = [{"dtype": array.dtype.str, "shape": list(array.shape)} for array in arrays]
    text = json.dumps({**document, "arrays": described}).encode()
    _write(pipe, memoryview(_LENGTH.pack(len(text)) + text))
    for number, array in enumerate(arrays):
        own = give_back and array.nbytes >= _GIVEN_BACK and _is_apart(number, arrays)
        for part in _parts(array):
            _write_array(pipe, part, give_back=own)


def receive(pipe: int, most: int) -> tuple[dict[str, Any], list[Array]]:
    """Return the next document and its arrays, of ``most`` bytes in all.

    Raises
    ------
    EOFError
        When the other end was closed before a message began.
    BrokenMessageError
        When it was closed within one, or what came is no message.
    """
    head = bytearray(_LENGTH.size)
    if not _fill(pipe, memoryview(head)):
        raise EOFError
    [length] = _LENGTH.unpack(head)
    if length > MOST_BYTES:
        raise BrokenMessageError(f"a document of {length} bytes")
    text = bytearray(length)
    _fill_whole(pipe, memoryview(text))
    if sum(map(text.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise BrokenMessageError("a document of too many values")
    try:
        document = parse_json(bytes(text), allow_nan=True)
        arrays = [np.empty(shape, dtype) for dtype, shape in _described(document, most)]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BrokenMessageError(str(error)) from error
    for array in arrays:
        if array.nbytes:
            _fill_whole(pipe, _bytes_of(array))
    return document, arrays


def _described(document: dict[str, Any], most: int) -> list[tuple[np.dtype[Any], tuple[int, ...]]]:
    """Return type and shape of the arrays that follow, before memory is taken for them."""
    found = []
    for one in document["arrays"][:_MOST_ARRAYS]:
        dtype, shape = np.dtype(str(one["dtype"])), tuple(one["shape"])
        if dtype.kind not in _KINDS or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError("an array of an unknown kind")
        most -= math.prod(shape) * dtype.itemsize
        if most < 0:
            raise ValueError("larger arrays than may be sent")
        found.append((dtype, shape))
    return found


def _is_apart(number: int, arrays: Sequence[Array]) -> bool:
    """Return whether no other array lies in the same memory as this one."""
    return not any(np.may_share_memory(arrays[number], other) for i, other in enumerate(arrays) if i != number)


def _bytes_of(array: Array) -> memoryview:
    flat: Any = array.reshape(-1).view(np.uint8)
    return memoryview(flat)


def _parts(array: Array) -> Iterator[Array]:
    """Yield an array in contiguous parts, in order; a copy of no more than a plane is made."""
    if array.flags.c_contiguous or array.ndim < 3:
        yield np.ascontiguousarray(array)
    else:
        for part in array:
            yield from _parts(part)


def _write_array(pipe: int, array: Array, *, give_back: bool) -> None:
    if not array.nbytes:
        return
    data = _bytes_of(array)
    for start in range(0, len(data), _GIVEN_BACK):
        _write(pipe, data[start : start + _GIVEN_BACK])
        if give_back:
            _give_back(array.ctypes.data + start, min(_GIVEN_BACK, len(data) - start))


def _give_back(address: int, length: int) -> None:
    """Give whole pages of memory back to the system; what was in them is lost."""
    if sys.platform != "linux":
        return
    page = os.sysconf("SC_PAGESIZE")
    first, last = -(-address // page) * page, (address + length) // page * page
    if last > first:
        libc = ctypes.CDLL(None)
        libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _MADV_DONTNEED)


def _write(pipe: int, data: memoryview) -> None:
    while data:
        data = data[os.write(pipe, data[:_CHUNK]) :]


def _fill(pipe: int, target: memoryview) -> bool:
    """Fill a buffer; return False where the pipe ended before its first byte."""
    done = 0
    while done < len(target):
        count = os.readv(pipe, [target[done:]]) if hasattr(os, "readv") else _read_into(pipe, target[done:])
        if not count and not done:
            return False
        if not count:
            raise BrokenMessageError("cut short")
        done += count
    return True


def _read_into(pipe: int, target: memoryview) -> int:
    piece = os.read(pipe, min(len(target), _CHUNK))
    target[: len(piece)] = piece
    return len(piece)


def _fill_whole(pipe: int, target: memoryview) -> None:
    if not _fill(pipe, target):
        raise BrokenMessageError("cut short")
