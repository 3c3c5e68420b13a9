"""Trace: how a prediction came about, as a table of steps × windows and a label map for each step.

Axes: ``labels`` (S, Z, Y, X) on the input's grid; facts (S, W), a number per step and window. Before the first step
everything counts as background, so the first step "changes" whatever it finds.
"""

from __future__ import annotations

from voxtrace.trace.record import Recorder
from voxtrace.trace.tally import Tally
from voxtrace.trace.trace import Trace

__all__ = ["Recorder", "Tally", "Trace"]
