"""A NIfTI file -> header, label table and voxels, in one pass over the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.gzip import DAMAGED_STREAM, as_bytes, open_plain_or_gzip
from voxtrace.io.integrity import check_finite, check_not_empty, count_bad, damaged
from voxtrace.io.nifti.header import HEADER_BYTES, NiftiHeader, extension_texts, parse_header
from voxtrace.io.timepoints import count_timepoints
from voxtrace.volume import Array

_PIECE = 1 << 20  # bytes
_LARGEST_EXTENSION = 1 << 24
_LARGEST_RATIO = 1032  # deflate never packs more bytes than this into one
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
    with open_plain_or_gzip(path) as file:
        return _header_and_extensions(file, path)


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
        with open_plain_or_gzip(path) as file:
            found = _header_and_extensions(file, path)
            header = found.header
            file.seek(header.offset)
            voxels = _allocate(header, timepoint, path)
            first = 0 if voxels is None else (timepoint or 0) * voxels.nbytes
            byte_count, bad = _fill(file, header, voxels, first)
    except DAMAGED_STREAM as error:
        raise damaged(path, f"its gzip stream is cut short or corrupt ({error})") from error
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


def _allocate(header: NiftiHeader, timepoint: int | None, path: Path) -> Array | None:
    """Return memory (Z, Y, X) for one time point; None where there is not one to read, or the file cannot hold it."""
    try:
        count = count_timepoints(header.sizes, header.components, "", path)
    except ReadError:  # damage counts first; the caller counts again
        return None
    chosen = timepoint if timepoint is not None else 0 if count <= 1 else -1
    x, y, z = header.sizes[:3]
    possible = header.number_type and min(x, y, z) > 0 and 0 <= chosen < max(1, count)
    if not possible or header.byte_count > _LARGEST_RATIO * path.stat().st_size:
        return None
    return np.empty((z, y, x), header.number_type)


def _fill(file: IO[bytes], header: NiftiHeader, voxels: Array | None, first: int) -> tuple[int, int]:
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
