"""A zarr array that is written a few planes at a time, in ascending z."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.volume import Array, Shape

_CHUNK_BYTES = 2**21


class PlaneWriter:
    """A compressed array (Z, Y, X) or (S, Z, Y, X) on disk, every chunk of which is compressed once.

    The array is created when the first chunk is complete, because loading zarr takes a quarter of a second.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any, depth: int) -> None:
        self._path, self._shape, self._dtype, self._depth = path, shape, np.dtype(dtype), depth
        self._waiting = np.empty((*shape[:-3], depth, *shape[-2:]), dtype)
        self._written, self._held = 0, 0

    @cached_property
    def array(self) -> Any:
        """The zarr array; planes that were not written yet are 0, or NaN where it holds floats."""
        import zarr
        from zarr.codecs import BloscCodec

        steps = self._shape[:-3]
        return zarr.create_array(
            self._path,
            shape=self._shape,
            chunks=(*(1 for _ in steps), self._depth, *self._shape[-2:]),
            dtype=self._dtype,
            compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
            fill_value=np.nan if self._dtype.kind == "f" else 0,
            dimension_names=(*("step" for _ in steps), "z", "y", "x"),
            config={"write_empty_chunks": True},  # looking for them takes longer than compressing them
        )

    def add(self, planes: Array) -> None:
        """Append planes (n, Y, X) or (S, n, Y, X)."""
        while planes.shape[-3]:
            n = min(planes.shape[-3], self._depth - self._held)
            self._waiting[..., self._held : self._held + n, :, :] = planes[..., :n, :, :]
            self._held += n
            planes = planes[..., n:, :, :]
            if self._held == self._depth:
                self.flush()

    def flush(self) -> None:
        """Write the planes that are still in memory.

        One chunk at a time: zarr writes several at once, and where one of them fills the disk the others would
        continue after the error.
        """
        lo, hi = self._written, self._written + self._held
        if hi > lo:
            for step in np.ndindex(self._shape[:-3]):
                self.array[(*step, slice(lo, hi))] = self._waiting[(*step, slice(0, self._held))]
        self._written, self._held = hi, 0


def chunk_depth(shape: Shape, itemsize: int = 1) -> int:
    """Return how many planes of (Z, Y, X) to handle at once: about two megabytes, at least one plane."""
    return max(1, min(shape[0], _CHUNK_BYTES // (shape[1] * shape[2] * itemsize)))
