"""An OME-Zarr folder -> a description of its image or label map; the finest level is read.

OME-Zarr 0.4 and 0.5 hold no rotation and do not say which way the body lies. Where the axes carry the directions of
RFC 4 (``right-to-left`` …) these count; otherwise x runs to the left, y to the back and z to the head, as ITK and
ngff-zarr take them. An oblique grid that VoxTrace wrote has its directions in an attribute of its own, which counts
while scale and translation are those it was written with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.described_image import DescribedImage
from voxtrace.io.ome_zarr.multiscale import (
    Axis,
    Multiscale,
    attributes_of,
    labels_listed,
    millimetres,
    multiscale_of,
    names_of,
)
from voxtrace.io.ome_zarr.stored import inside, open_level, read_level
from voxtrace.io.passport_checks import SIDES_KNOWN, SIDES_UNKNOWN
from voxtrace.io.text_images import grid_from
from voxtrace.passport import Finding
from voxtrace.volume import Array, Grid

_DIRECTIONS: Final[dict[str, tuple[float, float, float]]] = {  # of the body -> (L, P, S)
    "right-to-left": (1.0, 0.0, 0.0),
    "left-to-right": (-1.0, 0.0, 0.0),
    "anterior-to-posterior": (0.0, 1.0, 0.0),
    "posterior-to-anterior": (0.0, -1.0, 0.0),
    "inferior-to-superior": (0.0, 0.0, 1.0),
    "superior-to-inferior": (0.0, 0.0, -1.0),
}
_SAME = 1e-9  # of a number that was written and is read again
_SPACE = ("x", "y", "z")


def open_ome_zarr(folder: Path, *, labels: bool = False) -> DescribedImage:
    """Return what an OME-Zarr folder says of its image, or of the label map in it.

    Raises
    ------
    ReadError
        When it is none that can be read, or holds several label maps.
    """
    place = label_folder(folder) if labels else folder
    attributes = attributes_of(place)
    image = multiscale_of(attributes, place)
    space, others = _axes(image, place)
    level = open_level(place, image.path)
    shape = level.array.shape
    if len(shape) != len(image.axes) or min(shape) < 1:
        raise ReadError(f"{place} describes {len(image.axes)} axes of an array with the shape {shape}; correct it.")
    grid, found = _grid(image, space, shape, attributes.get("voxtrace"), place)
    found = (*found, *level.files.said())
    counts = [int(shape[axis]) for axis in others]
    if sum(n > 1 for n in counts) > 1:
        raise ReadError(
            f"{place} has both time points and channels ({'×'.join(map(str, counts))}); expected one of them. "
            "Save each channel as an image of its own."
        )

    def read(number: int) -> Array:
        places: list[Any] = [slice(None)] * len(shape)
        for axis, count in zip(others, counts, strict=True):
            places[axis] = number if count > 1 else 0
        kept = sorted(space)
        stored = read_level(level, tuple(places), place)
        turned = stored.transpose([kept.index(axis) for axis in reversed(space)])  # z, y, x
        return np.ascontiguousarray(turned.astype(turned.dtype.newbyteorder("="), copy=False))

    return DescribedImage(grid, max(counts, default=1), read, "", found, *names_of(attributes), image.description)


def label_folder(folder: Path) -> Path:
    """Return the folder of the label map: the folder itself, or the only label map of an image.

    Raises
    ------
    ReadError
        When the image has several label maps, or a folder for them that lists none.
    """
    attributes = attributes_of(folder)
    if "image-label" in attributes or not (folder / "labels").is_dir():
        return folder
    names = labels_listed(attributes_of(inside(folder, "labels")))
    if not names:  # the image itself is a scan, never its own labels
        raise ReadError(
            f"{folder} has a folder `labels` that lists no label map; expected `labels` in its attributes. Name the "
            f"folder of one, such as {folder / 'labels' / 'NAME'}."
        )
    if len(names) > 1:
        raise ReadError(
            f"{folder} holds {len(names)} label maps ({', '.join(names[:6])}); expected one. Name the folder of one, "
            f"such as {folder / 'labels' / names[0]}."
        )
    return inside(inside(folder, "labels"), names[0])


def _axes(image: Multiscale, folder: Path) -> tuple[tuple[int, int, int], list[int]]:
    """Return which axes are x, y and z, and which are others."""
    names = [axis.name for axis in image.axes]
    if any(names.count(name) != 1 for name in _SPACE) or len(names) > 5:
        raise ReadError(
            f"{folder} has the axes {', '.join(names)[:60]}; expected x, y and z once each, and at most time and "
            "channel beside them."
        )
    x, y, z = (names.index(name) for name in _SPACE)
    return (x, y, z), [number for number in range(len(names)) if number not in (x, y, z)]


def _grid(
    image: Multiscale, space: tuple[int, int, int], shape: tuple[int, ...], kept: Any, folder: Path
) -> tuple[Grid, tuple[Finding, ...]]:
    """Return where the voxels lie, and what was found."""
    axes = [image.axes[axis] for axis in space]
    factors = [millimetres(axis.unit, folder) for axis in axes]
    scale = np.multiply([image.scale[axis] for axis in space], factors)
    translation = np.multiply([image.translation[axis] for axis in space], factors)
    directions, found = _directions(axes, folder)
    own = _own_directions(kept, scale, translation, folder)
    if own is not None:
        directions, origin_mm = own, translation
        found = (Finding("transforms", "fine", "scale, translation and VoxTrace's directions"), SIDES_KNOWN)
    else:
        origin_mm = directions @ translation
    grid = grid_from([shape[axis] for axis in space], directions * scale, origin_mm.tolist(), folder)
    return grid, (*found, _units(axes))


def _units(axes: list[Axis]) -> Finding:
    units = sorted({axis.unit for axis in axes})
    if units == ["millimeter"]:
        return Finding("units", "fine", "mm")
    if "" in units:
        return Finding("units", "corrected", "not every axis names a unit", "taken as mm; check the size of the voxels")
    return Finding("units", "corrected", f"the image measures in {', '.join(units)}", "converted to mm")


def _directions(axes: list[Axis], folder: Path) -> tuple[Array, tuple[Finding, ...]]:
    """Return the directions of x, y, z (3×3, a column an axis, in L, P, S)."""
    stated = [axis.direction for axis in axes]
    if not any(stated):
        return np.eye(3), (Finding("transforms", "fine", "scale and translation"), SIDES_UNKNOWN)
    if any(one not in _DIRECTIONS for one in stated):
        raise ReadError(
            f"{folder} says that its axes run {', '.join(one or 'nowhere' for one in stated)[:120]}; expected "
            f"{', '.join(_DIRECTIONS)}. Correct the orientation."
        )
    found = np.column_stack([_DIRECTIONS[one] for one in stated])
    return found, (Finding("transforms", "fine", "scale, translation and orientation of the axes"), SIDES_KNOWN)


def _own_directions(kept: Any, scale: Array, translation: Array, folder: Path) -> Array | None:
    """Return the directions that VoxTrace wrote, (3, 3); None where it wrote none.

    Raises
    ------
    ReadError
        When the image was changed since, so that they may mean something else.
    """
    if not isinstance(kept, Mapping):
        return None
    try:
        direction = np.asarray(kept["direction_lps"], np.float64).reshape(3, 3)
        written = [np.asarray(kept[name], np.float64).reshape(3) for name in ("scale_mm", "translation_mm")]
    except (KeyError, ValueError, TypeError) as error:
        raise ReadError(
            f"{folder} has directions of VoxTrace that make no sense ({error}); export it again."
        ) from error
    now = (scale, translation)
    if not all(np.allclose(a, b, rtol=_SAME, atol=1e-6) for a, b in zip(written, now, strict=True)):
        raise ReadError(
            f"{folder} is oblique, and another program changed its scale or translation since VoxTrace wrote it, so "
            "its place is unknown; export it again."
        )
    if not np.all(np.isfinite(direction)):
        raise ReadError(f"{folder} has directions of VoxTrace that are not finite; export it again.")
    return direction
