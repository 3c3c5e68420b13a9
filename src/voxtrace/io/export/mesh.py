"""Surfaces in mm as STL (binary), PLY (a colour at each vertex) and OBJ (a group for each label)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import scipy  # its parts are loaded where they are used

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError, UsageError
from voxtrace.io.export.label_style import colour_of
from voxtrace.io.export.meshfiles import READERS, WRITERS
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.export.surface import Surface, surface_of
from voxtrace.io.export.verification import TOLERANCE_MM, check_corners, check_equal, corners_mm
from voxtrace.volume import LabelMap


def write(labels: LabelMap, path: Path, options: ExportOptions) -> Written:
    """Write the surfaces of a label map; STL has all in one body, or with ``options.each`` a file for each label.

    Raises
    ------
    OutputError
        When the label map is empty, smoothing leaves nothing of a label, or a file read back differs.
    UsageError
        When the smoothing is negative.
    """
    if not (np.isfinite(options.smooth_mm) and options.smooth_mm >= 0):
        raise UsageError(f"smoothing by {options.smooth_mm} mm is not possible; expected 0 or more.")
    surfaces = _surfaces(labels, options.smooth_mm)
    if not surfaces:
        raise OutputError(f"{path}: {labels.name} holds no label, so it has no surface.")
    parts = _parts(surfaces, path) if options.each else [(path, surfaces)]
    for file, part in parts:
        _write_one(part, file, labels, options.smooth_mm)
    return Written(tuple(file for file, _ in parts))


def _surfaces(labels: LabelMap, smooth_mm: float) -> list[Surface]:
    boxes = scipy.ndimage.find_objects(labels.data)
    return [
        surface_of(labels, value, box, colour_of(labels, value), smooth_mm)
        for value, box in enumerate(boxes, 1)
        if box is not None
    ]


def _parts(surfaces: Sequence[Surface], path: Path) -> list[tuple[Path, Sequence[Surface]]]:
    """Return a file ``NAME.<label>.stl`` for each surface; the names of files differ in more than case.

    Labels with equal names get their value appended.
    """
    words = ["".join(c if c.isalnum() or c in "-_" else "_" for c in surface.name) for surface in surfaces]
    folded = [word.casefold() for word in words]
    names: dict[str, str] = {}
    for word, surface in zip(words, surfaces, strict=True):
        name = word if folded.count(word.casefold()) == 1 else f"{word}_{surface.label}"
        while name.casefold() in names:
            name += f"_{surface.label}"
        names[name.casefold()] = name
    start = path.name[: -len(path.suffix)]
    return [(path.with_name(f"{start}.{name}.stl"), [s]) for name, s in zip(names.values(), surfaces, strict=True)]


def _write_one(surfaces: Sequence[Surface], path: Path, labels: LabelMap, smooth_mm: float) -> None:
    suffix = path.suffix.lower()
    with atomic_file(path) as temporary:
        WRITERS[suffix](surfaces, temporary)
        vertices, faces = READERS[suffix](temporary)
        check_equal("triangles", faces, sum(len(s.faces) for s in surfaces), path)
        expected = np.concatenate([_ends(s.vertices_mm for s in surfaces)])
        check_corners(_ends([vertices]), expected, path)
        _check_inside(vertices, labels, smooth_mm, path)


def _ends(parts: Iterable[np.ndarray]) -> np.ndarray:
    points = np.concatenate(list(parts))
    return np.stack([points.min(0), points.max(0)])


def _check_inside(vertices: np.ndarray, labels: LabelMap, smooth_mm: float, path: Path) -> None:
    """Refuse a surface that leaves the box of the label map's grid."""
    box = corners_mm(labels.geometry.grid)
    # a Gaussian moves a surface outwards by a few standard deviations at most
    slack = TOLERANCE_MM + 3.0 * smooth_mm
    if (vertices.min(0) < box.min(0) - slack).any() or (vertices.max(0) > box.max(0) + slack).any():
        raise OutputError(f"{path.name}: its surface leaves the box of the label map; report this as a fault.")
