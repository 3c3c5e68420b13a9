"""Stored voxels -> canonical ones in one piece of memory, without a second copy where none is needed."""

from __future__ import annotations

import numpy as np

from voxtrace.volume import Array, Layout


def turned(array: Array, layout: Layout) -> Array:
    """Return stored voxels (Z, Y, X) in canonical orientation, contiguous, float64 as float32.

    Where axes only run backwards, which is what most files need, ``array`` itself is turned plane by plane and
    returned; the caller must not use it any more. Axes in another order take a copy.
    """
    # float64 takes twice the memory, and scanners do not measure that precisely
    narrower = array.dtype == np.float64
    if narrower or layout.axes != (0, 1, 2) or not (array.flags.c_contiguous and array.flags.writeable):
        return np.ascontiguousarray(layout.to_canonical(array), dtype=np.float32 if narrower else None)
    if any(layout.flips):
        _run_backwards(array, layout.flips)
    return array


def _run_backwards(array: Array, flips: tuple[bool, bool, bool]) -> None:
    """Turn axes of an array (Z, Y, X) round in place."""
    plane = tuple(slice(None, None, -1 if flip else 1) for flip in flips[1:])
    last = len(array) - 1
    if not flips[0]:
        for one in array:
            one[...] = one[plane].copy()
        return
    for z in range(last // 2 + 1):
        upper = array[z][plane].copy()
        array[z] = array[last - z][plane].copy()
        array[last - z] = upper
