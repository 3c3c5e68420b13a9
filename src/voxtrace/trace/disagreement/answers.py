"""Several answers to one scan, read a few planes at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from voxtrace.errors import GeometryError
from voxtrace.trace.trace import Trace
from voxtrace.volume import Array, Geometry, LabelMap

Kind = Literal["members", "choices", "steps", "results"]


@dataclass(frozen=True, eq=False)
class LabelPlanes:
    """A label map (Z, Y, X), read on demand from an array (Z, Y, X), or from one step of an array (S, Z, Y, X)."""

    values: Any
    step: int | None = None

    def __getitem__(self, key: Any) -> Array:
        """Return part of the label map; the key is that of an array (Z, Y, X)."""
        if self.step is None:
            return np.asarray(self.values[key])
        return np.asarray(self.values[(self.step, *(key if isinstance(key, tuple) else (key,)))])


@dataclass(frozen=True, eq=False)
class Answers:
    """Several answers to one scan on one grid.

    Attributes
    ----------
    kind
        ``"members"`` whose vote is the answer, first and second ``"choices"`` of one network, successive ``"steps"``,
        or ``"results"`` of several methods.
    row_names, rows
        A name and a label map (Z, Y, X) for each of the R ≥ 2 answers; steps in their order.
    answer
        The label map that is shown: the vote, the last step, or the first result.
    geometry, names
        Where the voxels lie; label value -> name.
    counts
        Voxels of each label value in the answer, where they are known.
    """

    kind: Kind
    row_names: tuple[str, ...]
    rows: tuple[LabelPlanes, ...]
    answer: LabelPlanes
    geometry: Geometry
    names: Mapping[int, str]
    counts: Array | None = None

    @property
    def noun(self) -> str:
        """What the rows are, in the plural.

        ``"seeds"`` for rows called seed 0, seed 1 …; ``"members"`` where names have no word in common.
        """
        if self.kind in ("results", "choices"):
            return self.kind
        words = {word for word, _, number in (name.rpartition(" ") for name in self.row_names) if number.isdigit()}
        return f"{words.pop()}s" if len(words) == 1 else "members"

    @property
    def title(self) -> str:
        """What is compared, in words: ``"5 seeds"``, ``"cycles 5 to 7"``, ``"2 results"``."""
        if self.kind == "choices":
            return "first and second choice"
        if self.kind != "steps":
            return f"{len(self.rows)} {self.noun}"
        return f"{self.noun} {self.row_names[0].rpartition(' ')[2]} to {self.row_names[-1].rpartition(' ')[2]}"

    def name_of(self, value: int) -> str:
        """Return the name of a label value, the background included."""
        return self.names.get(value, f"label {value}" if value else "background")


def offered(trace: Trace) -> tuple[Answers, ...]:
    """Return what can be compared within a trace, the most telling first (docs/evidence.md has the figures)."""
    found = (of_members(trace), of_choices(trace), of_steps(trace))
    return tuple(answers for answers in found if answers is not None)


def of_members(trace: Trace) -> Answers | None:
    """Return the last answers of the members whose vote the labels are; None where there are fewer than two."""
    members: Mapping[str, Any] = getattr(trace, "members", {})
    if len(members) < 2:
        return None
    rows = tuple(LabelPlanes(values, int(values.shape[0]) - 1) for values in members.values())
    return Answers("members", tuple(members), rows, _last(trace), trace.geometry, trace.names, _counts(trace))


def of_choices(trace: Trace) -> Answers | None:
    """Return the answer and the labels that the network nearly gave in its place; None where they were not kept."""
    if trace.second is None:
        return None
    rows = (_last(trace), LabelPlanes(trace.second))
    return Answers(
        "choices", ("first choice", "second choice"), rows, rows[0], trace.geometry, trace.names, _counts(trace)
    )


def of_steps(trace: Trace) -> Answers | None:
    """Return the steps of the last third, and the one before them; None where fewer than two were kept.

    A voxel on which these agree did not change any more in the last third of the steps.
    """
    kept = int(trace.labels.shape[0])
    if kept < 2:
        return None
    first, offset = kept - 1 - max(1, kept // 3), trace.n_steps - kept
    shown = range(first, kept)
    names = tuple(f"{trace.step_word} {offset + step + 1}" for step in shown)
    rows = tuple(LabelPlanes(trace.labels, step) for step in shown)
    return Answers("steps", names, rows, rows[-1], trace.geometry, trace.names, _counts(trace))


def of_label_maps(labels: Sequence[LabelMap]) -> Answers:
    """Return the results of several methods on one scan; the first is the one that is shown.

    Raises
    ------
    GeometryError
        There are fewer than two, or they do not lie on one grid.
    """
    if len(labels) < 2:
        raise GeometryError(f"{len(labels)} result(s) given; expected two or more to compare.")
    first = labels[0]
    for other in labels[1:]:
        if not other.geometry.is_close(first.geometry):
            raise GeometryError(
                f"{other.name} {other.geometry.shape} does not lie on the grid of {first.name} "
                f"{first.geometry.shape}; expected results of one scan. Segment the same scan with both."
            )
    rows = tuple(LabelPlanes(one.data) for one in labels)
    names = {value: name for one in reversed(labels) for value, name in one.names.items()}
    return Answers("results", tuple(one.name for one in labels), rows, rows[0], first.geometry, names)


def _last(trace: Trace) -> LabelPlanes:
    return LabelPlanes(trace.labels, int(trace.labels.shape[0]) - 1)


def _counts(trace: Trace) -> Array | None:
    return None if trace.step_counts is None else np.asarray(trace.step_counts.counts[-1])
