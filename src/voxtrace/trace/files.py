"""The folder that holds a trace.

::

    case.trace/
    ├── trace.json       geometry, passport, names, facts, windows, counts, provenance: readable as text; no
    │                    patient's data but what the scan is called
    ├── labels.zarr      (S, Z, Y, X), compressed, a few planes to a chunk
    ├── settled.zarr     (Z, Y, X), the last step at which each voxel changed
    ├── areas.zarr       (S, Z, K) int32, voxels of each label in each slice; not in traces of earlier versions
    ├── <extra>.zarr     (S, Z, Y, X), further labels of each step; only where they were asked for
    ├── maps/<name>.zarr (S, Z, Y, X) float32, a scalar map of the method; NaN where the network did not look
    └── members/<name>.zarr (S, Z, Y, X), labels of a member; only where the answer is a vote of members

Characters of a name that file systems refuse are written as % and two hexadecimal digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from voxtrace.errors import ReadError
from voxtrace.safe_text import read_json
from voxtrace.trace.description import NodeChart, Provenance
from voxtrace.trace.plane_writer import PlaneWriter, chunk_depth
from voxtrace.trace.step_counts import step_type
from voxtrace.trace.stored_array import StoredArray
from voxtrace.volume import Array, Grid, Shape

RECORD = "trace.json"
LABELS = "labels.zarr"
SETTLED = "settled.zarr"
SECOND = "second.zarr"
AREAS = "areas.zarr"
MAPS, MEMBERS = "maps", "members"
REFUSED = re.compile(r'[%/\\:*?"<>|\x00-\x1f]')  # in names of files, by one system or another

_LONGEST_NAME = 200

Boxes = list[tuple[int, int, int, int, int, int]]

Rows = list[list[float | None]]


class GeometryRecord(BaseModel):
    """A geometry as JSON, the file's own grid included."""

    shape: Shape
    affine: tuple[tuple[float, ...], ...]
    stored: Grid | None


class ChartRecord(BaseModel):
    """A :class:`NodeChart` as JSON; NaN is written as null."""

    title: str
    unit: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    series: tuple[str, ...]
    values: list[Rows]

    @classmethod
    def of(cls, chart: NodeChart) -> ChartRecord:
        """Return the record of a chart."""
        values = [rows({"": row})[""] for row in chart.values]
        names = {name: getattr(chart, name) for name in ("title", "unit", "rows", "columns", "series")}
        return cls(**names, values=values)

    def chart(self) -> NodeChart:
        """Return the chart of this record."""
        shape = (len(self.rows), len(self.columns), len(self.series))
        values = np.asarray(self.values, np.float32).reshape(shape)
        return NodeChart(self.title, self.unit, self.rows, self.columns, self.series, values)


class TraceRecord(BaseModel):
    """``trace.json``: everything but the voxels. NaN is written as null.

    ``maps`` holds smallest and largest value of each step; what has a default is missing in traces of earlier versions.
    """

    # A field that is not listed here comes from a later version, whose arrays this one may not read.
    model_config = ConfigDict(extra="forbid")

    format: Literal["voxtrace trace 1"] = "voxtrace trace 1"
    step_word: str
    names: dict[int, str]
    geometry: GeometryRecord
    network_shape: Shape | None
    units: dict[str, str]
    counts: list[list[int]]
    changed: list[int]
    windows: Boxes
    facts: dict[str, Rows]
    slice_facts: dict[str, Rows] = {}
    maps: dict[str, Rows] = {}
    extras: list[str] = []
    passport: list[dict[str, str]] = []
    value_names: dict[str, tuple[str, ...]] = {}
    value_costs: dict[str, tuple[float, ...]] = {}
    members: list[str] = []
    charts: list[ChartRecord] = []
    window_sets: dict[str, Boxes] = {}
    provenance: Provenance = Provenance()


class ArrayFiles:
    """The arrays of a trace while they are written, in ascending z."""

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, ...],
        dtype: Any,
        extras: Sequence[str] = (),
        maps: Sequence[str] = (),
        members: Sequence[str] = (),
        second: bool = False,
    ) -> None:
        def writer(name: str, kind: Any = dtype, of: tuple[int, ...] = shape, itemsize: int = 1) -> PlaneWriter:
            return PlaneWriter(folder / name, of, kind, chunk_depth((shape[1], shape[2], shape[3]), itemsize))

        self._labels = writer(LABELS)
        self._settled = writer(SETTLED, step_type(shape[0]), shape[1:])
        self._second = writer(SECOND, of=shape[1:]) if second else None
        self._extras = {name: writer(file_of(name)) for name in extras}
        self._maps = {name: writer(file_of(name, MAPS), np.float32, itemsize=4) for name in maps}
        self._members = {name: writer(file_of(name, MEMBERS)) for name in members}

    def add(
        self,
        planes: Array,
        settled: Array,
        extras: Sequence[Array] = (),
        maps: Sequence[Array] = (),
        members: Sequence[Array] = (),
        second: Array | None = None,
    ) -> None:
        """Append planes (S, n, Y, X), where they settled (n, Y, X), and planes of each extra, map and member.

        ``second`` (n, Y, X) is the second choice, where it is kept.
        """
        single = (settled,) if second is None else (settled, second)
        for writer, fresh in zip(self._writers(), (planes, *single, *extras, *maps, *members), strict=True):
            writer.add(fresh)

    def close(self) -> None:
        """Write what is still in memory."""
        for writer in self._writers():
            writer.flush()

    def _writers(self) -> Iterator[PlaneWriter]:
        yield from (self._labels, self._settled)
        if self._second is not None:
            yield self._second
        for of_kind in (self._extras, self._maps, self._members):
            yield from of_kind.values()

    @property
    def labels(self) -> Any:
        """Labels (S, Z, Y, X)."""
        return self._labels.array

    @property
    def settled(self) -> Any:
        """The last step at which each voxel changed, (Z, Y, X)."""
        return self._settled.array

    @property
    def second(self) -> Any:
        """The second choice of each voxel, (Z, Y, X), or None where it is not kept."""
        return None if self._second is None else self._second.array

    @property
    def extras(self) -> dict[str, Any]:
        """Further labels of each step, (S, Z, Y, X), by name."""
        return {name: writer.array for name, writer in self._extras.items()}

    @property
    def maps(self) -> dict[str, Any]:
        """Scalar maps of each step, (S, Z, Y, X) float32, by name."""
        return {name: writer.array for name, writer in self._maps.items()}

    @property
    def members(self) -> dict[str, Any]:
        """Labels of each member, (S, Z, Y, X), by name."""
        return {name: writer.array for name, writer in self._members.items()}


def file_of(name: str, kind: str = "") -> str:
    """Return where an array lies in the folder, e.g. ``members/seed 0.zarr``.

    Examples
    --------
    >>> file_of("liver/spleen", "maps")
    'maps/liver%2Fspleen.zarr'
    """
    file = REFUSED.sub(lambda found: f"%{ord(found[0]):02X}", name) + ".zarr"
    return f"{kind}/{file}" if kind else file


def check_name(name: str) -> None:
    """Refuse a name that no array of a trace can have.

    Raises
    ------
    ReadError
        When it is empty, longer than 200 letters, or the name of an array that every trace has.
    """
    if not 0 < len(name) <= _LONGEST_NAME or file_of(name) in (LABELS, SETTLED, SECOND, AREAS):
        raise ReadError(
            f"a trace has an array called {name[:40]!r}; expected 1 to {_LONGEST_NAME} letters, and none of labels, "
            "settled, second and areas."
        )


def lies_in(labels: Any, folder: Path) -> bool:
    """Tell whether labels are the array on disk of the trace in this folder."""
    stored = isinstance(labels, StoredArray)
    root = labels.folder if stored else getattr(getattr(labels, "store", None), "root", None)
    return root is not None and Path(root).resolve() == (folder / LABELS).resolve()


def write_record(record: TraceRecord, folder: Path) -> None:
    """Write ``trace.json``."""
    (folder / RECORD).write_text(record.model_dump_json(indent=None) + "\n", encoding="utf-8")


def read_record(folder: Path) -> TraceRecord:
    """Return what ``trace.json`` says, or refuse a folder in which a file is missing."""
    missing = [name for name in (RECORD, LABELS, SETTLED) if not (folder / name).exists()]
    if missing:
        raise ReadError(
            f"{folder} is not a trace: {', '.join(missing)} is missing. "
            "Choose a folder that `voxtrace predict --keep labels` or Trace.save wrote."
        )
    record = TraceRecord.model_validate(read_json(folder / RECORD))
    for name in (*record.extras, *record.maps, *record.members):
        check_name(name)
    return record


def write_areas(areas: Array, folder: Path) -> None:
    """Write voxels of each label in each slice, (S, Z, K)."""
    import zarr

    zarr.create_array(
        folder / AREAS, data=areas.astype(np.int32), chunks=areas.shape, dimension_names=("step", "z", "label")
    )


def open_areas(folder: Path) -> Any:
    """Return what :func:`write_areas` wrote, still on disk, or None in a trace of an earlier version."""
    return open_array(folder, AREAS) if (folder / AREAS).exists() else None


def open_second(folder: Path) -> StoredArray | None:
    """Return the second choice, still on disk, or None where it was not kept."""
    return open_array(folder, SECOND) if (folder / SECOND).exists() else None


def open_arrays(folder: Path, names: Iterable[str], kind: str = "") -> dict[str, Any]:
    """Return arrays of one kind by name, still on disk."""
    return {name: open_array(folder, file_of(name, kind)) for name in names}


def open_array(folder: Path, name: str) -> StoredArray:
    """Return an array of the folder, still on disk, e.g. ``labels.zarr``."""
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise ReadError(f"{folder / name} leads out of the trace; expected a folder in it. Predict the case again.")
    return StoredArray(folder / name)


def rows(values: Mapping[str, Array]) -> dict[str, Rows]:
    """Return arrays (n, m) by name as lists that JSON can hold."""
    return {name: [[None if np.isnan(v) else float(v) for v in row] for row in array] for name, array in values.items()}


def arrays(values: Mapping[str, Rows]) -> dict[str, Array]:
    """Return what :func:`rows` was given, in float32."""
    return {name: np.asarray(lists, np.float32) for name, lists in values.items()}


def boxes(found: Array) -> Boxes:
    """Return boxes (W, 6) as lists that JSON can hold."""
    return [(int(a), int(b), int(c), int(d), int(e), int(f)) for a, b, c, d, e, f in found]


def box_array(lists: Boxes) -> Array:
    """Return what :func:`boxes` was given, (W, 6) int64."""
    return np.asarray(lists, np.int64).reshape(-1, 6)
