"""The three anatomical planes in display space (I, P, L): order of axes, slices, positions and pictures.

A plane is named by the axis that it is perpendicular to: 0 axial, 1 coronal, 2 sagittal. Its rows run along the first
of the two other axes and its columns along the second, so head and front are always up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtrace.plugin.layers.display_space import AXES, LayerTransform, edge_letters
from voxtrace.volume import Triple

AXIAL, CORONAL, SAGITTAL = 0, 1, 2
NAMES = ("axial", "coronal", "sagittal")
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PlanePicture:
    """A plane, ready to be drawn.

    Attributes
    ----------
    axis
        The axis that the plane is perpendicular to.
    pixels
        Red, green and blue (rows, columns, 3).
    spacing_mm
        Distance of rows and of columns.
    cross
        Row and column of the crosshair, in voxels.
    letters
        The patient direction at each edge: left, right, top, bottom.
    title
        ``coronal 57 of 126``.
    """

    axis: int
    pixels: Pixels
    spacing_mm: tuple[float, float]
    cross: tuple[float, float]
    letters: tuple[tuple[str, str], ...] = ()
    title: str = ""

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width in mm."""
        return self.pixels.shape[0] * self.spacing_mm[0], self.pixels.shape[1] * self.spacing_mm[1]


def plane_axes(axis: int) -> tuple[int, int]:
    """Return the axes along the rows and the columns of a plane: from top to bottom, and from left to right."""
    first, second = (other for other in range(3) if other != axis)
    return first, second


def spatial_axes(axis_labels: Sequence[str]) -> tuple[int, ...]:
    """Return the viewer's axes that are named I, P and L, in this order; empty where one is missing."""
    names = list(axis_labels)
    return tuple(names.index(name) for name in AXES) if all(name in names for name in AXES) else ()


def anatomical_order(before: Sequence[int], after: Sequence[int], spatial: Sequence[int]) -> tuple[int, ...]:
    """Return the order of axes to show when napari's changed from ``before`` to ``after`` in a 2-D view.

    Axes that are not spatial (steps, frames) stay in front, so they are never drawn. A roll goes from axial to coronal
    to sagittal, each upright; a transposed plane stays transposed.
    """
    others = [axis for axis in after if axis not in spatial]
    was = [axis for axis in before if axis in spatial]
    now = [axis for axis in after if axis in spatial]
    if now != was and now == was[-1:] + was[:-1]:
        fixed = spatial[(list(spatial).index(was[0]) + 1) % 3]
    elif was and now[0] == was[0]:
        return (*others, *now)
    else:
        fixed = now[0]
    return (*others, fixed, *sorted(axis for axis in now if axis != fixed))


def order_of_plane(axis: int, order: Sequence[int], spatial: Sequence[int]) -> tuple[int, ...]:
    """Return the order of axes that shows a plane upright."""
    others = [one for one in order if one not in spatial]
    return (*others, spatial[axis], *(spatial[one] for one in plane_axes(axis)))


def solid_order(order: Sequence[int], spatial: Sequence[int]) -> tuple[int, ...]:
    """Return the order of axes for a 3-D view; any other order of (I, P, L) may mirror the patient."""
    return (*(axis for axis in order if axis not in spatial), *spatial)


def shown_plane(order: Sequence[int], spatial: Sequence[int]) -> int:
    """Return the plane that a 2-D view of these axes shows."""
    return list(spatial).index(next(axis for axis in order if axis in spatial))


def voxel_at(world_mm: Sequence[float], transform: LayerTransform, shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the voxel of a layer that is nearest to a position in mm along (I, P, L), within the layer."""
    places = (np.asarray(world_mm, float) - transform.translate_mm) / transform.scale_mm
    first, second, third = (int(v) for v in np.clip(np.rint(places), 0, np.asarray(shape) - 1))
    return first, second, third


def world_of(voxel: Sequence[float], transform: LayerTransform) -> Triple:
    """Return the position in mm along (I, P, L) of a voxel of a layer."""
    first, second, third = np.asarray(voxel, float) * transform.scale_mm + transform.translate_mm
    return float(first), float(second), float(third)


def grey(plane: Any, limits: tuple[float, float]) -> Pixels:
    """Return a slice (rows, columns) as grey levels: black at the lower limit, white at the upper one."""
    low, high = limits
    values = np.asarray(plane, np.float32)
    if np.asarray(plane).dtype.kind == "f":
        values = np.nan_to_num(values, nan=low)
    levels = (values - np.float32(low)) * np.float32(255.0 / max(high - low, 1e-12))
    clipped: Pixels = np.clip(levels, 0, 255).astype(np.uint8)
    return clipped


def painted(greys: Pixels, labels: Any, table: npt.NDArray[np.float32], *, contour: bool, opacity: float) -> Pixels:
    """Return grey levels with labels over them, as (rows, columns, 3).

    Parameters
    ----------
    greys, labels
        A slice of the scan and of its labels, both (rows, columns); labels None for none.
    table
        Red, green, blue and alpha for each label value, (V, 4) from 0 to 1; larger values are not drawn.
    contour
        Draw the outlines only.
    opacity
        That of the labels, from 0 to 1.
    """
    if labels is None:
        return np.repeat(greys[..., None], 3, axis=2)
    values = np.asarray(labels)
    if contour:
        values = np.where(outlines(values), values, 0)
    present = values_in(values)
    place = np.zeros(int(present[-1]) + 1, np.intp)
    place[present] = np.arange(len(present)) * 256
    colours = np.zeros((len(present), 4), np.float32)
    known = (present > 0) & (present < len(table))
    colours[known] = table[present[known]]
    alpha = colours[:, None, 3:] * np.float32(1.0 if contour else opacity)
    # each grey level under each label, so that a pixel is looked up and not computed
    mixed = np.arange(256, dtype=np.float32)[None, :, None] * (1 - alpha) + colours[:, None, :3] * 255 * alpha
    lookup = np.rint(mixed).astype(np.uint8).reshape(-1, 3)
    pixels: Pixels = np.take(lookup, place[values] + greys, axis=0)
    return pixels


def values_in(labels: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the label values that occur in a slice, ascending; faster than sorting its pixels."""
    return np.flatnonzero(np.bincount(np.ravel(labels)))


def outlines(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return the labelled pixels (rows, columns) that touch another label or the background."""
    edge = np.zeros(labels.shape, bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return np.asarray(edge & (labels != 0))


def resampled_plane(
    plane: Any, own: LayerTransform, axis: int, shape: Sequence[int], target: LayerTransform
) -> npt.NDArray[Any]:
    """Return a slice of labels on the rows and columns of another grid's slice: nearest voxel, 0 outside."""
    source = np.asarray(plane)
    lines = []
    for size, along in zip(source.shape, plane_axes(axis), strict=True):
        mm = np.arange(shape[along]) * target.scale_mm[along] + target.translate_mm[along]
        index = np.floor((mm - own.translate_mm[along]) / own.scale_mm[along] + 0.5).astype(np.int64)
        lines.append((np.clip(index, 0, size - 1), (index >= 0) & (index < size)))
    (rows, row_in), (columns, column_in) = lines
    return np.where(row_in[:, None] & column_in[None], source[np.ix_(rows, columns)], 0)


def slice_of(volume: Any, axis: int, index: int) -> Any:
    """Return one slice of an array along (I, P, L)."""
    return volume[(slice(None),) * axis + (index,)]


def picture(axis: int, pixels: Pixels, voxel: Sequence[int], shape: Sequence[int], spacing_mm: Triple) -> PlanePicture:
    """Return the picture of a plane through a voxel of a grid."""
    rows, columns = plane_axes(axis)
    letters = edge_letters(AXES, (rows, columns))
    # slices are counted as the patient is scanned, from the feet: the first axis runs towards the feet
    number = shape[0] - voxel[0] if axis == AXIAL else voxel[axis] + 1
    return PlanePicture(
        axis,
        pixels,
        (spacing_mm[rows], spacing_mm[columns]),
        (float(voxel[rows]), float(voxel[columns])),
        tuple(letters.items()),
        f"{NAMES[axis]} {number} of {shape[axis]}",
    )


def moved(voxel: Sequence[int], axis: int, place: tuple[float, float], shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the voxel after a click at a row and column of a plane, within the grid."""
    target = list(voxel)
    for along, where in zip(plane_axes(axis), place, strict=True):
        target[along] = int(np.clip(round(where), 0, shape[along] - 1))
    return target[0], target[1], target[2]


def scrolled(voxel: Sequence[int], axis: int, slices: int, shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the voxel a number of slices further along a plane's axis, within the grid."""
    target = list(voxel)
    target[axis] = int(np.clip(target[axis] + slices, 0, shape[axis] - 1))
    return target[0], target[1], target[2]


def with_title(shown: PlanePicture, addition: str) -> PlanePicture:
    """Return a picture with more words in its title."""
    return replace(shown, title=f"{shown.title} · {addition}")
