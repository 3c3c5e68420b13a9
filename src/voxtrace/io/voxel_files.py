"""The files in which a header says that its voxels lie: which ones it may name, and their bytes, unpacked.

A header may name files beside and below itself only. What it promises is compared with what the files hold before
memory is taken; packed voxels are unpacked up to that size, and their checksum is verified.
"""

from __future__ import annotations

import bz2
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.gzip import DAMAGED_STREAM, as_bytes, chunks, decompressor
from voxtrace.io.integrity import check_regular, check_unpacked_size, damaged
from voxtrace.volume import Array

Packing = Literal["raw", "deflate", "bzip2", "text", "hex"]

_CHUNK = 1 << 18
_PIECE = 1 << 18  # unpacked at once
_SLACK = 1 << 24  # of unpacked bytes before voxels that lie at the end
_PADDING = 4  # bytes of padding after raw voxels
_MOST_TEXT = 1 << 26
_NUMBERED = re.compile(r"[^%]*%0?\d?d[^%]*")


@dataclass(frozen=True)
class VoxelFile:
    """A file with voxels.

    Attributes
    ----------
    path
        The file.
    packing
        How its numbers are stored.
    start
        First byte of the voxels, or of their packed stream.
    skip_lines
        Lines before the voxels, or before their packed stream.
    skip
        Unpacked bytes before the voxels; -1 for voxels at the very end.
    rest
        How many bytes may follow the voxels.
    """

    path: Path
    packing: Packing = "raw"
    start: int = 0
    skip_lines: int = 0
    skip: int = 0
    rest: int = _PADDING


def named_file(header: Path, name: str) -> Path:
    """Return the file that a header names.

    Raises
    ------
    ReadError
        When it lies elsewhere than beside or below the header, does not exist, or is no regular file.
    """
    folder = os.path.realpath(header.parent)
    path = header.parent / name
    # unlike Path.resolve, realpath takes a link that leads to itself
    if "\0" in name or Path(name).is_absolute() or not Path(os.path.realpath(path)).is_relative_to(folder):
        raise ReadError(_elsewhere(header, name))
    if not path.exists():
        raise ReadError(f"{header} keeps its voxels in {name}, which is not beside it; copy both files together.")
    check_regular(path)
    return path


def _elsewhere(header: Path, name: str) -> str:
    if "\0" not in name and not Path(name).is_absolute() and ".." not in Path(name).parts:
        return (
            f"{header} keeps its voxels in {name}, a link that leads out of its folder; expected a file beside or "
            "below it. Put the file itself in place of the link: `cp -L`, `git annex unlock` or `datalad unlock` does."
        )
    return (
        f"{header} says that its voxels lie in {name}; expected a file beside or below it. "
        "Move the voxels there, and correct the name in the header."
    )


def named_files(header: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """Return the files that a header names: one, the lines after ``LIST``, or numbered ones (``a%03d.raw 1 20 1``).

    Raises
    ------
    ReadError
        When one of them may not be named, or the numbering makes no sense.
    """
    return tuple(named_file(header, name) for name in meant_names(header, names))


def meant_names(header: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of files that the words of a header mean, whether or not there are such files.

    Raises
    ------
    ReadError
        When a numbering makes no sense.
    """
    first = names[0]
    words = first.split()
    if words[:1] and words[0].upper() == "LIST":
        return tuple(names[1:])
    if "%" not in first or (header.parent / first).exists():
        return (first,)
    start, stop, step = _numbering(header, words)
    return tuple(words[0] % number for number in range(start, stop + 1, step))


def _numbering(header: Path, words: Sequence[str]) -> tuple[int, int, int]:
    """Return first and last number and the step of numbered files."""
    numbers = [int(word) for word in words[1:4] if word.isdigit()]
    if not _NUMBERED.fullmatch(words[0]) or len(numbers) < 2 or len(numbers) != len(words) - 1:
        raise ReadError(
            f"{header} keeps its voxels in {' '.join(words)}, which is no file beside it and no numbering; expected "
            "one such as a%03d.raw 1 20 1. Correct its header."
        )
    start, stop, step = (*numbers, 1)[:3]
    if step < 1 or not 0 < (stop - start) // step + 1 <= 100_000:
        raise ReadError(f"{header} numbers its files from {start} to {stop} by {step}; correct its header.")
    return start, stop, step


def read_voxels(files: Sequence[VoxelFile], dtype: str, count: int, part: tuple[int, int], header: Path) -> Array:
    """Return the numbers ``part[0]`` … ``part[1]`` (excluded) of ``count`` numbers in files of equal size.

    Parameters
    ----------
    dtype
        Their type as numpy names it, with its byte order.
    header
        What messages name.

    Raises
    ------
    ReadError
        When the files hold less or more, or a packed stream does not check out.
    """
    if count % max(1, len(files)) or not files:
        raise ReadError(f"{header} names {len(files)} files for its voxels, which do not divide them. Correct it.")
    itemsize = np.dtype(dtype).itemsize
    each = count // len(files) * itemsize
    for file in files:
        _check_size(file, each, header)
    found = np.empty(part[1] - part[0], dtype)
    target = as_bytes(found)
    for number, file in enumerate(files):
        pieces = _pieces(file, np.dtype(dtype), each, header)
        _fill(target, part[0] * itemsize - number * each, pieces, header, (each, each + file.rest))
    return found


def _check_size(file: VoxelFile, expected: int, header: Path) -> None:
    """Refuse a file that cannot hold so many bytes of voxels, or holds more of raw ones."""
    size = file.path.stat().st_size
    if file.packing in ("text", "hex"):
        if size > _MOST_TEXT:
            raise ReadError(
                f"{header} holds {size} bytes of voxels as text; expected at most {_MOST_TEXT}. Save it as raw or gzip."
            )
        expected = expected // 8 if file.packing == "text" else expected  # at least a digit for a number
    if file.packing in ("deflate", "bzip2"):
        check_unpacked_size(expected, size, header)
    elif file.skip >= 0 and file.packing == "raw" and not file.skip_lines:
        _check_exact(file, size - file.start - file.skip, expected, header)
    elif size - file.start < expected:
        raise _wrong_size(header, size - file.start, expected)


def _check_exact(file: VoxelFile, found: int, expected: int, header: Path) -> None:
    if found < expected:
        raise _wrong_size(header, max(0, found), expected)
    if found > expected + file.rest:
        raise _wrong_size(header, found, expected)
    if found > expected and file.rest == _PADDING:
        with file.path.open("rb") as opened:
            opened.seek(file.start + file.skip + expected)
            rest = opened.read(_PADDING)
        if rest.strip(b"\0\r\n "):
            raise _wrong_size(header, found, expected)


def _wrong_size(header: Path, found: int, expected: int) -> ReadError:
    return damaged(header, f"it holds {found} bytes of voxels where its header promises {expected}")


def _fill(target: memoryview, first: int, pieces: Iterator[Any], header: Path, limits: tuple[int, int]) -> None:
    """Copy bytes ``first`` … of pieces into a target; there must be no fewer and no more of them than the limits."""
    position, (expected, most) = 0, limits
    for piece in pieces:
        begin, end = max(0, position - first), min(len(target), position + len(piece) - first)
        if begin < end:
            target[begin:end] = memoryview(piece)[begin + first - position : end + first - position]
        position += len(piece)
        if position > most:
            raise damaged(header, f"it holds more than the {expected} bytes of voxels that its header promises")
    if position < expected:
        raise _wrong_size(header, position, expected)


def _pieces(file: VoxelFile, dtype: np.dtype[Any], expected: int, header: Path) -> Iterator[Any]:
    """Yield the bytes of the voxels in a file, unpacked."""
    if file.skip < 0 and file.packing == "raw":
        return _pieces(replace(file, start=file.path.stat().st_size - expected, skip=0), dtype, expected, header)
    if file.skip < 0:
        length = sum(len(piece) for piece in _bounded(_unpacked(file, header), expected + _SLACK, header))
        if length < expected:
            raise _wrong_size(header, length, expected)
        return _pieces(replace(file, skip=length - expected), dtype, expected, header)
    if file.packing in ("text", "hex"):
        return iter((_from_text(file, dtype, header),))
    return _skipped(_unpacked(file, header), file.skip)


def _bounded(pieces: Iterator[bytes], most: int, header: Path) -> Iterator[bytes]:
    found = 0
    for piece in pieces:
        found += len(piece)
        if found > most:
            raise damaged(header, f"it unpacks to more than {most} bytes, which its header does not promise")
        yield piece


def _skipped(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yield pieces without their first bytes."""
    for piece in pieces:
        dropped = min(count, len(piece))
        count -= dropped
        if dropped < len(piece):
            yield piece[dropped:] if dropped else piece


def _opened(file: VoxelFile) -> IO[bytes]:
    opened = file.path.open("rb")
    opened.seek(file.start)
    for _ in range(file.skip_lines):
        opened.readline(_MOST_TEXT)
    return opened


def _unpacked(file: VoxelFile, header: Path) -> Iterator[bytes]:
    with _opened(file) as opened:
        if file.packing == "raw":
            yield from chunks(opened, _CHUNK)
        elif file.packing == "deflate":
            yield from inflated(opened, header)
        else:
            yield from _from_bzip2(opened, header)


def inflated(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yield what a zlib or gzip stream unpacks to, a few MiB at a time; its checksum is verified.

    Members of a gzip stream follow one another; other bytes after the end are not looked at.

    Raises
    ------
    ReadError
        When the stream is corrupt or cut short.
    """
    stream = decompressor()
    try:
        for chunk in chunks(file, _CHUNK):
            waiting = chunk
            while waiting:
                if stream.eof:
                    if not waiting.lstrip(b"\0").startswith(b"\x1f\x8b"):
                        return
                    stream, waiting = decompressor(), waiting.lstrip(b"\0")
                if piece := stream.decompress(waiting, _PIECE):
                    yield piece
                waiting = stream.unused_data if stream.eof else stream.unconsumed_tail
        # what is left when the input ends on the limit of a piece
        while not stream.eof and (piece := stream.decompress(stream.unconsumed_tail, _PIECE)):
            yield piece
    except DAMAGED_STREAM as error:
        raise damaged(path, f"its compressed voxels are corrupt ({error})") from error
    if not stream.eof:
        raise damaged(path, "its compressed voxels are cut short")


def _from_bzip2(file: IO[bytes], header: Path) -> Iterator[bytes]:
    stream = bz2.BZ2Decompressor()
    try:
        for chunk in chunks(file, _CHUNK):
            piece = stream.decompress(chunk, _PIECE)
            while piece or not (stream.eof or stream.needs_input):
                yield piece
                piece = b"" if stream.eof else stream.decompress(b"", _PIECE)
            if stream.eof:
                return
    except (OSError, EOFError) as error:
        raise damaged(header, f"its compressed voxels are corrupt ({error})") from error
    raise damaged(header, "its compressed voxels are cut short")


def _from_text(file: VoxelFile, dtype: np.dtype[Any], header: Path) -> bytes:
    """Return the numbers of a text as bytes."""
    with _opened(file) as opened:
        text = opened.read(_MOST_TEXT)
    parse: Callable[[bytes], bytes] = _hex if file.packing == "hex" else lambda words: _numbers(words, dtype)
    try:
        return parse(text)[file.skip :]
    except (ValueError, OverflowError) as error:
        raise damaged(header, f"its voxels are not all numbers ({error})") from error


def _hex(text: bytes) -> bytes:
    return bytes.fromhex(text.decode("ascii"))


def _numbers(text: bytes, dtype: np.dtype[Any]) -> bytes:
    words = text.replace(b",", b" ").split()
    if b"_" in text:  # Python reads 1_0 as ten
        raise ValueError("an underscore in a number")
    if dtype.kind == "f":
        return np.array([float(word) for word in words], dtype).tobytes()
    return np.array([int(word) for word in words], dtype).tobytes()
