"""Trace: store, load, summarise, and tell at which step each voxel last changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.atomic import atomic_folder
from voxtrace.errors import GeometryError, ReadError
from voxtrace.passport import Passport
from voxtrace.safe_text import brief
from voxtrace.trace import files
from voxtrace.trace.description import NodeChart, Provenance, TraceRow
from voxtrace.trace.plane_writer import chunk_depth
from voxtrace.trace.record_checks import check_opened
from voxtrace.trace.step_counts import MapRange, StepCounts
from voxtrace.trace.stored_array import StoredArray
from voxtrace.volume import Array, Geometry, Shape

Planes = Array | StoredArray
INDEX = "index"  # the unit of a number that names something, e.g. a network; such numbers are not averaged
CHANGED_VOXELS = "changed_voxels"
ENTROPY, ENTROPY_PER_FOUND = "entropy", "entropy_per_found"


@dataclass(frozen=True, eq=False)
class Trace:
    """How a prediction came about.

    Attributes
    ----------
    labels
        (S, Z, Y, X) uint8 or uint16 on the input's grid; a :class:`.StoredArray` when it lies on disk. When
        only the last step was kept its first axis has length 1, while ``facts`` still tell of every step.
    facts
        Name -> (S, W) float32: a number for every step and window; NaN where it does not apply.
    windows
        (W, 6) boxes (z0, y0, x0, z1, y1, x1) on the network grid, ends excluded, in the order they were visited.
    units
        Name of a fact, slice fact or map -> its unit; ``"index"`` for a number that names something, which is not
        averaged. A name that is used for several of them has the same unit in each.
    geometry
        Where the label voxels lie.
    names
        Label value -> name, the background at 0 included.
    step_word
        What the method's paper calls a step, e.g. "cycle".
    settled
        (Z, Y, X) integers, see :meth:`settled_at`, or None when it has not been worked out.
    second
        (Z, Y, X), the label that the network nearly gave each voxel, its probabilities averaged over the kept steps;
        where it did not doubt, the label of the answer. None where it was not kept.
    network_shape
        Voxels of the network grid along (Z, Y, X), to place ``windows``; None if unknown.
    step_counts
        Voxels of each label and changed voxels at each kept step, or None when not counted yet.
    extras
        Name -> (S, Z, Y, X), further labels of each step, e.g. the noisy mask that was denoised.
    passport
        What was checked while the input was read, and what was corrected.
    slice_facts
        Name -> (S, Z) float32: a number for every kept step and slice of the input's grid; NaN where it is not known.
        ``changed_voxels`` is there for every method of which all steps were kept.
    maps
        Name -> (S, Z, Y, X) float32, a scalar map of the method at each kept step; NaN where no window lay. A
        :class:`.StoredArray` when it lies on disk.
    ranges
        Name of a map -> (S, 2), see :meth:`map_ranges`, or None when not counted yet.
    areas
        (S, Z, K) int, see :meth:`label_areas`, or None when not counted yet.
    value_names
        Name of a fact or slice fact with unit ``"index"`` -> what its values 0 … n stand for, e.g. "skip", "M1".
    value_costs
        Name of such a fact -> GFLOP of one window for each of these values, where the method knows them.
    members
        Name -> (S, Z, Y, X), labels of each member (a seed, a fold, a bundle) whose vote ``labels`` is.
    charts
        Numbers of the network's nodes.
    window_sets
        Name -> (N, 6) boxes like ``windows``, of windows that gave nothing to the answer: "skipped" did not run,
        "discarded" ran (and stands in ``windows``, too), but its result was not used.
    provenance
        Bundle, method, version, options and seconds.
    """

    labels: Planes
    facts: Mapping[str, Array]
    windows: Array
    units: Mapping[str, str]
    geometry: Geometry
    names: Mapping[int, str]
    step_word: str = "step"
    settled: Planes | None = None
    second: Planes | None = None
    network_shape: Shape | None = None
    step_counts: StepCounts | None = None
    extras: Mapping[str, Planes] = field(default_factory=dict)
    passport: Passport = field(default_factory=Passport)
    slice_facts: Mapping[str, Array] = field(default_factory=dict)
    maps: Mapping[str, Planes] = field(default_factory=dict)
    ranges: Mapping[str, Array] | None = None
    areas: Planes | None = None
    value_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    value_costs: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    members: Mapping[str, Planes] = field(default_factory=dict)
    charts: tuple[NodeChart, ...] = ()
    window_sets: Mapping[str, Array] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if len(self.labels.shape) != 4 or tuple(self.labels.shape[1:]) != self.geometry.shape:
            raise GeometryError(
                f"labels of shape {tuple(self.labels.shape)} do not fit geometry {self.geometry.shape}; "
                "expected (S, Z, Y, X) with the same Z, Y, X."
            )
        if self.second is not None and tuple(self.second.shape) != self.geometry.shape:
            raise GeometryError(
                f"second has shape {tuple(self.second.shape)}; expected {self.geometry.shape}, as a label map."
            )
        steps, depth = self.labels.shape[:2]
        _check_shapes("map", self.maps, tuple(self.labels.shape))
        _check_shapes("member", self.members, tuple(self.labels.shape))
        _check_shapes("slice fact", self.slice_facts, (int(steps), int(depth)))

    @property
    def n_steps(self) -> int:
        """Steps S that the method took, whether or not the labels of each were kept."""
        kept = int(self.labels.shape[0])
        return max([kept, *(int(values.shape[0]) for values in self.facts.values())])

    @property
    def complete(self) -> bool:
        """Whether the labels of every step were kept."""
        return int(self.labels.shape[0]) == self.n_steps

    @property
    def rows(self) -> tuple[TraceRow, ...]:
        """Rows of the time ruler: the answer, then the method's extra outputs, then members."""
        extras = (TraceRow(name, labels, "extra") for name, labels in self.extras.items())
        members = (TraceRow(name, labels, "member") for name, labels in self.members.items())
        return (TraceRow("answer", self.labels, "answer"), *extras, *members)

    @property
    def bundles_voted(self) -> bool:
        """Whether several bundles voted, rather than that their probabilities were averaged."""
        return bool(self.members) and " + " in self.provenance.bundle

    def summary(self) -> list[dict[str, Any]]:
        """Return a row for each step, in order; counted from 0.

        Every row has ``step``, ``changed_fraction`` and the mean over windows of each fact that is a quantity. Rows
        whose labels were kept also have ``changed_voxels`` (against the step before, the first against background)
        and ``volume_ml`` (label value -> mL, background left out; where labels were painted from regions, ``region_ml``
        has name -> mL of these), and take ``changed_fraction`` from the whole
        volume instead of the mean over windows; where they found something, ``entropy_per_found`` is the entropy for
        each voxel with a label. When only the last step was kept its row has volumes but no changed voxels. Where the
        method gives such outputs, rows of kept steps have ``slice_facts`` (name -> mean over the slices where it is
        known) and ``maps`` (name -> smallest and largest value).
        """
        counts = self.counted()
        return [self._row(step, counts) for step in range(self.n_steps)]

    def _row(self, step: int, counts: StepCounts) -> dict[str, Any]:
        row: dict[str, Any] = {"step": step, "changed_fraction": None}
        row |= {name: _mean(values[step]) for name, values in self.facts.items() if self._is_quantity(name)}
        kept = step - (self.n_steps - int(self.labels.shape[0]))
        if self.complete:
            row["changed_voxels"] = int(counts.changed[step])
            row["changed_fraction"] = row["changed_voxels"] / float(np.prod(self.geometry.shape))
        if kept >= 0:
            per_label = enumerate(counts.counts[kept])
            row["volume_ml"] = {value: int(n) * self.geometry.voxel_ml for value, n in per_label if value}
            found = int(np.sum(counts.counts[kept][1:]))
            if found and row.get(ENTROPY) is not None:
                row[ENTROPY_PER_FOUND] = row[ENTROPY] * float(np.prod(self.geometry.shape)) / found
            if self.provenance.regions:
                row["region_ml"] = {
                    name: sum(row["volume_ml"].get(value, 0.0) for value in values)
                    for name, values in self.provenance.regions.items()
                }
            row |= self._along_place(kept)
        return row

    def _along_place(self, kept: int) -> dict[str, Any]:
        """Return what a kept step tells of slices and maps; no entry where the method has none."""
        # The sum over all slices of changed voxels stands in the row itself.
        named = {name for name in self.slice_facts if name != CHANGED_VOXELS and self._is_quantity(name)}
        slices = {name: _mean(values[kept]) for name, values in self.slice_facts.items() if name in named}
        limits = {name: [_known(v) for v in values[kept]] for name, values in self.map_ranges().items()}
        return {**({"slice_facts": slices} if slices else {}), **({"maps": limits} if limits else {})}

    def _is_quantity(self, name: str) -> bool:
        return self.units.get(name) != INDEX

    def map_ranges(self) -> Mapping[str, Array]:
        """Return the smallest and largest finite value of each map at each kept step, (S, 2); NaN where none is."""
        if self.ranges is not None:
            return self.ranges
        found = {name: MapRange(int(self.labels.shape[0])) for name in self.maps}
        for name, values in self.maps.items():
            for planes in self._chunks(values):
                found[name].add(planes)
        return {name: limits.values for name, limits in found.items()}

    def settled_at(self) -> Array:
        """Return (Z, Y, X): the last step, counted from 0, at which each voxel's label changed.

        0 for voxels that never changed after the first step, and everywhere when only one step was kept. In uint8, of
        more than 256 steps in uint16.
        """
        if self.settled is not None:
            return np.asarray(self.settled[:])
        counts = StepCounts.empty(int(self.labels.shape[0]), self._n_labels)
        return np.concatenate([counts.add(planes) for planes in self._chunks(self.labels)])

    def label_areas(self) -> Array:
        """Return the voxels of each label in each slice at each kept step, (S, Z, K) int; K includes the background.

        Traces of earlier versions do not hold them: there all label maps are read.
        """
        if self.areas is not None:
            return np.asarray(self.areas[:])
        counts = StepCounts.empty(int(self.labels.shape[0]), self._n_labels)
        for planes in self._chunks(self.labels):
            counts.add(planes)
        return counts.areas

    def boxes(self, windows: Array | None = None) -> Array:
        """Return ``windows`` in voxels of the labels' grid, (W, 6) float64; borders of voxel i are i − 0.5 and i + 0.5.

        A window over the whole network grid gives (−0.5, −0.5, −0.5, Z − 0.5, Y − 0.5, X − 0.5). Other boxes of the
        network grid, e.g. one of ``window_sets``, may be given in their place.
        """
        scale = np.divide(self.geometry.shape, self.network_shape or self.geometry.shape)
        boxes: Array = (self.windows if windows is None else windows) * np.tile(scale, 2) - 0.5
        return boxes

    def save(self, folder: str | Path) -> Path:
        """Write ``trace.json`` and the arrays into a folder that appears whole or not at all.

        A trace that was recorded into this very folder is left as it is.

        Raises
        ------
        OutputError
            The system refuses to write there.
        """
        folder = Path(folder)
        if files.lies_in(self.labels, folder):  # replacing the folder would remove the arrays being read
            return folder
        with atomic_folder(folder) as temporary:
            counts = StepCounts.empty(int(self.labels.shape[0]), self._n_labels)
            shape, dtype = tuple(self.labels.shape), self.labels.dtype
            writer = files.ArrayFiles(
                temporary,
                shape,
                dtype,
                tuple(self.extras),
                tuple(self.maps),
                tuple(self.members),
                self.second is not None,
            )
            # The writer takes them in the order extras, maps, members.
            arrays = (self.labels, *self.extras.values(), *self.maps.values(), *self.members.values())
            done = 0
            for planes, *beside in zip(*map(self._chunks, arrays), strict=True):
                lo, done = done, done + planes.shape[1]
                second = None if self.second is None else np.asarray(self.second[lo:done])
                writer.add(planes, counts.add(planes), beside, second=second)
            writer.close()
            files.write_areas(counts.areas, temporary)
            files.write_record(replace(self, step_counts=counts).record(), temporary)
        return folder

    @staticmethod
    def load(folder: str | Path) -> Trace:
        """Return the trace in a folder; its labels and maps stay on disk until they are asked for.

        Raises
        ------
        ReadError
            The folder is not a trace, or is damaged.
        """
        folder = Path(folder)
        try:
            trace = _opened(files.read_record(folder), folder)
            check_opened(trace, folder)
        except (ReadError, MemoryError):
            raise
        except Exception as error:  # of pydantic, numpy and zarr, which have many classes
            raise ReadError(f"{folder} is a damaged trace ({brief(error)}). Predict the case again.") from error
        return trace

    def record(self) -> files.TraceRecord:
        """Return what ``trace.json`` holds: everything but the voxels."""
        geometry, counts = self.geometry, self.counted()
        return files.TraceRecord(
            step_word=self.step_word,
            names=dict(self.names),
            geometry=files.GeometryRecord(shape=geometry.shape, affine=geometry.affine, stored=geometry.stored),
            network_shape=self.network_shape,
            units=dict(self.units),
            counts=counts.counts.tolist(),
            changed=counts.changed.tolist(),
            windows=files.boxes(self.windows),
            facts=files.rows(self.facts),
            slice_facts=files.rows(self.slice_facts),
            maps=files.rows(self.map_ranges()),
            extras=list(self.extras),
            passport=self.passport.as_json(),
            value_names=dict(self.value_names),
            value_costs=dict(self.value_costs),
            members=list(self.members),
            charts=[files.ChartRecord.of(chart) for chart in self.charts],
            window_sets={name: files.boxes(found) for name, found in self.window_sets.items()},
            provenance=self.provenance,
        )

    @property
    def _n_labels(self) -> int:
        return max(self.names, default=0) + 1

    def counted(self) -> StepCounts:
        """Return the voxels of each label and the changed voxels at each kept step; counts them where unknown."""
        return self.step_counts or self._counted()

    def _counted(self) -> StepCounts:
        counts = StepCounts.empty(int(self.labels.shape[0]), self._n_labels)
        for planes in self._chunks(self.labels):
            counts.add(planes)
        return counts

    def _chunks(self, values: Planes) -> Iterator[Array]:
        """Yield planes (S, n, Y, X), a few at a time, ascending z."""
        depth = chunk_depth(self.geometry.shape)
        for z in range(0, self.geometry.shape[0], depth):
            yield np.asarray(values[:, z : z + depth])


def _opened(record: files.TraceRecord, folder: Path) -> Trace:
    """Return the trace of a record, its arrays still on disk."""
    return Trace(
        labels=files.open_array(folder, files.LABELS),
        facts=files.arrays(record.facts),
        windows=files.box_array(record.windows),
        units=record.units,
        geometry=Geometry(record.geometry.shape, record.geometry.affine, record.geometry.stored),
        names=record.names,
        step_word=record.step_word,
        settled=files.open_array(folder, files.SETTLED),
        second=files.open_second(folder),
        network_shape=record.network_shape,
        step_counts=StepCounts(np.asarray(record.counts, np.int64), np.asarray(record.changed, np.int64)),
        extras=files.open_arrays(folder, record.extras),
        passport=Passport.from_json(record.passport),
        slice_facts=files.arrays(record.slice_facts),
        maps=files.open_arrays(folder, record.maps, files.MAPS),
        ranges=files.arrays(record.maps),
        areas=files.open_areas(folder),
        value_names=record.value_names,
        value_costs=record.value_costs,
        members=files.open_arrays(folder, record.members, files.MEMBERS),
        charts=tuple(chart.chart() for chart in record.charts),
        window_sets={name: files.box_array(found) for name, found in record.window_sets.items()},
        provenance=record.provenance,
    )


def _check_shapes(what: str, values: Mapping[str, Planes], expected: tuple[int, ...]) -> None:
    for name, array in values.items():
        if tuple(array.shape) != expected:
            raise GeometryError(f"{what} {name} has shape {tuple(array.shape)}; expected {expected}, as the labels.")


def _mean(values: Array) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
