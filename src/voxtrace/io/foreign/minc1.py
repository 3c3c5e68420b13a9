"""MINC 1: a classic netCDF file with the variables ``image``, ``image-max``, ``image-min`` and one for each axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.foreign.minc_image import MincAxis, MincImage
from voxtrace.io.foreign.netcdf import Variable, read_netcdf_header
from voxtrace.io.voxel_files import VoxelFile, read_voxels
from voxtrace.volume import Array

_NO_TYPE = "S"


def open_minc1(path: Path) -> MincImage:
    """Return what the header of a MINC 1 file says.

    Raises
    ------
    ReadError
        When it lacks a variable, or its image holds text.
    """
    variables = read_netcdf_header(path)
    image = variables.get("image")
    if image is None:
        raise ReadError(f"{path} has no variable image; expected a MINC volume.")
    number_type = _number_type(image, path)
    none: Mapping[str, str] = {}
    axes = tuple(
        MincAxis(name, size, variables[name].attributes if name in variables else none)
        for name, size in zip(image.dimensions, image.shape, strict=True)
    )
    low, high = variables.get("image-min"), variables.get("image-max")
    if low is None or high is None or low.dimensions != high.dimensions:
        if np.dtype(number_type).kind != "f":
            raise ReadError(f"{path} lacks image-max or image-min, so its values are unknown; convert it again.")
        return MincImage(axes, number_type, None, (), np.zeros(()), np.ones(()), _reader(image, number_type, path))
    return MincImage(
        axes,
        number_type,
        _valid_range(image),
        high.dimensions,
        low.values(path),
        high.values(path),
        _reader(image, number_type, path),
    )


def _number_type(image: Variable, path: Path) -> str:
    """Return the stored number type: netCDF has signed ones alone, MINC says whether they are."""
    kind = image.number_type
    if kind.startswith(_NO_TYPE):
        raise ReadError(f"{path} holds text where voxels were expected; check the file.")
    if kind[1] == "f":
        return kind
    # bytes are unsigned unless the header says otherwise
    default = "unsigned" if kind.endswith("1") else "signed__"
    unsigned = str(image.attributes.get("signtype", default)).startswith("unsigned")
    return kind.replace("i", "u") if unsigned else kind


def _valid_range(image: Variable) -> tuple[float, ...] | None:
    found = image.attributes.get("valid_range", ())
    if isinstance(found, tuple) and len(found) == 2:
        return min(found), max(found)
    ends = [image.attributes.get(name, ()) for name in ("valid_min", "valid_max")]
    numbers = tuple(end[0] for end in ends if isinstance(end, tuple) and end)
    return numbers if len(numbers) == 2 else None


def _reader(image: Variable, number_type: str, path: Path) -> Callable[[int], Array]:
    over_time = len(image.shape) == 4
    shape = image.shape[1:] if over_time else image.shape
    each = math.prod(shape)

    def read(timepoint: int) -> Array:
        # other variables may follow
        file = VoxelFile(path, start=image.start, rest=path.stat().st_size)
        part = (timepoint * each, (timepoint + 1) * each)
        return read_voxels((file,), number_type, math.prod(image.shape), part, path).reshape(shape)

    return read
