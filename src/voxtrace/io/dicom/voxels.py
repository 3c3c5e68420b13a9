"""A stack of headers -> voxels: decoded image by image into one array, on an even and upright grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtrace.errors import ReadError
from voxtrace.io.dicom.grid import DicomGrid, Source
from voxtrace.io.dicom.pixels import Decoder
from voxtrace.io.dicom.slices import Slice
from voxtrace.io.dicom.stack import EVEN_FRACTION, Stack
from voxtrace.io.dicom.upright import Frame, shifted
from voxtrace.io.dicom.values import Plane, plane_of, type_for, wide_enough
from voxtrace.passport import Finding
from voxtrace.volume import Array

AIR_HU = -1000


@dataclass(frozen=True, eq=False)
class Voxels:
    """The voxels of a stack (Z, Y, X), where they lie, and what was found in them."""

    array: Array
    grid: DicomGrid
    findings: tuple[Finding, ...]


def voxels_of(stack: Stack, name: str) -> Voxels:
    """Return the voxels of a stack.

    Raises
    ------
    ReadError
        When pixels cannot be decoded, or images in one place differ.
    """
    frame = Frame.around(stack)
    canvas = _Canvas((stack.planes, *frame.size), type_for(s for images in stack.places for s in images))
    padded = 0
    before: tuple[float, Plane] | None = None
    for rung, shift, (plane, count) in zip(stack.rungs, stack.shifts, _planes(stack, name), strict=True):
        padded += count
        upright = shifted(plane, shift, frame) if stack.is_tilted else plane
        now = (float(rung), upright)
        for index, parts in _drawn(before, now):
            canvas.put(index, parts)
        before = now
    array = canvas.filled(AIR_HU if stack.is_tilted and stack.first.modality == "CT" else None)
    return Voxels(array, _grid(stack, frame), tuple(_findings(stack, padded)))


def _planes(stack: Stack, name: str) -> Iterator[tuple[Plane, int]]:
    """Yield the image at each position and how many of its pixels are padding; equal ones are one."""
    decoder = Decoder()
    for images in stack.places:
        planes = [plane_of(decoder.stored(s.source), s) for s in images]
        if any(p.values.shape != images[0].size for p in planes):
            raise ReadError(f"{name}: an image has not the size that its header tells; copy or export it again.")
        if not all(np.array_equal(planes[0].values, p.values) for p in planes[1:]):
            raise ReadError(_differing(images, name))
        yield planes[0], 0 if planes[0].blank is None else int(planes[0].blank.sum())


def _differing(images: tuple[Slice, ...], name: str) -> str:
    return (
        f"{name} has {len(images)} different images that lie in one place ({images[0].path.name}, "
        f"{images[1].path.name}), and no attribute tells them apart; expected one image at each position. "
        "Keep a single time point or reconstruction in the folder."
    )


def _drawn(before: tuple[float, Plane] | None, now: tuple[float, Plane]) -> Iterator[tuple[int, Plane]]:
    """Yield the planes of the volume from the one after ``before`` to the one at or below ``now``."""
    rung, plane = now
    nearest = round(rung)
    on_it = abs(rung - nearest) <= EVEN_FRACTION
    if before is not None:
        start = int(np.floor(before[0] + EVEN_FRACTION)) + 1
        for index in range(start, nearest if on_it else int(np.floor(rung)) + 1):
            yield index, _between(before[1], plane, (index - before[0]) / (rung - before[0]))
    if on_it:
        yield nearest, plane


def _between(one: Plane, other: Plane, weight: float) -> Plane:
    values = (one.values * np.float64(1 - weight) + other.values * np.float64(weight)).astype(np.float32)
    blanks = [p.blank for p in (one, other) if p.blank is not None]
    return Plane(values, np.logical_or.reduce(blanks) if blanks else None)


class _Canvas:
    """The array that images are drawn into; it widens its number type should values not fit."""

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype[np.generic]) -> None:
        self.array: Array = np.zeros(shape, dtype)
        self._lowest: float | None = None
        self._blanks: dict[int, npt.NDArray[np.uint8]] = {}

    def put(self, index: int, plane: Plane) -> None:
        """Write one plane; interpolated values are rounded where the volume has whole numbers."""
        values = plane.values
        if np.issubdtype(self.array.dtype, np.integer) and np.issubdtype(values.dtype, np.floating):
            values = np.rint(values).astype(np.int64)
        blank = plane.blank if plane.blank is not None and plane.blank.any() else None
        if blank is not None:
            self._blanks[index] = np.packbits(blank)
            if blank.all():
                return
            values = np.where(blank, values[~blank].min(), values)  # what is no pixel has no say in the range
        lowest = values.min().item()
        self._lowest = lowest if self._lowest is None else min(self._lowest, lowest)
        self.array = self.array.astype(wide_enough(self.array.dtype, values), copy=False)
        self.array[index] = values

    def filled(self, value: float | None) -> Array:
        """Return the array with what is no pixel set to ``value`` where its type has that, else to the lowest value."""
        fits = value is not None and (
            np.issubdtype(self.array.dtype, np.floating) or np.iinfo(self.array.dtype.name).min <= value
        )
        fill = value if fits else self._lowest
        for index, packed in self._blanks.items():
            plane = self.array[index]
            plane[np.unpackbits(packed, count=plane.size).astype(bool).reshape(plane.shape)] = fill or 0
        return self.array


def _grid(stack: Stack, frame: Frame) -> DicomGrid:
    first = stack.first
    rows_mm, columns_mm = first.pixel_spacing_mm
    corner_mm = np.asarray([columns_mm * frame.corner[0], rows_mm * frame.corner[1], 0.0])
    origin = first.position_mm + first.axes @ corner_mm
    return DicomGrid(
        size=(frame.size[1], frame.size[0], stack.planes),
        spacing_mm=(columns_mm, rows_mm, stack.step_mm),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=tuple(float(v) for v in first.axes.ravel()),
        sources=tuple(Source(images[0].path, images[0].source.frame) for images in stack.places),
        regridded=stack.is_regridded,
    )


def _findings(stack: Stack, padded: int) -> Iterator[Finding]:
    if stack.doubles:
        yield Finding(
            "duplicates", "corrected", f"{stack.doubles} image(s) equal to another in the same place", "left out"
        )
    if padded:
        yield Finding("intensities", "corrected", f"{padded} pixels of padding", "set to the lowest value of the scan")
