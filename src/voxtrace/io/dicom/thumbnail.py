"""A thumbnail of a series, for a chooser."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxtrace.errors import ReadError
from voxtrace.io.dicom.pixels import PixelDecoder
from voxtrace.io.dicom.rescale import rescaled_plane
from voxtrace.io.dicom.series import Series
from voxtrace.io.dicom.slices import Slice
from voxtrace.volume import Array

_ABDOMEN_HU = (-160.0, 240.0)
_PERCENTILES = (1.0, 99.0)


def thumbnail(series: Series, edge: int = 96) -> npt.NDArray[np.uint8]:
    """Return the middle image of a series as grey values (rows, columns), 0 dark to 255 bright, with square pixels.

    The longer side has ``edge`` pixels. CT is shown from −160 to 240 HU, other scans between their percentiles 1 and
    99. Series that cannot be opened have one, too, if their pixels can be decoded.

    Raises
    ------
    ReadError
        When the pixels cannot be decoded.
    """
    middle = _middle(series)
    if middle.fault:
        raise ReadError(f"{middle.path}: {middle.fault}; copy or export the series again.")
    values, blank = _values(middle)
    low, high = _ABDOMEN_HU if middle.modality == "CT" and middle.samples == 1 else _range(values[~blank])
    grey = np.clip((values - low) / max(high - low, 1e-6), 0.0, 1.0)
    grey[blank] = 0.0
    small = _resized(grey, middle.pixel_spacing_mm, edge)
    shades: npt.NDArray[np.uint8] = np.rint(np.clip(small, 0.0, 1.0) * 255).astype(np.uint8)
    return shades


def _middle(series: Series) -> Slice:
    ordered = sorted(series.slices, key=lambda s: s.depth_mm) if series.is_placed else list(series.slices)
    return ordered[len(ordered) // 2]


def _values(slice_: Slice) -> tuple[Array, npt.NDArray[np.bool_]]:
    stored = PixelDecoder().stored(slice_.source)
    if stored.ndim > 2:  # colours
        stored = stored.mean(axis=-1)
    plane = rescaled_plane(stored, slice_)
    blank = np.zeros(stored.shape, bool) if plane.blank is None else plane.blank
    values = plane.values.astype(np.float32)
    return values, blank | ~np.isfinite(values)


def _range(values: Array) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, _PERCENTILES)
    return float(low), float(high)


def _resized(grey: Array, spacing_mm: tuple[float, ...], edge: int) -> Array:
    """Return an image of the same field of view; averaged first where it shrinks, against aliasing."""
    from scipy import ndimage

    sides = np.asarray(grey.shape) * (spacing_mm or (1.0, 1.0))
    size = np.maximum(1, np.rint(sides * edge / sides.max())).astype(int)
    shrinks = np.maximum(1, np.asarray(grey.shape) // size)
    averaged = ndimage.uniform_filter(grey, tuple(shrinks), mode="nearest")
    zoomed: Array = ndimage.zoom(averaged, size / grey.shape, order=1, grid_mode=True, mode="nearest")
    return zoomed
