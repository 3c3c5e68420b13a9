"""A stack of headers -> voxels: decoded image by image into one array, on a regular and upright grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtrace.errors import ReadError
from voxtrace.io.dicom.gantry_tilt import UprightExtent, shift_plane
from voxtrace.io.dicom.grid import DicomGrid, SourceFrame
from voxtrace.io.dicom.pixels import PixelDecoder
from voxtrace.io.dicom.rescale import PixelPlane, rescaled_plane, type_for, wide_enough
from voxtrace.io.dicom.slices import Slice
from voxtrace.io.dicom.stack import EVEN_FRACTION, SliceStack
from voxtrace.passport import Finding
from voxtrace.volume import Array

AIR_HU = -1000
_Positioned = tuple[float, PixelPlane]  # plane index, with fractions, and the image there


@dataclass(frozen=True, eq=False)
class Voxels:
    """The voxels of a stack (Z, Y, X), where they lie, and what was found in them."""

    array: Array
    grid: DicomGrid
    findings: tuple[Finding, ...]


def voxels_of(stack: SliceStack, name: str) -> Voxels:
    """Return the voxels of a stack.

    Raises
    ------
    ReadError
        When pixels cannot be decoded, or images at the same position differ.
    """
    extent = UprightExtent.around(stack)
    volume = _VolumeArray((stack.planes, *extent.size), type_for(s for images in stack.positions for s in images))
    padded = 0
    before: _Positioned | None = None
    for plane_index, shift, (plane, count) in zip(stack.plane_indices, stack.shifts, _planes(stack, name), strict=True):
        padded += count
        upright = shift_plane(plane, shift, extent) if stack.is_tilted else plane
        now = (float(plane_index), upright)
        for index, parts in _planes_between(before, now):
            volume.put(index, parts)
        before = now
    array = volume.filled(AIR_HU if stack.is_tilted and stack.first.modality == "CT" else None)
    return Voxels(array, grid_of(stack), tuple(_findings(stack, padded)))


def _planes(stack: SliceStack, name: str) -> Iterator[tuple[PixelPlane, int]]:
    """Yield one image for each position, and how many of its pixels are padding; duplicates must be equal."""
    decoder = PixelDecoder()
    for images in stack.positions:
        planes = [rescaled_plane(decoder.stored(s.source), s) for s in images]
        if any(p.values.shape != images[0].size for p in planes):
            raise ReadError(f"{name}: an image does not have the size that its header states; copy or export it again.")
        if not all(np.array_equal(planes[0].values, p.values) for p in planes[1:]):
            raise ReadError(_differing(images, name))
        yield planes[0], 0 if planes[0].blank is None else int(planes[0].blank.sum())


def _differing(images: tuple[Slice, ...], name: str) -> str:
    return (
        f"{name} has {len(images)} different images at the same position that no attribute distinguishes "
        f"({images[0].path.name}, {images[1].path.name}); expected one image at each position. "
        "Keep a single time point or reconstruction in the folder."
    )


def _planes_between(
    before: tuple[float, PixelPlane] | None, now: tuple[float, PixelPlane]
) -> Iterator[tuple[int, PixelPlane]]:
    """Yield the planes of the volume after ``before`` and up to ``now``; each is a plane index and an image."""
    plane_index, plane = now
    nearest = round(plane_index)
    on_it = abs(plane_index - nearest) <= EVEN_FRACTION
    if before is not None:
        start = int(np.floor(before[0] + EVEN_FRACTION)) + 1
        for index in range(start, nearest if on_it else int(np.floor(plane_index)) + 1):
            yield index, _mix(before[1], plane, (index - before[0]) / (plane_index - before[0]))
    if on_it:
        yield nearest, plane


def _mix(one: PixelPlane, other: PixelPlane, weight: float) -> PixelPlane:
    values = (one.values * np.float64(1 - weight) + other.values * np.float64(weight)).astype(np.float32)
    blanks = [p.blank for p in (one, other) if p.blank is not None]
    return PixelPlane(values, np.logical_or.reduce(blanks) if blanks else None)


class _VolumeArray:
    """The array that planes are written into; its number type widens when values do not fit."""

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype[np.generic]) -> None:
        self.array: Array = np.zeros(shape, dtype)
        self._lowest: float | None = None
        self._blanks: dict[int, npt.NDArray[np.uint8]] = {}

    def put(self, index: int, plane: PixelPlane) -> None:
        """Write one plane; interpolated values are rounded where the volume has whole numbers."""
        values = plane.values
        # planes between two slices are interpolated as float32
        if np.issubdtype(self.array.dtype, np.integer) and np.issubdtype(values.dtype, np.floating):
            values = np.rint(values).astype(np.int64)
        blank = plane.blank if plane.blank is not None and plane.blank.any() else None
        if blank is not None:
            # one bit a pixel: the fill value is known only after the last plane
            self._blanks[index] = np.packbits(blank)
            if blank.all():
                return
            values = np.where(blank, values[~blank].min(), values)  # padding does not count for the range of values
        lowest = values.min().item()
        self._lowest = lowest if self._lowest is None else min(self._lowest, lowest)
        self.array = self.array.astype(wide_enough(self.array.dtype, values), copy=False)
        self.array[index] = values

    def filled(self, value: float | None) -> Array:
        """Return the array with padding set to ``value`` where its type has that, else to the lowest value."""
        fits = value is not None and (
            np.issubdtype(self.array.dtype, np.floating) or np.iinfo(self.array.dtype.name).min <= value
        )
        fill = value if fits else self._lowest
        for index, packed in self._blanks.items():
            plane = self.array[index]
            plane[np.unpackbits(packed, count=plane.size).astype(bool).reshape(plane.shape)] = fill or 0
        return self.array


def grid_of(stack: SliceStack) -> DicomGrid:
    """Return the grid on which the voxels of a stack lie; pixels are left alone."""
    first, extent = stack.first, UprightExtent.around(stack)
    rows_mm, columns_mm = first.pixel_spacing_mm
    corner_mm = np.asarray([columns_mm * extent.corner[0], rows_mm * extent.corner[1], 0.0])
    origin = first.position_mm + first.axes @ corner_mm
    return DicomGrid(
        size=(extent.size[1], extent.size[0], stack.planes),
        spacing_mm=(columns_mm, rows_mm, stack.step_mm),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=tuple(float(v) for v in first.axes.ravel()),
        sources=tuple(SourceFrame(images[0].path, images[0].source.frame) for images in stack.positions),
        regridded=stack.is_regridded,
    )


def _findings(stack: SliceStack, padded: int) -> Iterator[Finding]:
    if stack.duplicates:
        yield Finding(
            "duplicates", "corrected", f"{stack.duplicates} image(s) equal to another at the same position", "left out"
        )
    if padded:
        yield Finding("intensities", "corrected", f"{padded} pixels of padding", "set to the lowest value of the scan")
