"""The folder that holds a trace.

::

    case.trace/
    ├── trace.json      geometry, passport, names, facts, windows, counts: what a person can read; no patient's data
    ├── labels.zarr     (S, Z, Y, X), compressed, a few planes to a chunk
    ├── settled.zarr    (Z, Y, X), the last step at which each voxel changed
    └── <name>.zarr      (S, Z, Y, X), what else each step showed; only where it was asked for
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from voxtrace.errors import GeometryError, ReadError
from voxtrace.passport import Passport
from voxtrace.trace.tally import Tally
from voxtrace.volume import Array, Geometry, Grid, Shape

if TYPE_CHECKING:
    import zarr

    from voxtrace.trace.trace import Trace

RECORD = "trace.json"
LABELS = "labels.zarr"
SETTLED = "settled.zarr"

_CHUNK_VOXELS = 2**21


class _Geometry(BaseModel):
    """A geometry as JSON, the file's own grid included."""

    shape: Shape
    affine: tuple[tuple[float, ...], ...]
    stored: Grid | None


class _Record(BaseModel):
    """``trace.json``: everything but the voxels. NaN is written as null."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["voxtrace trace 1"] = "voxtrace trace 1"
    step_word: str
    names: dict[int, str]
    geometry: _Geometry
    network_shape: Shape | None
    units: dict[str, str]
    counts: list[list[int]]
    changed: list[int]
    windows: list[tuple[int, int, int, int, int, int]]
    facts: dict[str, list[list[float | None]]]
    extras: list[str] = []
    passport: list[dict[str, str]] = []


class ArrayFiles:
    """``labels.zarr``, ``settled.zarr`` and extras, written in ascending z so that every chunk is compressed once.

    They are made when the first planes are complete, since zarr takes a quarter of a second to load.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: Any, extras: Sequence[str] = ()) -> None:
        steps, depth, height, width = shape
        self._folder, self._shape, self._dtype, self._names = folder, shape, dtype, extras
        self._depth = chunk_depth((depth, height, width))
        chunk = (self._depth, height, width)
        self._waiting = [np.empty((steps, *chunk), dtype) for _ in range(1 + len(extras))]
        self._waiting_settled = np.empty(chunk, np.uint8)
        self._written, self._held = 0, 0

    @cached_property
    def labels(self) -> Any:
        """Labels (S, Z, Y, X)."""
        return self._stepped(LABELS)

    @cached_property
    def settled(self) -> Any:
        """The last step at which each voxel changed, (Z, Y, X)."""
        chunk = (self._depth, *self._shape[2:])
        return _create(self._folder / SETTLED, self._shape[1:], chunk, np.uint8, ("z", "y", "x"))

    @cached_property
    def extras(self) -> dict[str, Any]:
        """What else each step showed, (S, Z, Y, X), by name."""
        return {name: self._stepped(f"{name}.zarr") for name in self._names}

    def _stepped(self, name: str) -> Any:
        chunk = (1, self._depth, *self._shape[2:])
        return _create(self._folder / name, self._shape, chunk, self._dtype, ("step", "z", "y", "x"))

    def add(self, planes: Array, settled: Array, extras: Sequence[Array] = ()) -> None:
        """Append planes (S, n, Y, X), where they settled (n, Y, X), and planes of each extra."""
        stepped = [planes, *extras]
        while stepped[0].shape[1]:
            n = min(stepped[0].shape[1], self._depth - self._held)
            for waiting, fresh in zip(self._waiting, stepped, strict=True):
                waiting[:, self._held : self._held + n] = fresh[:, :n]
            self._waiting_settled[self._held : self._held + n] = settled[:n]
            self._held += n
            stepped, settled = [fresh[:, n:] for fresh in stepped], settled[n:]
            if self._held == self._depth:
                self.close()

    def close(self) -> None:
        """Write what is still held back.

        One chunk at a time: zarr writes several at once, and where one of them fills the disk the others would go on
        by themselves after the error.
        """
        lo, hi = self._written, self._written + self._held
        if hi > lo:
            for array, waiting in zip((self.labels, *self.extras.values()), self._waiting, strict=True):
                for step, planes in enumerate(waiting[:, : self._held]):
                    array[step, lo:hi] = planes
            self.settled[lo:hi] = self._waiting_settled[: self._held]
        self._written, self._held = hi, 0


def chunk_depth(shape: Shape) -> int:
    """Return how many planes to handle at once: about two million voxels, at least one plane."""
    return max(1, min(shape[0], _CHUNK_VOXELS // (shape[1] * shape[2])))


def _create(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any, names: tuple[str, ...]) -> Any:
    import zarr
    from zarr.codecs import BloscCodec

    return zarr.create_array(
        path,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
        fill_value=0,
        dimension_names=names,
        config={"write_empty_chunks": True},  # looking for them takes longer than packing them
    )


def lies_in(labels: Array | zarr.Array[Any], folder: Path) -> bool:
    """Tell whether labels are the zarr array of the trace in this folder."""
    root = getattr(getattr(labels, "store", None), "root", None)
    return root is not None and Path(root).resolve() == (folder / LABELS).resolve()


def write_record(trace: Trace, folder: Path) -> None:
    """Write ``trace.json`` of a trace that has been tallied."""
    if trace.tally is None:
        raise ValueError("the trace was not tallied")
    geometry = trace.geometry
    record = _Record(
        step_word=trace.step_word,
        names=dict(trace.names),
        geometry=_Geometry(shape=geometry.shape, affine=geometry.affine, stored=geometry.stored),
        network_shape=trace.network_shape,
        units=dict(trace.units),
        counts=trace.tally.counts.tolist(),
        changed=trace.tally.changed.tolist(),
        windows=[tuple(int(v) for v in box) for box in trace.windows],
        facts={name: [[_number(v) for v in row] for row in values] for name, values in trace.facts.items()},
        extras=list(trace.extras),
        passport=trace.passport.as_json(),
    )
    (folder / RECORD).write_text(record.model_dump_json(indent=None) + "\n", encoding="utf-8")


def read(folder: Path) -> Trace:
    """Return the trace in a folder, its arrays still on disk."""
    import zarr

    from voxtrace.trace.trace import Trace

    _check_complete(folder)
    try:
        record = _Record.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
        labels = zarr.open_array(folder / LABELS, mode="r")
        settled = zarr.open_array(folder / SETTLED, mode="r")
        return Trace(
            labels=labels,
            facts={name: np.asarray(rows, np.float32) for name, rows in record.facts.items()},
            windows=np.asarray(record.windows, np.int64).reshape(-1, 6),
            units=record.units,
            geometry=Geometry(record.geometry.shape, record.geometry.affine, record.geometry.stored),
            names=record.names,
            step_word=record.step_word,
            settled=settled,
            network_shape=record.network_shape,
            tally=Tally(np.asarray(record.counts, np.int64), np.asarray(record.changed, np.int64)),
            extras={name: zarr.open_array(folder / f"{name}.zarr", mode="r") for name in record.extras},
            passport=Passport.from_json(record.passport),
        )
    except (OSError, ValueError, TypeError, ValidationError, GeometryError) as error:
        raise ReadError(f"{folder} is a damaged trace ({error}). Predict the case again.") from error


def _check_complete(folder: Path) -> None:
    missing = [name for name in (RECORD, LABELS, SETTLED) if not (folder / name).exists()]
    if missing:
        raise ReadError(
            f"{folder} is not a trace: {', '.join(missing)} is missing. "
            "Choose a folder that `voxtrace predict --keep labels` or Trace.save wrote."
        )


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
