"""Trace: how a prediction came about, as a table of steps × windows beside a label map for each step.

Axes: ``labels`` and ``maps`` (S, Z, Y, X) on the input's grid; ``facts`` (S, W), a number per step and window;
``slice_facts`` (S, Z), a number per step and slice. The first step is compared with background, so everything that it
finds counts as changed.
"""

from __future__ import annotations

from voxtrace.trace.alternatives import WhatIf, what_if
from voxtrace.trace.combine import agreement, combine
from voxtrace.trace.description import OTHERWISE, ExpectedDice, NodeChart, Provenance, RunDescription, TraceRow
from voxtrace.trace.recorder import Recorder
from voxtrace.trace.step_counts import StepCounts
from voxtrace.trace.trace import INDEX, Trace

__all__ = [
    "INDEX",
    "OTHERWISE",
    "ExpectedDice",
    "NodeChart",
    "Provenance",
    "Recorder",
    "RunDescription",
    "StepCounts",
    "Trace",
    "TraceRow",
    "WhatIf",
    "agreement",
    "combine",
    "what_if",
]
