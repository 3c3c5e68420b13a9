"""Stored numbers -> values in the scanner's unit: rescaled, MONOCHROME1 inverted, padding marked as blank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtrace.io.dicom.slices import Slice, Storage
from voxtrace.volume import Array

_INTEGERS = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)


@dataclass(frozen=True, eq=False)
class PixelPlane:
    """The values of one image, (rows, columns), and where it is padding (None: nowhere)."""

    values: Array
    blank: npt.NDArray[np.bool_] | None = None


def rescaled_plane(words: Array, slice_: Slice) -> PixelPlane:
    """Return the values of an image from its stored words: whole numbers stay whole (int64), others are float32."""
    storage = slice_.storage
    stored = used_bits(words, storage)
    blank = _blank(words, stored, storage)
    if np.issubdtype(stored.dtype, np.floating):
        stored = stored if not is_inverted(slice_) else -stored
        values = stored * np.float32(storage.slope) + np.float32(storage.intercept)
        return PixelPlane(values.astype(np.float32), blank)
    if is_inverted(slice_):
        stored = sum(storage.stored_range) - stored.astype(np.int64)
    if storage.is_whole:
        return PixelPlane(stored.astype(np.int64) * int(storage.slope) + int(storage.intercept), blank)
    return PixelPlane((stored * np.float64(storage.slope) + storage.intercept).astype(np.float32), blank)


def used_bits(words: Array, storage: Storage) -> Array:
    """Return the numbers in stored words: what lies outside of the used bits (overlays, garbage) is dropped."""
    if np.issubdtype(words.dtype, np.floating) or storage.bits >= 8 * words.dtype.itemsize:
        return words
    kind = np.dtype(f"{'i' if storage.signed else 'u'}{words.dtype.itemsize}")
    # to the left first: the sign then lies in the word's own highest bit, and comes back with the way to the right
    up = 8 * words.dtype.itemsize - storage.bits - storage.shift
    numbers: Array = np.left_shift(words.view(kind), up) >> (up + storage.shift)
    return numbers


def is_inverted(slice_: Slice) -> bool:
    """Return whether low numbers mean high signal (MONOCHROME1). CT numbers are HU, whatever the header says."""
    return slice_.storage.dark_is_high and slice_.modality != "CT"


def type_for(slices: Iterable[Slice]) -> np.dtype[np.generic]:
    """Return the smallest number type for the range that the headers allow; int16 first for up to 16 stored bits."""
    storages = {s.storage for s in slices}
    if not all(s.is_whole for s in storages):
        return np.dtype(np.float32)
    ends = [end * s.slope + s.intercept for s in storages for end in s.stored_range]
    fitting = _smallest(min(ends), max(ends))
    return np.dtype(np.int16) if fitting.itemsize > 2 and max(s.bits for s in storages) <= 16 else fitting


def wide_enough(wanted: np.dtype[np.generic], values: Array) -> np.dtype[np.generic]:
    """Return the type ``wanted``, or one that also holds the values."""
    if np.issubdtype(wanted, np.floating):
        return wanted
    low, high = int(values.min()), int(values.max())
    info = np.iinfo(np.dtype(wanted).name)
    return wanted if info.min <= low and high <= info.max else _smallest(min(low, info.min), max(high, info.max))


def _smallest(low: float, high: float) -> np.dtype[np.generic]:
    for kind in _INTEGERS:
        info = np.iinfo(kind)
        if info.min <= low and high <= info.max:
            return np.dtype(kind)
    return np.dtype(np.float32)


def _blank(words: Array, stored: Array, storage: Storage) -> npt.NDArray[np.bool_] | None:
    if storage.padding is None:
        return None
    low, high = storage.padding
    blank = stored == low if low == high else (stored >= low) & (stored <= high)
    if words is not stored and low == high:  # padding may lie outside of the used bits
        blank |= words.view(f"u{words.dtype.itemsize}") == low % (1 << 8 * words.dtype.itemsize)
    return np.asarray(blank) if blank.any() else None
