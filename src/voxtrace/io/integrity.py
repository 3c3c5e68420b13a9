"""Whether a file is all there, is a file at all, and its numbers are finite.

What a header promises is compared with the size of the file before memory is taken for it.
"""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.volume import Array

_BUDGET = 3 << 28  # bytes that any packed file may unpack to
_BUDGET_RATIO = 100  # and how many times its own size, where that is more
_LARGEST_RATIO = 1032  # deflate never packs more bytes than this into one


def check_regular(path: Path) -> None:
    """Refuse what can be opened and is no file: a pipe, a socket or a device, whose reading may never end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ReadError(
            f"{path} is a pipe, a socket or a device; expected a file. Copy its contents into a file first."
        )


def check_not_empty(path: Path) -> None:
    """Refuse a file of 0 bytes."""
    check_regular(path)
    if path.stat().st_size == 0:
        raise ReadError(f"{path} is empty (0 bytes); copy the file again.")


def check_finite(bad: int, count: int, path: Path) -> None:
    """Refuse a volume of ``count`` voxels when ``bad`` of them are NaN or infinite."""
    if bad:
        raise ReadError(
            f"{path}: {bad} of {count} voxels are NaN or infinite; expected finite numbers. "
            "Replace them, for example by the value of air, and try again."
        )


def check_unpacked_size(expected: int, packed: int, path: Path) -> None:
    """Refuse a packed file of ``packed`` bytes that cannot hold ``expected`` bytes, or would take too much memory.

    A file may unpack to 768 MiB, or to a hundred times its own size where that is more.

    Raises
    ------
    ReadError
        When it promises more.
    """
    if expected > _LARGEST_RATIO * packed + 1024:
        raise damaged(path, f"{packed} bytes cannot hold the {expected} bytes of voxels that its header promises")
    check_packed_size(expected, packed, path)


def check_packed_size(expected: int, packed: int, path: Path) -> None:
    """Refuse voxels that would take too much memory for a file of ``packed`` bytes, however they are packed.

    Raises
    ------
    ReadError
        When they take more than 768 MiB, and more than a hundred times the file.
    """
    if expected > max(_BUDGET, _BUDGET_RATIO * packed):
        raise ReadError(
            f"{path} promises {expected / 1e9:.3g} GB of voxels in a file of {packed / 1e6:.3g} MB; expected at most "
            "0.8 GB, or a hundred times the file. If that is right, save it unpacked."
        )


def count_bad(array: Array) -> int:
    """Return how many numbers are NaN, infinite or beyond 32-bit floats; of several axes, plane by plane."""
    if array.ndim > 2:
        return sum(count_bad(plane) for plane in array)
    with np.errstate(invalid="ignore"):
        return int(array.size - np.count_nonzero(np.abs(array) <= np.finfo(np.float32).max))


def damaged(path: Path, how: str) -> ReadError:
    """Return the error for a damaged file."""
    return ReadError(f"{path} is damaged: {how}; copy or export the file again.")
