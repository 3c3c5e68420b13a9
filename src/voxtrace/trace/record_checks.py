"""Whether the parts of a trace that was read fit each other, so that nobody who shows it stumbles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.volume import Geometry

MOST_LABELS = 1 << 16
_LONGEST_NAME = 1000
_MOST_VOXELS = 1 << 31  # along an axis
_LEAST_VOLUME_MM3 = 1e-12


def check_opened(trace: Any, folder: Path) -> None:
    """Refuse a :class:`voxtrace.trace.Trace` whose numbers do not fit its label maps.

    Raises
    ------
    ReadError
        With the first thing that does not fit.
    """
    wrong = next(_wrong(trace), "")
    if wrong:
        raise ReadError(f"{folder} is a damaged trace: {wrong}. Predict the case again.")


def _wrong(trace: Any) -> Iterator[str]:
    yield from _wrong_geometry(trace.geometry)
    yield from _wrong_names(trace)
    yield from _wrong_arrays(trace)
    yield from _wrong_numbers(trace)


def _wrong_geometry(geometry: Geometry) -> Iterator[str]:
    if [len(row) for row in geometry.affine] != [4] * 4:
        yield "its affine is no 4×4 matrix"
        return
    affine = np.asarray(geometry.affine, np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.array_equal(affine[3], (0, 0, 0, 1)):
        yield "its affine is no 4×4 matrix of finite numbers with 0 0 0 1 in its last row"
    elif abs(np.linalg.det(affine[:3, :3])) < _LEAST_VOLUME_MM3:
        yield "its voxels have no volume"


def _wrong_names(trace: Any) -> Iterator[str]:
    if not all(0 <= value < MOST_LABELS for value in trace.names):
        yield f"it names labels beyond 0 to {MOST_LABELS - 1}"
    texts = (*trace.names.values(), trace.step_word, *trace.facts, *trace.slice_facts, *trace.units.values())
    if any(len(text) > _LONGEST_NAME for text in texts):
        yield f"it has a name of more than {_LONGEST_NAME} letters"


def _wrong_arrays(trace: Any) -> Iterator[str]:
    shape, (steps, depth) = tuple(trace.labels.shape), trace.labels.shape[:2]
    labels = {"labels": trace.labels, **trace.extras, **trace.members}
    if trace.settled is not None:
        labels["settled"] = trace.settled
        if tuple(trace.settled.shape) != shape[1:]:
            yield f"settled has shape {tuple(trace.settled.shape)}; expected {shape[1:]}"
    if trace.second is not None:
        labels["second"] = trace.second
    yield from (f"{name} has another shape than the labels" for name, a in trace.extras.items() if a.shape != shape)
    yield from (f"{name} holds numbers of type {a.dtype}" for name, a in labels.items() if not _is_label_type(a.dtype))
    yield from (f"{name} holds numbers of type {a.dtype}" for name, a in trace.maps.items() if a.dtype != np.float32)
    if trace.areas is not None:
        found = tuple(trace.areas.shape)
        if len(found) != 3 or found[:2] != (steps, depth) or found[2] > MOST_LABELS or trace.areas.dtype.kind != "i":
            yield f"areas has shape {found}; expected ({steps}, {depth}, labels) of whole numbers"


def _is_label_type(dtype: Any) -> bool:
    return dtype in (np.uint8, np.uint16)


def _wrong_numbers(trace: Any) -> Iterator[str]:
    kept, windows = int(trace.labels.shape[0]), len(trace.windows)
    counts = trace.step_counts
    if counts is not None:
        fits = counts.counts.ndim == 2 and len(counts.counts) == kept and counts.counts.shape[1] <= MOST_LABELS
        if not fits or counts.changed.shape != (kept,):
            yield f"its counts do not fit {kept} label maps"
    yield from _wrong_table("fact", trace.facts, None, windows)
    steps = {len(values) for values in trace.facts.values()}
    if len(steps) > 1 or (steps and min(steps) < kept):
        yield f"its facts tell of {sorted(steps)} steps, its label maps of {kept}"
    yield from _wrong_table("range", trace.ranges or {}, kept, 2)
    network = trace.network_shape
    if network is not None and not all(0 < n < _MOST_VOXELS for n in network):
        yield f"its network grid has {network} voxels"
    for boxes in (trace.windows, *trace.window_sets.values()):
        if len(boxes) and (
            boxes.min() < -_MOST_VOXELS or boxes.max() > _MOST_VOXELS or (boxes[:, 3:] < boxes[:, :3]).any()
        ):
            yield "a window ends before it begins, or lies far outside"


def _wrong_table(what: str, tables: Mapping[str, Any], rows: int | None, columns: int) -> Iterator[str]:
    for name, table in tables.items():
        if table.ndim != 2 or table.shape[1] != columns or (rows is not None and len(table) != rows):
            yield f"the {what} {name[:40]} has shape {table.shape}; expected {rows or 'steps'} × {columns}"
