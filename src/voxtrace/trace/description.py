"""What a trace tells of the run beside its numbers: provenance, names and costs of values, charts, sets of windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voxtrace.errors import GeometryError
from voxtrace.volume import Array


@dataclass(frozen=True)
class Provenance:
    """How a trace was made. Texts are empty and numbers None where they are not known.

    Attributes
    ----------
    method, method_title
        Key and title of the method.
    bundle
        Name of the bundle; of several, their names joined by " + ".
    weights_sha256
        SHA-256 of the weights' file, in hexadecimal; of several, joined likewise.
    version
        Version of VoxTrace.
    options
        Every option of the prediction by name, the method's own under ``"options"``, as in the ledger.
    seconds
        Wall time of the run.
    stage_seconds
        Seconds by stage, e.g. ``"network"``.
    demonstration
        Whether the bundle was trained on made-up scans alone.
    seed
        Where the random numbers started.
    scan
        What the scan is called.
    fit
        Whether the bundle fits the scan, with the reasons: ``check: …``; of several the most severe.
    temperatures
        Of each bundle, what its logits were divided by before entropy was worked out: 1 where it has no temperature.
        Empty where that was turned off.
    post_processing
        Name of a label -> what was removed of the answer, the last step: ``rule``, ``pieces`` and ``removed_ml``.
    """

    method: str = ""
    method_title: str = ""
    bundle: str = ""
    weights_sha256: str = ""
    version: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    demonstration: bool = False
    seed: int | None = None
    scan: str = ""
    fit: str = ""
    temperatures: tuple[float, ...] = ()
    post_processing: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class NodeChart:
    """Numbers of the network itself, for nodes that stand in rows and columns, e.g. from where each takes its features.

    Attributes
    ----------
    title, unit
        What the numbers are, e.g. "connections by source", and their unit, e.g. "fraction".
    rows, columns, series
        Names along each axis of ``values``: R rows, C columns, and N numbers of each node.
    values
        (R, C, N) float32; NaN where there is no node.
    """

    title: str
    unit: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    series: tuple[str, ...]
    values: Array

    def __post_init__(self) -> None:
        expected = (len(self.rows), len(self.columns), len(self.series))
        if tuple(self.values.shape) != expected:
            raise GeometryError(
                f"chart {self.title!r} has values of shape {tuple(self.values.shape)}; expected {expected}, a number "
                "for each row, column and series."
            )


@dataclass(frozen=True, eq=False)
class TraceRow:
    """A row of the time ruler: label maps of every step.

    Attributes
    ----------
    name
        E.g. "answer", "noisy", "seed 0".
    labels
        (S, Z, Y, X), as the trace holds them.
    kind
        The answer itself, an extra output of the method, or a member whose vote the answer is.
    """

    name: str
    labels: Any
    kind: Literal["answer", "extra", "member"]


@dataclass(frozen=True)
class RunDescription:
    """What the engine knows of a run and no plane tells; see the fields of the same names of a trace."""

    value_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    value_costs: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    charts: tuple[NodeChart, ...] = ()
    window_sets: Mapping[str, Array] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
