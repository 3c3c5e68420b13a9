"""Measurements on one slice of a scan: length of a line, area and intensities of a region; pure functions.

Points are (rows, columns) in voxels of the slice, (0, 0) at the centre of the first one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["line", "path", "polygon", "rectangle", "ellipse"]
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measurement:
    """What was measured; None where it has no meaning, or a region holds no voxel.

    Attributes
    ----------
    name
        A number and kind, ``1 ellipse``, or a label's name.
    where
        ``coronal, A 12.5 mm``; for a label ``whole volume``, after the layer and the step that were counted.
    length_mm, area_mm2, volume_ml
        Of a line, a region, and a label.
    mean, sd, low, high
        Of the scan's intensities at the voxels whose centres lie inside; the deviation is that of the population.
    voxels
        Number of these voxels.
    unit
        Of the intensities: ``HU``, or ``""`` where it is not known.
    """

    name: str
    where: str
    length_mm: float | None = None
    area_mm2: float | None = None
    volume_ml: float | None = None
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    voxels: int = 0
    unit: str = ""

    def text(self) -> str:
        """Return what is written beside the shape: ``23.4 mm``, or ``1.20 cm²`` and ``54.3 ± 8.1 HU`` on two lines."""
        lines = []
        if self.length_mm is not None:
            lines.append(f"{self.length_mm:.1f} mm")
        if self.area_mm2 is not None:
            lines.append(area_words(self.area_mm2))
        if self.mean is not None and self.sd is not None:
            digits = ".1f" if self.unit else ".4g"
            lines.append(f"{self.mean:{digits}} ± {self.sd:{digits}} {self.unit}".rstrip())
        return "\n".join(lines)


@dataclass(frozen=True)
class MeasureSource:
    """The source of a shapes layer with measurements: the unique id of the scan's layer."""

    scan: str


COLUMNS = ("what", "length mm", "area mm²", "volume mL", "mean", "SD", "min", "max", "unit", "voxels", "where")


def cells(one: Measurement) -> tuple[str, ...]:
    """Return a measurement as the texts of a row, in the order of ``COLUMNS``."""
    numbers = (one.length_mm, one.area_mm2, one.volume_ml, one.mean, one.sd, one.low, one.high)
    shown = ("" if value is None else f"{value:.5g}" for value in numbers)
    unit = one.unit if one.mean is not None else ""
    return (one.name, *shown, unit, str(one.voxels) if one.voxels else "", one.where)


def as_csv(measurements: Sequence[Measurement]) -> str:
    """Return measurements as a table with comma-separated values; each row has the unit of its intensities."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(cells(one) for one in measurements)
    return text.getvalue()


def measure(
    kind: Kind,
    points: Points,
    spacing_mm: tuple[float, float],
    plane: Any,
    name: str = "",
    where: str = "",
    unit: str = "",
) -> Measurement:
    """Return the measurement of one shape.

    Parameters
    ----------
    points
        The corners (N, 2); of an ellipse the four corners of the box around it.
    spacing_mm
        Distance of rows and of columns.
    plane
        The slice of the scan (rows, columns).
    unit
        The unit of its values.
    """
    mm = points * np.asarray(spacing_mm)
    if kind in ("line", "path"):
        return Measurement(name, where, length_mm=float(np.linalg.norm(np.diff(mm, axis=0), axis=1).sum()))
    area = ellipse_area(mm) if kind == "ellipse" else polygon_area(mm)
    values = np.asarray(plane)[inside(kind, points, np.shape(plane))].astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return Measurement(name, where, area_mm2=area)
    return Measurement(name, where, None, area, None, *statistics(values), int(values.size), unit)


def statistics(values: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return mean, standard deviation of the population, smallest and largest of one or more values."""
    return float(values.mean()), float(values.std()), float(values.min()), float(values.max())


def inside(kind: Kind, points: Points, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return the voxels (rows, columns) of a slice whose centres lie inside a closed shape."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    return _in_ellipse(points, rows, columns) if kind == "ellipse" else _in_polygon(points, rows, columns)


def plane_of(points: Points, preferred: int) -> int:
    """Return the axis of (I, P, L) that the corners (N, 3) of a shape do not vary along.

    A straight line lies in two planes: then ``preferred`` is taken, if it is one of them.
    """
    flat = [axis for axis in range(3) if np.ptp(points[:, axis]) < 1e-3]
    if preferred in flat:
        return preferred
    return flat[0] if flat else int(np.argmin(np.ptp(points, axis=0)))


def polygon_area(mm: Points) -> float:
    """Return the area of a polygon in mm², from its corners in mm (shoelace formula)."""
    rows, columns = mm[:, 0], mm[:, 1]
    return float(abs(np.dot(rows, np.roll(columns, -1)) - np.dot(columns, np.roll(rows, -1))) / 2)


def ellipse_area(mm: Points) -> float:
    """Return the area of the ellipse in a box, from the box's four corners in mm."""
    return float(np.pi / 4) * polygon_area(mm)


def area_words(area_mm2: float) -> str:
    """Return an area in cm², or in mm² below a tenth of a cm²."""
    return f"{area_mm2 / 100:.2f} cm²" if area_mm2 >= 10 else f"{area_mm2:.2f} mm²"


def label_measurements(labels: Any, image: Any, names: Mapping[int, str], voxel_ml: float) -> tuple[Measurement, ...]:
    """Return volume and intensities of each label; both arrays are (Z, Y, X) on one grid and are read by slices."""
    sums: dict[int, list[float]] = {label: [0.0, 0.0, 0.0, np.inf, -np.inf] for label in names}
    counts = dict.fromkeys(names, 0)
    for z in range(labels.shape[0]):
        plane, values = np.asarray(labels[z]), np.asarray(image[z])
        for label in set(np.unique(plane).tolist()) & sums.keys():
            own = values[plane == label].astype(np.float64)
            counts[label] += own.size
            _add(sums[label], own[np.isfinite(own)])
    return tuple(_label(name, sums[label], counts[label], voxel_ml) for label, name in names.items())


def _add(sums: list[float], values: npt.NDArray[np.float64]) -> None:
    if values.size:
        n, total, squares, low, high = sums
        sums[:] = [
            n + values.size,
            total + float(values.sum()),
            squares + float(np.square(values).sum()),
            min(low, float(values.min())),
            max(high, float(values.max())),
        ]


def _label(name: str, sums: Sequence[float], count: int, voxel_ml: float) -> Measurement:
    n, total, squares, low, high = sums
    if not n:
        return Measurement(name, "whole volume", volume_ml=count * voxel_ml, voxels=count)
    mean = total / n
    sd = float(np.sqrt(max(squares / n - mean**2, 0.0)))
    return Measurement(name, "whole volume", None, None, count * voxel_ml, mean, sd, low, high, count)


def _in_polygon(points: Points, rows: Points, columns: Points) -> npt.NDArray[np.bool_]:
    """Count the edges that a ray along the columns crosses: an odd number is inside."""
    result = np.zeros(rows.shape, bool)
    for (r0, c0), (r1, c1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if r0 == r1:
            continue
        crosses = (rows >= min(r0, r1)) & (rows < max(r0, r1))
        at = c0 + (rows - r0) * (c1 - c0) / (r1 - r0)
        result ^= crosses & (columns < at)
    return result


def _in_ellipse(points: Points, rows: Points, columns: Points) -> npt.NDArray[np.bool_]:
    centre = points.mean(axis=0)
    first, second = (points[1] - points[0]) / 2, (points[3] - points[0]) / 2
    axes = np.stack([first, second], axis=1)
    if abs(np.linalg.det(axes)) < 1e-12:
        return np.zeros(rows.shape, bool)
    inverse = np.linalg.inv(axes)
    r, c = rows - centre[0], columns - centre[1]
    along = (inverse[0, 0] * r + inverse[0, 1] * c) ** 2 + (inverse[1, 0] * r + inverse[1, 1] * c) ** 2
    return np.asarray(along <= 1 + 1e-9)  # a centre on the border counts, whatever the rounding
