"""Find the places on which answers differ, as a job for a thread."""

from __future__ import annotations

from collections.abc import Generator

from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.work.events import Cancel
from voxtrace.trace.disagreement import Answers, Disagreement, PlaceLimits, regions


def find_places(answers: Answers, limits: PlaceLimits, cancel: Cancel) -> Generator[JobStage, None, Disagreement]:
    """Compare answers and return the regions on which they differ; see :func:`voxtrace.trace.disagreement.regions`."""
    yield JobStage(f"Comparing {answers.title} …")
    return regions(answers, limits, cancel)
