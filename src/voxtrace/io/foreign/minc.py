"""MINC volumes: version 1 (netCDF) and version 2 (HDF5), one description of both.

The axes of a MINC image have names (``xspace``, ``yspace``, ``zspace``, ``time``), in any order, each with a start, a
step and a direction; the world is measured in mm along (R, A, S). Stored whole numbers become values by the range they
may have (``valid_range``) and the range of values in the volume or in each slice (``image-min``, ``image-max``), as the
MINC programmer's guide defines it and nibabel reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.described_image import DescribedImage, ras_grid
from voxtrace.io.foreign.minc1 import open_minc1
from voxtrace.io.foreign.minc2 import open_minc2
from voxtrace.io.foreign.minc_image import SPACE, MincAxis, MincImage
from voxtrace.io.passport_checks import SIDES_KNOWN
from voxtrace.passport import Finding
from voxtrace.volume import Array

_MM_NAMES = ("", "mm", "millimeter", "millimeters", "millimetre", "millimetres")
_MM = Finding("units", "fine", "MINC measures in mm")
_PLACED = Finding("transforms", "fine", "starts, steps and directions of the header")


def open_minc(path: Path) -> DescribedImage:
    """Return what the header of a MINC file says.

    Raises
    ------
    ReadError
        When it is none, has colours or uneven slices, or a package is missing that MINC 2 needs.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if start[:3] == b"CDF":
        return _described(open_minc1(path), path)
    if start == b"\x89HDF\r\n\x1a\n":
        return _described(open_minc2(path), path)
    raise ReadError(f"{path} is not a MINC file, though its name says so; expected netCDF or HDF5.")


def _described(image: MincImage, path: Path) -> DescribedImage:
    names = [axis.name for axis in image.axes]
    space = [axis for axis in image.axes if axis.name in SPACE]
    over_time = names[:1] == ["time"]
    if len(space) != 3 or len(set(names)) != len(names) or len(names) != 3 + over_time:
        raise ReadError(
            f"{path} has the axes {', '.join(names)[:80]}; expected xspace, yspace and zspace, and at most time before "
            "them. Convert it with `mincreshape`."
        )
    for axis in space:
        if str(axis.attributes.get("spacing", "")).startswith("irregular"):
            raise ReadError(f"{path} has uneven steps along {axis.name}; expected even ones. Use `mincresample`.")
    fastest_first = space[::-1]
    steps, starts = ([_in_mm(axis, name, path) for axis in fastest_first] for name in ("step", "start"))
    directions = np.column_stack([axis.direction for axis in fastest_first])
    steps_mm = directions * steps
    origin_mm = directions @ starts
    grid = ras_grid([axis.size for axis in fastest_first], steps_mm, origin_mm, path)
    scaled, values = _scaling(image, path, over_time)
    count = image.axes[0].size if over_time else 1
    return DescribedImage(grid, count, values, scaled, (_PLACED, SIDES_KNOWN, _MM))


def _in_mm(axis: MincAxis, name: str, path: Path) -> float:
    """Return the step or the start of an axis in mm, which nothing else in the file tells."""
    unit = str(axis.attributes.get("units", "")).strip()
    if unit.lower() not in _MM_NAMES:
        raise ReadError(f"{path} measures {axis.name} in {unit[:40]!r}; expected mm. Correct its header.")
    found = axis.number(name)
    if found is None:
        raise ReadError(
            f"{path} does not say the {name} of {axis.name}; expected it in mm. Add it with `minc_modify_header "
            f"-dinsert {axis.name}:{name}=VALUE`."
        )
    return found


def _scaling(image: MincImage, path: Path, over_time: bool) -> tuple[str, Callable[[int], Array]]:
    """Return in words how stored numbers become values, and a function: a time point -> values (Z, Y, X)."""
    dtype = np.dtype(image.number_type)
    if dtype.kind == "f":
        return "", lambda timepoint: _native(image.read(timepoint))
    names = tuple(axis.name for axis in image.axes)
    if image.scale_axes != names[: len(image.scale_axes)] or len(image.scale_axes) > len(names) - 2:
        raise ReadError(
            f"{path} has image-max over {', '.join(image.scale_axes)[:60]}; expected it over the first axes of the "
            "image. Convert it with `mincreshape`."
        )
    smallest, largest = _valid_range(image, dtype, path)
    if not (np.all(np.isfinite(image.low)) and np.all(np.isfinite(image.high))):
        raise ReadError(f"{path} has an image-max or image-min that is not finite; correct its header.")
    slope = (image.high - image.low) / (largest - smallest)
    intercept = image.low - smallest * slope
    if np.all(slope == 1) and np.all(intercept == 0) and _whole(dtype, smallest, largest):
        return "", lambda timepoint: _native(image.read(timepoint))

    def values(timepoint: int) -> Array:
        stored = image.read(timepoint)
        found = np.empty(stored.shape, np.float32)
        a, b = (np.asarray(v[timepoint] if over_time and v.ndim else v) for v in (slope, intercept))
        for z, plane in enumerate(stored):  # a plane at a time: float64 of the whole is large
            each = (v[z] if v.ndim else v for v in (a, b))
            s, i = (np.asarray(v)[..., np.newaxis] if np.ndim(v) else v for v in each)
            found[z] = np.clip(plane.astype(np.float64), smallest, largest) * s + i
        return found

    per = "each slice" if image.scale_axes else "the volume"
    return f"scaled by the range of {per}", values


def _whole(dtype: np.dtype[np.generic], smallest: float, largest: float) -> bool:
    """Return whether a valid range leaves out no number of a type."""
    info = np.iinfo(dtype)  # type: ignore[type-var]
    return smallest <= info.min and largest >= info.max


def _valid_range(image: MincImage, dtype: np.dtype[np.generic], path: Path) -> tuple[float, float]:
    info = np.iinfo(dtype)  # type: ignore[type-var]
    smallest, largest = image.valid_range or (info.min, info.max)
    if not info.min <= smallest < largest <= info.max:
        raise ReadError(
            f"{path} has valid_range {smallest:g} to {largest:g}; expected a range within {info.min} to {info.max}. "
            "Correct its header."
        )
    return float(smallest), float(largest)


def _native(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("="), copy=False)
