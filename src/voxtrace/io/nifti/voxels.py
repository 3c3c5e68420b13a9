"""A NIfTI file -> header, label table and voxels, in one pass over the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.gzip import DAMAGED_STREAM, as_bytes, gzip_ng, is_gzip, open_plain_or_gzip
from voxtrace.io.integrity import check_finite, check_not_empty, check_unpacked_size, count_bad, damaged
from voxtrace.io.nifti.header import HEADER_BYTES, NiftiHeader, extension_texts, parse_header
from voxtrace.io.timepoints import count_timepoints
from voxtrace.volume import Array

_PIECE = 1 << 20  # bytes
_LARGEST_EXTENSION = 1 << 24
_LARGEST_OFFSET = 1 << 28  # bytes of header and extensions
_LARGEST_REST = 1 << 26  # bytes after the voxels, which are passed over
_GZIP = b"\x1f\x8b"
_PLAIN = tuple(n.to_bytes(4, order) for n in (348, 540) for order in ("little", "big"))
_START_BYTES = HEADER_BYTES + 4  # with the flag that announces extensions in NIfTI-2


@dataclass(frozen=True, eq=False)
class NiftiFile:
    """A NIfTI file: header, the text of each extension, and the stored numbers (Z, Y, X) of one time point.

    ``voxels`` is None where no single volume was asked for: the file has several time points and none was chosen, or
    voxels are not one real number each.
    """

    header: NiftiHeader
    extensions: tuple[str, ...]
    voxels: Array | None = None


def read_header(path: Path) -> NiftiFile:
    """Return the header and the extensions of a NIfTI file; its voxels are not read.

    Raises
    ------
    ReadError
        When the file does not start with such a header.
    """
    try:
        with _opened(path) as file:
            return _header_and_extensions(file, path)
    except DAMAGED_STREAM as error:
        raise _damaged_stream(path, error) from error


def read_nifti(path: Path, timepoint: int | None = None) -> NiftiFile:
    """Return a NIfTI file with the stored numbers of one time point; all of the file is looked through.

    Raises
    ------
    ReadError
        When the file has no such header, is cut short, its compression does not check out, or a voxel of any time
        point is NaN or infinite.
    """
    check_not_empty(path)
    try:
        with _opened(path) as file:
            found = _header_and_extensions(file, path)
            header = found.header
            file.seek(_first_voxel(header, path))
            voxels = _allocate(header, timepoint, path)
            first = 0 if voxels is None else (timepoint or 0) * voxels.nbytes
            byte_count, bad = _fill(file, header, voxels, first, path)
    except DAMAGED_STREAM as error:
        raise _damaged_stream(path, error) from error
    if byte_count < header.byte_count:
        raise damaged(path, f"it holds {byte_count} bytes of voxels where its header promises {header.byte_count}")
    check_finite(bad, header.voxel_count, path)
    if voxels is None:
        return found
    return NiftiFile(header, found.extensions, voxels.astype(voxels.dtype.newbyteorder("="), copy=False))


def rescaled(voxels: Array, header: NiftiHeader) -> Array:
    """Return stored numbers (Z, Y, X) as values: slope and intercept applied, float32 (float64 of float64).

    The array itself where nothing is to be rescaled.
    """
    if header.rescale is None:
        return voxels
    slope, intercept = header.rescale
    result = np.empty(voxels.shape, np.float64 if voxels.dtype == np.float64 else np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite values are refused by the caller
        for plane, target in zip(voxels, result, strict=True):  # a plane at a time: float64 of the whole is large
            target[...] = plane.astype(np.float64) * slope + intercept
    return result


def _header_and_extensions(file: IO[bytes], path: Path) -> NiftiFile:
    start = file.read(_START_BYTES)
    header = parse_header(start, path)
    end = min(header.offset, _LARGEST_EXTENSION)
    start += file.read(max(0, end - len(start)))
    begin = header.extensions_start
    announced = len(start) >= begin and start[begin - 4] != 0
    return NiftiFile(header, extension_texts(start[begin:end], header.byte_order) if announced else ())


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to read from, unpacked where it is packed.

    Refuses a packed file whose name says that it is plain, and the reverse: programs go by one or the other.
    """
    with path.open("rb") as plain:
        start = plain.peek(4)[:4]
        if start[:2] == _GZIP and not is_gzip(path):
            raise ReadError(f"{path} is packed with gzip, though its name says plain NIfTI; rename it to .nii.gz.")
        if start in _PLAIN and is_gzip(path):
            raise ReadError(f"{path} is plain NIfTI, though its name says packed; rename it to .nii, or pack it.")
        if is_gzip(path):
            with gzip_ng.GzipNGFile(fileobj=plain, mode="rb") as unpacked:
                yield unpacked
        else:
            yield plain


def _damaged_stream(path: Path, error: Exception) -> ReadError:
    return damaged(path, f"its gzip stream is cut short or corrupt ({error})")


def _first_voxel(header: NiftiHeader, path: Path) -> int:
    """Return where the voxels start; the header may say 0, or where the header itself ends, for the usual place.

    Some programs leave no room for the extension flag, so a file that is exactly that long starts where it says.
    """
    if header.offset > _LARGEST_OFFSET:
        raise damaged(path, f"its header says that voxels start after {header.offset} bytes")
    usual = header.extensions_start
    if header.offset >= usual:
        return header.offset
    stated = usual - 4  # the length of the header
    if header.offset == stated and _length(path, stated + header.byte_count + 1) == stated + header.byte_count:
        return stated
    return usual


def _length(path: Path, most: int) -> int:
    """Return how many bytes a file has, unpacked; at most about ``most``."""
    found = 0
    with open_plain_or_gzip(path) as file:
        while found < most and (piece := file.read(_PIECE)):
            found += len(piece)
    return found


def _allocate(header: NiftiHeader, timepoint: int | None, path: Path) -> Array | None:
    """Return memory (Z, Y, X) for one time point; None where there is not one to read, or the file cannot hold it."""
    if is_gzip(path):
        check_unpacked_size(header.byte_count, path.stat().st_size, path)
    try:
        count = count_timepoints(header.sizes, header.components, "", path)
    except ReadError:  # damage counts first; the caller counts again
        return None
    chosen = timepoint if timepoint is not None else 0 if count <= 1 else -1
    x, y, z = header.sizes[:3]
    possible = header.number_type and min(x, y, z) > 0 and 0 <= chosen < max(1, count)
    if not possible or (not is_gzip(path) and header.byte_count > path.stat().st_size):
        return None
    return np.empty((z, y, x), header.number_type)


def _fill(file: IO[bytes], header: NiftiHeader, voxels: Array | None, first: int, path: Path) -> tuple[int, int]:
    """Fill an array with the bytes from ``first`` on; return how many bytes there are, and how many bad numbers.

    The file is read to its end, since the checksum of a gzip stream comes last.
    """
    kept = memoryview(b"") if voxels is None else as_bytes(voxels)
    scratch = memoryview(bytearray(_PIECE))
    floating = header.number_type if "f" in header.number_type else ""
    borders = (first, first + len(kept), header.byte_count)
    position = bad = 0
    while True:
        end = min((b for b in borders if b > position), default=position + _PIECE)
        size = min(_PIECE, end - position)
        inside = first <= position < first + len(kept)
        piece = kept[position - first : position - first + size] if inside else scratch[:size]
        count = file.readinto(piece)  # type: ignore[attr-defined]
        if not count:
            return position, bad
        if floating and position < header.byte_count and count % np.dtype(floating).itemsize == 0:
            bad += count_bad(np.frombuffer(piece[:count], floating))
        position += count
        if position > header.byte_count + _LARGEST_REST:
            raise damaged(path, f"it holds more than the {header.byte_count} bytes of voxels its header promises")
