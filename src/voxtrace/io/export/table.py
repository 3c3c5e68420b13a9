"""A row for each label: volume, bounding box, connected components, and intensities of an image within it."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # its parts are loaded where they are used

from voxtrace.atomic import atomic_file
from voxtrace.errors import GeometryError
from voxtrace.io.export.label_style import name_of
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.export.verification import check_equal
from voxtrace.io.stored_orientation import to_stored_orientation
from voxtrace.volume import Array, Geometry, LabelMap, Triple, Volume

_PERCENTILES = (5, 25, 50, 75, 95)
_TOUCHING = np.ones((3, 3, 3), bool)  # faces, edges and corners: 26 neighbours


@dataclass(frozen=True)
class LabelRow:
    """What was measured of one label.

    Attributes
    ----------
    label, name
        The label's value and its name.
    voxels, volume_ml
        How much of it there is.
    components, largest_component_ml
        Pieces that do not touch, not even at a corner (26-connectivity), and the largest of them.
    first_voxel_xyz, last_voxel_xyz
        The bounding box in voxels of the file's own grid, (x, y, z) counted from 0, both inside.
    low_mm, high_mm
        The bounding box in patient space, (L, P, S), from outer voxel face to outer voxel face.
    unit
        Of the intensities: ``HU`` for CT, ``""`` when the image does not state it, or there is none.
    mean, sd, p5, p25, p50, p75, p95
        Mean, standard deviation and percentiles of the image within the label; None without an image.
    """

    label: int
    name: str
    voxels: int
    volume_ml: float
    components: int
    largest_component_ml: float
    first_voxel_xyz: tuple[int, int, int]
    last_voxel_xyz: tuple[int, int, int]
    low_mm: Triple
    high_mm: Triple
    unit: str = ""
    mean: float | None = None
    sd: float | None = None
    p5: float | None = None
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    p95: float | None = None


def measure(labels: LabelMap, volume: Volume | None = None) -> tuple[LabelRow, ...]:
    """Return a row for each label that occurs, in the order of their values; none for an empty label map.

    Each label is looked at within its bounding box, so memory is that of the largest box.

    Raises
    ------
    GeometryError
        When the volume has several channels or lies on another grid.
    """
    intensities = None if volume is None else _intensities(labels, volume)
    unit = "HU" if volume is not None and volume.modality == "CT" else ""
    array = to_stored_orientation(labels.data, labels.geometry)
    boxes = scipy.ndimage.find_objects(array)
    return tuple(
        _row(labels, value, array, box, intensities, unit) for value, box in enumerate(boxes, 1) if box is not None
    )


def write(labels: LabelMap, path: Path, options: ExportOptions) -> Written:
    """Write the table of a label map as CSV or JSON.

    Raises
    ------
    OutputError
        When the system refuses, or the file read back differs.
    GeometryError
        As :func:`measure`.
    """
    rows = measure(labels, options.image)
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".json":
            text = json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
            back = len(json.loads(temporary.read_text(encoding="utf-8")))
        else:
            back = _write_csv(rows, temporary)
        check_equal("rows", back, len(rows), path)
    return Written((path,))


def _intensities(labels: LabelMap, volume: Volume) -> Array:
    if volume.data.shape[0] != 1:
        raise GeometryError(f"{volume.name} has {volume.data.shape[0]} channels; give one of them to measure.")
    if not volume.geometry.is_close(labels.geometry):
        raise GeometryError(
            f"{volume.name} {volume.geometry.shape} does not lie on the grid of {labels.name} "
            f"{labels.geometry.shape}; resample one onto the other first."
        )
    return to_stored_orientation(volume.data[0], labels.geometry)


def _row(
    labels: LabelMap, value: int, array: Array, box: tuple[slice, ...], intensities: Array | None, unit: str
) -> LabelRow:
    mask = array[box] == value
    pieces, count = scipy.ndimage.label(mask, _TOUCHING)
    largest = int(np.bincount(pieces.ravel())[1:].max())
    voxel_ml, voxels = labels.geometry.voxel_ml, int(np.count_nonzero(mask))
    low, high = _box_mm(labels.geometry, box)
    return LabelRow(
        label=value,
        name=name_of(labels, value),
        voxels=voxels,
        volume_ml=voxels * voxel_ml,
        components=int(count),
        largest_component_ml=largest * voxel_ml,
        first_voxel_xyz=(box[2].start, box[1].start, box[0].start),
        last_voxel_xyz=(box[2].stop - 1, box[1].stop - 1, box[0].stop - 1),
        low_mm=low,
        high_mm=high,
        unit=unit,
        **({} if intensities is None else _statistics(intensities[box][mask])),
    )


def _statistics(values: Array) -> dict[str, float]:
    # sums of float32 lose digits over millions of voxels
    exact = values.astype(np.float64)
    percentiles = np.percentile(exact, _PERCENTILES)
    found = {f"p{rank}": float(value) for rank, value in zip(_PERCENTILES, percentiles, strict=True)}
    return {"mean": float(exact.mean()), "sd": float(exact.std()), **found}


def _box_mm(geometry: Geometry, box: tuple[slice, ...]) -> tuple[Triple, Triple]:
    affine = geometry.grid.affine
    ends = np.stack(np.meshgrid(*[(s.start - 0.5, s.stop - 0.5) for s in box], indexing="ij"), -1).reshape(-1, 3)
    corners = (ends @ affine[:3, :3].T + affine[:3, 3])[:, ::-1]
    low, high = corners.min(0).tolist(), corners.max(0).tolist()
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def _write_csv(rows: tuple[LabelRow, ...], file: Path) -> int:
    """Write the rows, boxes spread over three columns each, and return how many were read back."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(_columns())
        writer.writerows(list(_cells(asdict(row)).values()) for row in rows)
    with file.open(newline="", encoding="utf-8") as opened:
        return sum(1 for _ in csv.DictReader(opened))


def _columns() -> list[str]:
    three = (0, 0, 0)
    return list(_cells(asdict(LabelRow(0, "", 0, 0.0, 0, 0.0, three, three, (0, 0, 0), (0, 0, 0)))))


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, tuple):
            start, _, unit = key.rpartition("_")
            axes = "xyz" if unit == "xyz" else "LPS"
            cells |= {
                f"{start}_{a}" + ("" if unit == "xyz" else f"_{unit}"): v for a, v in zip(axes, value, strict=True)
            }
        else:
            cells[key] = value
    return {key: _short(value) for key, value in cells.items()}


def _short(value: Any) -> Any:
    """Return a cell: seven digits of a number, nothing for None."""
    if value is None:
        return ""
    return f"{value:.7g}" if isinstance(value, float) else value
