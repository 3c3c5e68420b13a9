"""Whether a file is all there and its numbers are finite.

ITK fills missing, damaged, NaN and infinite voxels of NIfTI with zeros, and damaged ones of MetaImage with whatever it
has, all without an error. So every file is looked through here before ITK gets it.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.headers import meta_fields
from voxtrace.io.nifti import NIFTI2_HEADER, VoxelLayout, voxel_layout
from voxtrace.io.packed import DAMAGE, as_bytes, chunks, opened, unpacker
from voxtrace.io.suffixes import suffix_of
from voxtrace.volume import Array

_CHUNK = 1 << 20
_MOST_PACKED = 1032  # deflate never packs more bytes than this into one
_META_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 8, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}


def check_intact(path: Path, *, keep: bool = False) -> Array | None:
    """Refuse a NIfTI or MetaImage file whose voxels are cut short or whose compression does not check out.

    NRRD is left to ITK, which notices both.

    Returns
    -------
    Array or None
        If they are to be kept, the numbers (Z, Y, X) that a NIfTI file with three axes stores, so that nobody needs
        to unpack it again. None otherwise.

    Raises
    ------
    ReadError
        When the file is damaged; the message says how.
    """
    suffix = suffix_of(path)
    if path.stat().st_size == 0:
        raise ReadError(f"{path} is empty (0 bytes); copy the file again.")
    if suffix in (".nii", ".nii.gz"):
        return _check_nifti(path, keep)
    if suffix in (".mha", ".mhd"):
        _check_meta(path)
    return None


def check_finite(bad: int, count: int, path: Path) -> None:
    """Refuse a volume of ``count`` voxels when ``bad`` of them are NaN or infinite."""
    if bad:
        raise ReadError(
            f"{path}: {bad} of {count} voxels are NaN or infinite; expected finite numbers. "
            "Replace them, for example by the value of air, and try again."
        )


def count_bad(array: Array) -> int:
    """Return how many numbers are NaN, infinite or beyond 32-bit floats."""
    with np.errstate(invalid="ignore"):
        return int(array.size - np.count_nonzero(np.abs(array) <= np.finfo(np.float32).max))


def _check_nifti(path: Path, keep: bool) -> Array | None:
    try:
        with opened(path) as file:
            layout = voxel_layout(file.read(NIFTI2_HEADER))
            if layout is None:
                raise ReadError(
                    f"{path} is not a NIfTI file, though its name says so; expected a NIfTI-1 or -2 header."
                )
            file.seek(layout.offset)
            kept = _room(layout, path) if keep else None
            found, bad = _look_through(file, layout) if kept is None else _filled(file, kept)
    except DAMAGE as error:
        raise _damaged(path, f"its gzip stream is cut short or corrupt ({error})") from error
    if found < layout.byte_count:
        raise _damaged(path, f"it holds {found} bytes of voxels where its header promises {layout.byte_count}")
    check_finite(bad, layout.byte_count * 8 // layout.bits, path)
    return None if kept is None else kept.astype(kept.dtype.newbyteorder("="), copy=False)


def _room(layout: VoxelLayout, path: Path) -> Array | None:
    """Return memory (Z, Y, X) for the voxels; None where a voxel is no number, or the file cannot hold so many."""
    x, y, z, *more = (*layout.sizes, 1, 1, 1)[: max(3, len(layout.sizes))]
    alone = layout.numbers and len(layout.sizes) >= 3 and min(x, y, z) > 0 and all(n <= 1 for n in more)
    if not alone or layout.byte_count > _MOST_PACKED * path.stat().st_size:
        return None
    return np.empty((z, y, x), layout.numbers)


def _filled(file: IO[bytes], voxels: Array) -> tuple[int, int]:
    """Fill an array with what follows in a file; return how many bytes there were, and how many bad numbers."""
    room, found, bad = as_bytes(voxels), 0, 0
    for chunk in chunks(file, _CHUNK):
        used = chunk[: max(0, len(room) - found)]
        room[found : found + len(used)] = used
        found += len(chunk)
    for plane in voxels if voxels.dtype.kind == "f" and found >= len(room) else ():
        bad += count_bad(plane)
    return found, bad


def _look_through(file: IO[bytes], layout: VoxelLayout) -> tuple[int, int]:
    """Return how many bytes follow, and how many of the floating-point numbers among them are not finite."""
    found = bad = 0
    for chunk in chunks(file, _CHUNK):
        used = chunk[: max(0, layout.byte_count - found)]
        found += len(chunk)
        if layout.floating and len(used) % np.dtype(layout.floating).itemsize == 0:
            bad += count_bad(np.frombuffer(used, layout.floating))
    return found, bad


def _check_meta(path: Path) -> None:
    fields, header_bytes = meta_fields(path)
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
        file.seek(header_bytes if local else 0)
        compressed = fields.get("compresseddata", "").lower() == "true"
        found = _inflated(file, path) if compressed else sum(len(chunk) for chunk in chunks(file, _CHUNK))
    if found < expected:
        raise _damaged(path, f"it holds {found} bytes of voxels where its header promises {expected}")


def _meta_bytes(fields: dict[str, str]) -> int:
    """Return how many bytes the voxels take; 0 when the header is beyond this reader and ITK shall judge."""
    kind = fields["elementtype"].upper().removeprefix("MET_").removeprefix("U").removesuffix("_ARRAY")
    sizes = fields["dimsize"].split()
    if kind not in _META_BYTES or not all(size.isdigit() for size in sizes):
        return 0
    total = _META_BYTES[kind] * int(fields.get("elementnumberofchannels", "1"))
    for size in sizes:
        total *= int(size)
    return total


def _inflated(file: IO[bytes], path: Path) -> int:
    """Return how many bytes a zlib or gzip stream gives, its checksum verified."""
    stream = unpacker()
    found = 0
    try:
        for chunk in chunks(file, _CHUNK):
            found += len(stream.decompress(chunk))
    except DAMAGE as error:
        raise _damaged(path, f"its compressed voxels are corrupt ({error})") from error
    if not stream.eof:
        raise _damaged(path, "its compressed voxels are cut short")
    return found


def _damaged(path: Path, how: str) -> ReadError:
    return ReadError(f"{path} is damaged: {how}; copy or export the file again.")
