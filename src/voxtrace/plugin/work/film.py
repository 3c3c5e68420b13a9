"""Thumbnails of the slice at hand for the stations of the film strip; runs in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.errors import Cancelled
from voxtrace.plugin.models.thumbnails import Crop, Picture, grey, overlaid, picture_size
from voxtrace.plugin.work.events import Cancel
from voxtrace.volume import Array

Thumbnails = dict[tuple[int, int], Picture]


@dataclass(frozen=True, eq=False)
class FilmRequest:
    """What to draw.

    Attributes
    ----------
    rows
        Arrays (station, I, P, L) in display space, the answer first.
    wanted
        Row and station of each thumbnail.
    axis, index
        The plane: axis 0, 1 or 2 of (I, P, L), and where along it.
    scan, limits
        The scan (I, P, L) on the same grid, or None, and its contrast limits.
    crop
        The part of the plane that is shown.
    spacing_mm
        Of the plane's rows and columns.
    most
        Height and width in pixels that a thumbnail must not exceed.
    table
        (K, 4) colours of label values, see :func:`voxtrace.plugin.models.thumbnails.colour_table`.
    """

    rows: Sequence[Any]
    wanted: tuple[tuple[int, int], ...]
    axis: int
    index: int
    scan: Any
    limits: tuple[float, float]
    crop: Crop
    spacing_mm: tuple[float, float]
    most: tuple[int, int]
    table: Picture


def film(request: FilmRequest, cancel: Cancel) -> Thumbnails:
    """Return a picture (H, W, 3) for each row and station that is wanted.

    Raises
    ------
    Cancelled
        When the pictures are no longer wanted.
    """
    size = picture_size(request.crop.shape, request.spacing_mm, request.most)
    scan = None if request.scan is None else plane_of(request.scan, request.axis, request.index)
    base = grey(scan, request.crop, size, request.limits)
    found: Thumbnails = {}
    for row, station in request.wanted:
        if cancel():
            raise Cancelled("the film strip shows another result.")
        labels = plane_of(request.rows[row], request.axis, request.index, station)
        found[row, station] = overlaid(base, labels, request.crop, request.table)
    return found


def plane_of(array: Any, axis: int, index: int, station: int | None = None) -> Array:
    """Return the plane at an index along axis 0, 1 or 2 of (I, P, L); of a station where the array has several."""
    key: tuple[Any, ...] = (*[slice(None)] * axis, index, *[slice(None)] * (2 - axis))
    return np.asarray(array[key if station is None else (station, *key)])
