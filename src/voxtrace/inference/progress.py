"""What a prediction reports while it runs, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voxtrace.trace import Trace
from voxtrace.volume import Array, LabelMap


@dataclass(frozen=True, eq=False)
class FinishedPlanes:
    """Planes of the answer that are complete.

    Attributes
    ----------
    z0
        Number of the first plane on the grid of the input; they come in ascending order, each once, the last ones with
        the result. Where members are predicted one after another it starts again at 0 for each.
    labels
        (S, n, Y, X), read-only views of the trace while it is made, no copies; S is 1 where the trace lies on disk.
        The last along S is the answer.
    """

    z0: int
    labels: Array


@dataclass(frozen=True)
class Progress:
    """How far a task is: ``done`` of ``total`` windows of a ``stage``.

    A stage is "preparing", "segmenting", "post-processing" or "combining".

    ``planes`` holds the planes of the answer that were completed since the last report, if any.
    """

    stage: str
    done: int
    total: int
    message: str = ""
    planes: FinishedPlanes | None = None


@dataclass(frozen=True)
class Result:
    """The labels, how they came about, and what was run.

    Attributes
    ----------
    labels
        The last step's labels on the input's geometry.
    trace
        Every step; see :class:`voxtrace.trace.Trace`.
    seconds
        Wall time from the first line to the last.
    facts
        Windows, steps, runtime, device and precision with the reason for them, members, batch, overlap, mirror, settle,
        seed, and ``seconds`` by stage: planes (waiting for them), network, assess, blend, and finish, which runs in a
        thread of its own while the network computes; ``post_processing``, where pieces of labels may go, as in
        :class:`voxtrace.trace.Provenance`.
    """

    labels: LabelMap
    trace: Trace
    seconds: float
    facts: dict[str, Any]
