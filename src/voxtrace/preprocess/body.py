"""The part of a CT in which the patient lies; air around it need not be segmented."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from voxtrace.plan import Plan
from voxtrace.preprocess.crop_order import CropAndOrder
from voxtrace.volume import Array, Volume

Spans = tuple[tuple[int, int], tuple[int, int]]  # first and last row, first and last column

AIR_HU = -500.0  # midway between air and water; lungs are inside the body anyway
MARGIN_MM = 10.0  # training windows include some air around the body


def crop_to_body(volume: Volume, plan: Plan, crop_order: CropAndOrder) -> CropAndOrder:
    """Return the crop reduced to the body along Y and X, or unchanged where there is no air to leave out.

    Only for plans whose every channel is a CT in HU, and that do not prescribe the crop themselves. The result is never
    smaller than a window, unless the volume is.
    """
    return crop_to_spans(body_spans(volume, plan), plan, crop_order)


def body_spans(volume: Volume, plan: Plan) -> Spans | None:
    """Return first and last row and column of the body; None for air alone, and for plans that leave no air out."""
    if plan.view is not None or any(rule.scheme != "ct" for rule in plan.normalisation):
        return None
    return _spans(volume.data)


def crop_to_spans(spans: Spans | None, plan: Plan, crop_order: CropAndOrder) -> CropAndOrder:
    """Return the crop reduced to rows and columns of a body as in :func:`crop_to_body`; unchanged without spans."""
    if spans is None:
        return crop_order
    y, x = (_widened(spans[axis - 1], axis, crop_order, plan) for axis in (1, 2))
    if (y, x) == (slice(0, crop_order.shape[1]), slice(0, crop_order.shape[2])):
        return crop_order
    return replace(crop_order, box=(slice(0, crop_order.shape[0]), y, x))


def _spans(data: Array) -> Spans | None:
    """Return first and last row and column of (C, Z, Y, X) with a voxel that is not air; None for air alone."""
    rows, columns = np.zeros(data.shape[2], bool), np.zeros(data.shape[3], bool)
    for channel in data:
        for plane in channel:
            solid = plane > AIR_HU
            rows |= solid.any(1)
            columns |= solid.any(0)
    if not rows.any():
        return None
    y, x = np.flatnonzero(rows), np.flatnonzero(columns)
    return (int(y[0]), int(y[-1])), (int(x[0]), int(x[-1]))


def _widened(span: tuple[int, int], axis: int, crop_order: CropAndOrder, plan: Plan) -> slice:
    """Return the voxels of a span with its margin, and as many as a window needs."""
    n, spacing_mm = crop_order.shape[axis], crop_order.spacing_mm[axis]
    margin = math.ceil(MARGIN_MM / spacing_mm)
    start, stop = max(0, span[0] - margin), min(n, span[1] + 1 + margin)
    needed = min(n, math.ceil((plan.window[axis] + 1) * plan.spacing_mm[axis] / spacing_mm))
    if stop - start < needed:
        start = max(0, min((start + stop - needed) // 2, n - needed))
        stop = start + needed
    return slice(start, stop)
