"""Trace: store, load, summarise, and tell when each voxel settled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.atomic import atomic_folder
from voxtrace.errors import GeometryError
from voxtrace.passport import Passport
from voxtrace.trace import files
from voxtrace.trace.tally import Tally
from voxtrace.volume import Array, Geometry, Shape

if TYPE_CHECKING:
    import zarr

    Labels = Array | zarr.Array[Any]


INDEX = "index"


@dataclass(frozen=True, eq=False)
class Trace:
    """How a prediction came about.

    Attributes
    ----------
    labels
        (S, Z, Y, X) uint8 or uint16 on the input's grid; a zarr array when it lies on disk. When only the last step
        was kept its first axis has length 1, while ``facts`` still tell of every step.
    facts
        Name -> (S, W) float32: a number for every step and window; NaN where it does not apply.
    windows
        (W, 6) boxes (z0, y0, x0, z1, y1, x1) on the network grid, ends excluded, in the order they were visited.
    units
        Name of a fact -> its unit; ``"index"`` for a number that names something, which is not averaged.
    geometry
        Where the label voxels lie.
    names
        Label value -> name, the background at 0 included.
    step_word
        What the method's paper calls a step, e.g. "cycle".
    settled
        (Z, Y, X) uint8, see :meth:`settled_at`, or None when it has not been worked out.
    network_shape
        Voxels of the network grid along (Z, Y, X), to place ``windows``; None if unknown.
    tally
        Voxels of each label and changed voxels at each kept step, or None when not counted yet.
    extras
        Name -> (S, Z, Y, X), what else each step showed, as labels, e.g. the noisy mask that was denoised.
    passport
        What was looked at while the input was read, and what was corrected.
    """

    labels: Labels
    facts: Mapping[str, Array]
    windows: Array
    units: Mapping[str, str]
    geometry: Geometry
    names: Mapping[int, str]
    step_word: str = "step"
    settled: Labels | None = None
    network_shape: Shape | None = None
    tally: Tally | None = None
    extras: Mapping[str, Labels] = field(default_factory=dict)
    passport: Passport = field(default_factory=Passport)

    def __post_init__(self) -> None:
        if len(self.labels.shape) != 4 or tuple(self.labels.shape[1:]) != self.geometry.shape:
            raise GeometryError(
                f"labels of shape {tuple(self.labels.shape)} do not fit geometry {self.geometry.shape}; "
                "expected (S, Z, Y, X) with the same Z, Y, X."
            )

    @property
    def n_steps(self) -> int:
        """Steps S that the method took, whether or not the labels of each were kept."""
        kept = int(self.labels.shape[0])
        return max([kept, *(int(values.shape[0]) for values in self.facts.values())])

    @property
    def complete(self) -> bool:
        """Whether the labels of every step were kept."""
        return int(self.labels.shape[0]) == self.n_steps

    def summary(self) -> list[dict[str, Any]]:
        """Return a row for each step, in order; counted from 0.

        Every row has ``step``, ``changed_fraction`` and the mean over windows of each fact that is a quantity. Rows
        whose labels were kept also have ``changed_voxels`` (against the step before, the first against background)
        and ``volume_ml`` (label value -> mL, background left out), and take ``changed_fraction`` from the whole
        volume instead of the mean over windows. When only the last step was kept its row has volumes but no changed
        voxels.
        """
        tally = self.tally or self._tallied()
        return [self._row(step, tally) for step in range(self.n_steps)]

    def _row(self, step: int, tally: Tally) -> dict[str, Any]:
        row: dict[str, Any] = {"step": step, "changed_fraction": None}
        averaged = {name: values for name, values in self.facts.items() if self.units.get(name) != INDEX}
        row |= {name: _mean(values[step]) for name, values in averaged.items()}
        kept = step - (self.n_steps - int(self.labels.shape[0]))
        if self.complete:
            row["changed_voxels"] = int(tally.changed[step])
            row["changed_fraction"] = row["changed_voxels"] / float(np.prod(self.geometry.shape))
        if kept >= 0:
            counts = enumerate(tally.counts[kept])
            row["volume_ml"] = {value: int(n) * self.geometry.voxel_ml for value, n in counts if value}
        return row

    def settled_at(self) -> Array:
        """Return (Z, Y, X) uint8: the last step, counted from 0, at which each voxel's label changed.

        0 for voxels that never changed after the first step, and everywhere when only one step was kept.
        """
        if self.settled is not None:
            return np.asarray(self.settled[:])
        tally = Tally.empty(int(self.labels.shape[0]), self._n_labels)
        return np.concatenate([tally.add(planes) for planes in self._chunks(self.labels)])

    def boxes(self) -> Array:
        """Return ``windows`` in voxels of the labels' grid, (W, 6) float64; borders of voxel i are i − 0.5 and i + 0.5.

        A window over the whole network grid gives (−0.5, −0.5, −0.5, Z − 0.5, Y − 0.5, X − 0.5).
        """
        scale = np.divide(self.geometry.shape, self.network_shape or self.geometry.shape)
        boxes: Array = self.windows * np.tile(scale, 2) - 0.5
        return boxes

    def save(self, folder: str | Path) -> Path:
        """Write ``trace.json``, ``labels.zarr`` and ``settled.zarr`` into a folder that appears whole or not at all.

        A trace that was recorded into this very folder is left as it is.

        Raises
        ------
        OutputError
            The system refuses to write there.
        """
        folder = Path(folder)
        if files.lies_in(self.labels, folder):
            return folder
        with atomic_folder(folder) as temporary:
            tally = Tally.empty(int(self.labels.shape[0]), self._n_labels)
            writer = files.ArrayFiles(temporary, tuple(self.labels.shape), self.labels.dtype, tuple(self.extras))
            for planes, *shown in zip(*(self._chunks(a) for a in (self.labels, *self.extras.values())), strict=True):
                writer.add(planes, tally.add(planes), shown)
            writer.close()
            files.write_record(replace(self, tally=tally), temporary)
        return folder

    @staticmethod
    def load(folder: str | Path) -> Trace:
        """Return the trace in a folder; its labels stay on disk until they are asked for.

        Raises
        ------
        ReadError
            The folder is not a trace, or is damaged.
        """
        return files.read(Path(folder))

    @property
    def _n_labels(self) -> int:
        return max(self.names, default=0) + 1

    def _tallied(self) -> Tally:
        tally = Tally.empty(int(self.labels.shape[0]), self._n_labels)
        for planes in self._chunks(self.labels):
            tally.add(planes)
        return tally

    def _chunks(self, labels: Labels) -> Iterator[Array]:
        """Yield labels (S, n, Y, X), a few planes at a time, ascending z."""
        depth = files.chunk_depth(self.geometry.shape)
        for z in range(0, self.geometry.shape[0], depth):
            yield np.asarray(labels[:, z : z + depth])


def _mean(values: Array) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
