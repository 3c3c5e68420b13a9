"""Compare results of one scan in a thread: read them from their layers, score them, let them vote."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import Cancelled
from voxtrace.metrics import evaluate_label
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.manual_labels import check_unmoved, geometry_drawn_on
from voxtrace.plugin.models import compare
from voxtrace.plugin.models.messages import JobStage, SegmentRequest, SegmentResult
from voxtrace.plugin.work import jobs
from voxtrace.plugin.work.events import Cancel
from voxtrace.trace import Trace, combine
from voxtrace.trace.disagreement import Answers, of_label_maps, with_common_values
from voxtrace.volume import Geometry, LabelMap


@dataclass(frozen=True, eq=False)
class OpenResult:
    """A labels layer as a thread may read it: its name, voxels and attributes, as napari gives them."""

    name: str
    data: Any
    attributes: Mapping[str, Any]

    def label_map(self, scans: Sequence[Geometry]) -> LabelMap:
        """Return its labels; of a result with steps, what it ends with, edits included.

        Raises
        ------
        GeometryError
            Labels drawn by hand match none of the open scans, or the layer was moved or turned in the window.
        """
        source = self.attributes.get("metadata", {}).get(display.KEY)
        if not isinstance(source, display.LabelSource):
            source = display.LabelSource(geometry_drawn_on(np.shape(self.data), self.attributes, scans))
        else:
            check_unmoved(source.geometry, self.attributes, self.name)
        return display.label_map_of(self.data, source, self.name)


Results = Sequence[OpenResult]


def answers_of(results: Results, scans: Sequence[Geometry], cancel: Cancel) -> Generator[JobStage, None, Answers]:
    """Return results of one scan as answers whose disagreement can be looked at.

    Raises
    ------
    GeometryError
        They do not lie on one grid.
    """
    maps = yield from _read(results, scans, cancel)
    return of_label_maps(maps)


def scores_of(
    reference: OpenResult | None, results: Results, scans: Sequence[Geometry], cancel: Cancel
) -> Generator[JobStage, None, tuple[compare.ScoreRow, ...]]:
    """Return the table: every label of every result against the reference, or volumes alone without one.

    Raises
    ------
    GeometryError
        They do not lie on one grid.
    Cancelled
        ``cancel`` returned true.
    """
    maps = yield from _read([*results, *([reference] if reference else [])], scans, cancel)
    if len(maps) > 1:
        of_label_maps(maps)  # refuses other grids before anything is computed
    rows: list[compare.ScoreRow] = []
    for one in maps[: len(results)]:
        if reference is None:
            volumes = np.bincount(one.data.ravel()) * one.geometry.voxel_ml
            named = [(one.names.get(v, f"label {v}"), float(ml)) for v, ml in enumerate(volumes) if v and ml]
            rows += compare.volume_rows(one.name, named)
        else:
            rows += yield from _scored(one, maps[-1], cancel)
    return tuple(rows)


def vote_of(
    scan: str, results: Results, scans: Sequence[Geometry], cancel: Cancel
) -> Generator[JobStage, None, display.LayerData]:
    """Return the majority vote of results as a new result, which keeps each of them as a member.

    Raises
    ------
    GeometryError
        They do not lie on one grid.
    """
    maps = yield from _read(results, scans, cancel)
    of_label_maps(maps)
    yield JobStage("Taking the majority …")
    names = _different([one.name for one in maps])
    traces = [_trace_of(one, maps[0].names) for one in maps]
    folder = _store(maps)
    trace = combine(traces, names, folder, cancel=cancel)
    if folder is not None:
        weakref.finalize(trace, shutil.rmtree, folder.parent, ignore_errors=True)
    return display.trace_layer(trace, f"Vote of {len(maps)}: {', '.join(names)}", scan)


def segment_each(
    requests: Sequence[SegmentRequest], cancel: Cancel
) -> Generator[JobStage, None, tuple[SegmentResult, ...]]:
    """Run several models on one scan, one after the other."""
    found = []
    for number, request in enumerate(requests, 1):
        run = jobs.segment(request, cancel)
        found.append((yield from _numbered(f"{number} of {len(requests)} · ", run)))
    return tuple(found)


def _numbered(before: str, run: Generator[Any, None, SegmentResult]) -> Generator[JobStage, None, SegmentResult]:
    """Run a model; answers that grow while it runs are left out, because several are to come."""
    while True:
        try:
            stage = next(run)
        except StopIteration as end:
            result: SegmentResult = end.value
            return result
        if isinstance(stage, JobStage):
            yield replace(stage, text=before + stage.text)


def _read(
    results: Results, scans: Sequence[Geometry], cancel: Cancel
) -> Generator[JobStage, None, tuple[LabelMap, ...]]:
    maps = []
    for number, result in enumerate(results, 1):
        yield JobStage(f"Reading {result.name} …", number, len(results))
        _check(cancel)
        maps.append(result.label_map(scans))
    return with_common_values(maps)


def _scored(
    labels: LabelMap, reference: LabelMap, cancel: Cancel
) -> Generator[JobStage, None, tuple[compare.ScoreRow, ...]]:
    values = sorted({*labels.values, *reference.values})
    scores = []
    for number, value in enumerate(values, 1):
        yield JobStage(f"Scoring {labels.name} …", number, len(values))
        _check(cancel)
        scores.append(evaluate_label(labels, reference, value, compare.TOLERANCE_MM))
    return compare.score_rows(labels.name, scores)


def _trace_of(labels: LabelMap, names: Mapping[int, str]) -> Trace:
    whole = {0: "background", **{value: name for value, name in names.items() if value}}
    return Trace(labels.data[None], {}, np.zeros((0, 6), np.int64), {}, labels.geometry, whole)


def _store(maps: Sequence[LabelMap]) -> Path | None:
    """Return a temporary folder for a vote that is too large for memory, else None."""
    held = maps[0].data.size * (1 + len(maps) + 4)  # the vote, its members and their agreement
    return None if held <= display.IN_MEMORY_BYTES else Path(tempfile.mkdtemp(prefix="voxtrace-")) / "trace"


def _different(names: Sequence[str]) -> list[str]:
    """Return names of which none occurs twice."""
    return [f"{name} ({i + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _check(cancel: Cancel) -> None:
    if cancel():
        raise Cancelled("the comparison was stopped.")
