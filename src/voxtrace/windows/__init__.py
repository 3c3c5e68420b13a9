"""Sliding windows: where they lie, in which order they run, and how their results are blended."""

from __future__ import annotations

from voxtrace.windows.adaptive import PUBLISHED_WINDOW, Adaptive
from voxtrace.windows.coverage import coverage, covered
from voxtrace.windows.grid import (
    Decision,
    Row,
    Schedule,
    ScheduleMaker,
    Skipped,
    Window,
    Windowing,
    by_slices,
    count_windows,
    endless_gaussian,
    everything,
    gaussian,
    regular,
    starts,
    strided,
    strided_starts,
    uniform,
)

__all__ = [
    "PUBLISHED_WINDOW",
    "Adaptive",
    "Decision",
    "Row",
    "Schedule",
    "ScheduleMaker",
    "Skipped",
    "Window",
    "Windowing",
    "by_slices",
    "count_windows",
    "coverage",
    "covered",
    "endless_gaussian",
    "everything",
    "gaussian",
    "regular",
    "starts",
    "strided",
    "strided_starts",
    "uniform",
]
