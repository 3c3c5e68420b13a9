"""Whether a file is all there and its numbers are finite.

ITK fills missing and damaged voxels of MetaImage with whatever its memory holds, without an error, so the stream of
voxels is measured here before ITK reads it. NRRD is left to ITK, which notices both. NIfTI is looked through while it
is read, see :mod:`voxtrace.io.nifti.voxels`.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.gzip import DAMAGED_STREAM, chunks, decompressor
from voxtrace.io.text_headers import TextHeader
from voxtrace.volume import Array

_CHUNK = 1 << 20
_META_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 8, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}


def check_not_empty(path: Path) -> None:
    """Refuse a file of 0 bytes."""
    if path.stat().st_size == 0:
        raise ReadError(f"{path} is empty (0 bytes); copy the file again.")


def check_finite(bad: int, count: int, path: Path) -> None:
    """Refuse a volume of ``count`` voxels when ``bad`` of them are NaN or infinite."""
    if bad:
        raise ReadError(
            f"{path}: {bad} of {count} voxels are NaN or infinite; expected finite numbers. "
            "Replace them, for example by the value of air, and try again."
        )


def count_bad(array: Array) -> int:
    """Return how many numbers are NaN, infinite or beyond 32-bit floats; of several axes, plane by plane."""
    if array.ndim > 2:
        return sum(count_bad(plane) for plane in array)
    with np.errstate(invalid="ignore"):
        return int(array.size - np.count_nonzero(np.abs(array) <= np.finfo(np.float32).max))


def check_meta_voxels(path: Path, header: TextHeader) -> None:
    """Refuse a MetaImage file whose voxels are cut short or whose compression does not check out.

    Raises
    ------
    ReadError
        When the file is damaged; the message says how.
    """
    fields = header.fields
    source = fields.get("elementdatafile", "")
    if not {"dimsize", "elementtype"} <= fields.keys() or not source:
        raise ReadError(
            f"{path} is not a MetaImage file, though its name says so; expected a text header with DimSize."
        )
    local = source.upper() == "LOCAL"
    voxels = path if local else path.parent / source
    if not voxels.is_file():
        raise ReadError(f"{path} keeps its voxels in {source}, which is not beside it; copy both files together.")
    expected = _meta_bytes(fields)
    with voxels.open("rb") as file:
        file.seek(header.byte_count if local else 0)
        compressed = fields.get("compresseddata", "").lower() == "true"
        found = _inflated(file, path) if compressed else sum(len(chunk) for chunk in chunks(file, _CHUNK))
    if found < expected:
        raise damaged(path, f"it holds {found} bytes of voxels where its header promises {expected}")


def damaged(path: Path, how: str) -> ReadError:
    """Return the error for a damaged file."""
    return ReadError(f"{path} is damaged: {how}; copy or export the file again.")


def _meta_bytes(fields: dict[str, str]) -> int:
    """Return how many bytes the voxels take; 0 where the header is unusual, which is left to ITK."""
    kind = fields["elementtype"].upper().removeprefix("MET_").removeprefix("U").removesuffix("_ARRAY")
    sizes = fields["dimsize"].split()
    if kind not in _META_BYTES or not all(size.isdigit() for size in sizes):
        return 0
    total = _META_BYTES[kind] * int(fields.get("elementnumberofchannels", "1"))
    for size in sizes:
        total *= int(size)
    return total


def _inflated(file: IO[bytes], path: Path) -> int:
    """Return how many bytes a zlib or gzip stream gives; its checksum is verified."""
    stream = decompressor()
    found = 0
    try:
        for chunk in chunks(file, _CHUNK):
            found += len(stream.decompress(chunk))
    except DAMAGED_STREAM as error:
        raise damaged(path, f"its compressed voxels are corrupt ({error})") from error
    # a stream that ends early raises no error by itself
    if not stream.eof:
        raise damaged(path, "its compressed voxels are cut short")
    return found
