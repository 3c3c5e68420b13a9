"""Compare prepared cases in compressed chunks with plain arrays: size, time of a window, memory.

    python scripts/time_chunks.py FOLDER [--shape 300 512 512] [--windows 30]

The scan is made up: smooth structures with noise of 12 HU, whole numbers, normalised. A window is the box that a
rotated window of 40×56×40 is taken from. ``cpu`` is processor time with the file in the system's cache; ``touched`` is
what a window reads of the file where it is not, by pages of 4 KiB or by chunks.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from voxtrace.training.chunked import ChunkedArray, write_chunked

BOX = (60, 84, 60)
PAGE = 4096


def main() -> None:
    """Print size, time to write, time to read a window and bytes that it touches, for both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512))
    parser.add_argument("--windows", type=int, default=30)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    image = _made_up(given.shape)
    plain, packed = given.folder / "image.npy", given.folder / "image.zarr"
    for file, write in ((plain, np.save), (packed, write_chunked)):
        began = time.process_time()
        write(file, image)
        took = time.process_time() - began
        array = np.load(file, mmap_mode="r") if file == plain else ChunkedArray(file)
        size = file.stat().st_size if file == plain else sum(f.stat().st_size for f in file.rglob("*") if f.is_file())
        cpu, touched = _windows(array, image.shape[1:], given.windows)
        print(f"{file.name}: {size / 1e6:.0f} MB, written in {took:.1f} s; a window: {cpu * 1e3:.2f} ms cpu, "
              f"{touched / 1e6:.2f} MB touched")  # fmt: skip


def _made_up(shape: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(0)
    coarse = rng.normal(0, 300, [n // 16 + 2 for n in shape])
    smooth = ndimage.zoom(coarse, 16, order=1)[tuple(slice(n) for n in shape)]
    scan = np.rint(smooth + rng.normal(0, 12, shape)).astype(np.float32)
    return (((scan - 100) / 90)[None]).astype(np.float32)


def _windows(array: Any, shape: tuple[int, ...], number: int) -> tuple[float, float]:
    """Return the mean processor time of a window, in s, and the mean of the bytes that it touches."""
    rng, seconds, touched = np.random.default_rng(1), 0.0, 0.0
    for _ in range(number):
        low = [int(rng.integers(0, n - w + 1)) for n, w in zip(shape, BOX, strict=True)]
        high = [a + w for a, w in zip(low, BOX, strict=True)]
        began = time.process_time()
        np.array(array[(slice(None), *map(slice, low, high))])
        seconds += time.process_time() - began
        if isinstance(array, ChunkedArray):
            touched += sum(int(array._places[at][1]) for at in array._touched([0, *low], [1, *high]))
        else:
            rows = [(z * shape[1] + y) * shape[2] * 4 for z in range(low[0], high[0]) for y in range(low[1], high[1])]
            ends = ((row + low[2] * 4) // PAGE for row in rows), ((row + high[2] * 4 - 1) // PAGE for row in rows)
            touched += PAGE * len(set().union(*ends))
    return seconds / number, touched / number


if __name__ == "__main__":
    main()
