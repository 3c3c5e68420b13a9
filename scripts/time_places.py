"""Time the search for places to look at on a trace of 512 × 512 × 300 voxels that lies on disk.

Run it from the project's root::

    python scripts/time_places.py

Ten balls of 40 mm grow by less than a millimetre from cycle to cycle, and one block changes at the last cycle.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from voxtrace.trace import Trace
from voxtrace.trace.disagreement import of_steps, regions
from voxtrace.volume import Array, Geometry

SHAPE, SPACING_MM, STEPS, RADIUS = (300, 512, 512), (1.0, 0.8, 0.8), 7, 40
CENTRES = [(100 + 20 * i, 100 + 30 * i, 120 + 25 * i) for i in range(10)]


def main() -> None:
    """Make the trace, and time the search three times."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Trace.load(made_trace().save(Path(folder) / "case.trace"))
        for _ in range(3):
            began, answers = time.perf_counter(), of_steps(trace)
            assert answers is not None
            found = regions(answers)
            print(f"{len(found.places)} places in {time.perf_counter() - began:.2f} s, {found.places_ml:.1f} mL")
        print(f"peak of the whole process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def made_trace() -> Trace:
    """Return the trace in memory."""
    labels = np.zeros((STEPS, *SHAPE), np.uint8)
    for step in range(STEPS):
        for value, centre in enumerate(CENTRES, 1):
            draw(labels[step], centre, RADIUS + value % 3 + max(0, step - 3) / 3, value)
    labels[-1, 100:110, 300:320, 300:330] = 3
    names = {value: f"organ {value}" if value else "background" for value in range(len(CENTRES) + 1)}
    geometry = Geometry.from_spacing(SHAPE, SPACING_MM)
    return Trace(labels, {}, np.zeros((0, 6), np.int64), {}, geometry, names, "cycle")


def draw(labels: Array, centre: tuple[int, int, int], radius: float, value: int) -> None:
    """Draw a ball, radius in voxels, into labels (Z, Y, X)."""
    part = tuple(slice(max(0, c - 60), min(n, c + 60)) for c, n in zip(centre, labels.shape, strict=True))
    z, y, x = np.ogrid[part]
    inside = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2
    labels[part][inside] = value


if __name__ == "__main__":
    main()
