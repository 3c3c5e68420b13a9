"""MINC 2: an HDF5 file with ``/minc-2.0/image/0/image`` and a description of each axis; read by h5py.

An HDF5 file can name others: as a link, as storage outside or as a virtual data set. Such files are refused, so that
nothing outside is read.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.foreign.minc_image import MincAttribute, MincAxis, MincImage
from voxtrace.io.integrity import check_packed_size, damaged
from voxtrace.volume import Array

_ROOT = "minc-2.0"
_IMAGE = f"{_ROOT}/image/0"
_MOST_SCALES = 1 << 20
_FAULTS = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, IndexError, OverflowError)


def open_minc2(path: Path) -> MincImage:
    """Return what a MINC 2 file says.

    Raises
    ------
    ReadError
        When h5py is not installed, the file names other files, or it is no MINC volume.
    """
    with _opened(path) as file:
        image = _dataset(file, f"{_IMAGE}/image", path)
        names = _names(image)
        axes = tuple(
            MincAxis(name, int(size), _attributes(file, f"{_ROOT}/dimensions/{name}", path))
            for name, size in zip(names, image.shape, strict=True)
        )
        number_type = _number_type(image, path)
        low, high, scale_axes = _scales(file, image, path)
        stored = image.attrs.get("valid_range")
        given = None if stored is None else tuple(float(v) for v in np.ravel(stored))
        valid = (min(given), max(given)) if given and len(given) == 2 else None
        check_packed_size(math.prod(image.shape) * image.dtype.itemsize, int(image.id.get_storage_size()), path)
    return MincImage(axes, number_type, valid, scale_axes, low, high, _reader(path, len(axes) == 4))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield the opened file; any fault of the parser ends in one of our errors."""
    try:
        h5py = _h5py()
    except ImportError as error:
        raise ReadError(
            f"{path} is MINC 2, which needs the package h5py; install it with `pip install h5py`, or convert the file "
            "with `mincconvert -1 IN.mnc OUT.mnc`."
        ) from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except _FAULTS as error:
        raise damaged(path, f"it is no MINC volume that can be read ({' '.join(str(error).split())[:120]})") from error


def _h5py() -> Any:
    """Return the module h5py; an extra, so it may be missing."""
    return importlib.import_module("h5py")


def _inside(file: Any, name: str, path: Path) -> Any:
    """Return an object of the file, reached by plain names alone."""
    found = file
    for part in name.split("/"):
        if not isinstance(found.get(part, getlink=True), _h5py().HardLink):
            raise ReadError(f"{path} has a link where {name} was expected; save the file anew with `mincreshape`.")
        found = found[part]
    return found


def _dataset(file: Any, name: str, path: Path) -> Any:
    found = _inside(file, name, path)
    if not isinstance(found, _h5py().Dataset):
        raise damaged(path, f"{name} is no data set")
    if found.external or found.is_virtual:
        raise ReadError(f"{path} keeps {name} in other files; expected all of it in one. Save it anew.")
    return found


def _names(image: Any) -> tuple[str, ...]:
    """Return the names of the axes, slowest first."""
    order = image.attrs.get("dimorder", b"")
    text = order.decode("ascii", "replace") if isinstance(order, bytes) else str(order)
    return tuple(name for name in text.split(",") if name)[: len(image.shape)]


def _attributes(file: Any, name: str, path: Path) -> Mapping[str, MincAttribute]:
    found: dict[str, MincAttribute] = {}
    for key, value in _inside(file, name, path).attrs.items():
        if isinstance(value, (bytes, str)):
            found[key] = value.decode("ascii", "replace").split("\0")[0] if isinstance(value, bytes) else value
        elif np.asarray(value).dtype.kind in "iuf" and np.size(value) <= 16:
            found[key] = tuple(float(v) for v in np.ravel(value))
    return found


def _number_type(image: Any, path: Path) -> str:
    if image.dtype.kind not in "iuf" or image.dtype.itemsize > 8:
        raise ReadError(
            f"{path} holds numbers of type {image.dtype}; expected one real number a voxel. Convert it to float."
        )
    return str(image.dtype.str)


def _scales(file: Any, image: Any, path: Path) -> tuple[Array, Array, tuple[str, ...]]:
    """Return the values of the smallest and the largest stored number, and over which axes they run."""
    if image.dtype.kind == "f":
        return np.zeros(()), np.ones(()), ()
    low, high = (_dataset(file, f"{_IMAGE}/{name}", path) for name in ("image-min", "image-max"))
    if low.shape != high.shape or math.prod(low.shape) > _MOST_SCALES:
        raise damaged(path, "image-min and image-max do not fit each other")
    axes = _names(high)
    if len(axes) != len(high.shape) or high.shape != image.shape[: len(high.shape)]:
        raise ReadError(
            f"{path} has image-max of the shape {high.shape} over {', '.join(axes)[:60] or 'no named axis'}; expected "
            "it over the first axes of the image, by name. Convert it with `mincreshape`."
        )
    return np.asarray(low[()], np.float64), np.asarray(high[()], np.float64), axes


def _reader(path: Path, over_time: bool) -> Callable[[int], Array]:
    def read(timepoint: int) -> Array:
        with _opened(path) as file:
            image = _dataset(file, f"{_IMAGE}/image", path)
            return np.asarray(image[timepoint] if over_time else image[()])

    return read
