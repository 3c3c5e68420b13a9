"""What a trace tells of the run beside its numbers: provenance, names and costs of values, charts, sets of windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voxtrace.errors import GeometryError
from voxtrace.volume import Array


@dataclass(frozen=True)
class ExpectedDice:
    """The mean foreground Dice to expect of a case without a reference, or why it is not known.

    Attributes
    ----------
    dice, interval
        What is expected, and the interval that holds the true Dice of ``level`` of the cases like those of validation;
        None where it is not known.
    level, rank_correlation, cases
        Of the interval; Spearman's of expected and true Dice of held-back cases; how many these were.
    unknown
        Why it is not known; ``""`` where it is.
    """

    dice: float | None = None
    interval: tuple[float, float] | None = None
    level: float = 0.0
    rank_correlation: float = 0.0
    cases: int = 0
    unknown: str = ""

    @property
    def sentence(self) -> str:
        """E.g. "Dice 0.88 expected, 0.82 to 0.93 in 90% of cases (rank correlation 0.61, n 47)"."""
        if self.dice is None or self.interval is None:
            return f"expected Dice not known: {self.unknown}"
        low, high = self.interval
        known = f"rank correlation {self.rank_correlation:.2f}, n {self.cases}"
        return f"Dice {self.dice:.2f} expected, {low:.2f} to {high:.2f} in {self.level:.0%} of cases ({known})"

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, or ``{"unknown": reason}``, as JSON values."""
        if self.dice is None or self.interval is None:
            return {"unknown": self.unknown}
        numbers = {"level": self.level, "rank_correlation": self.rank_correlation, "cases": self.cases}
        return {"dice": self.dice, "interval": list(self.interval), **numbers}


OTHERWISE = ExpectedDice(unknown="it was predicted with other options than those of validation")


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
    expected_dice
        The Dice to expect, or why it is not known; None in traces of earlier versions.
    regions
        Name of each region that the labels were painted from -> its label values; empty where there are none.
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
    expected_dice: ExpectedDice | None = None
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


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
