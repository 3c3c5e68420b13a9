"""Measure what fine-tuning changed, for the receipt."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.work.events import Cancel
from voxtrace.plugin.work.jobs import train_stage
from voxtrace.plugin.work.torch_import import importing_torch

if TYPE_CHECKING:
    from voxtrace.training.receipt import FineTuningChange


def measuring_change(
    before: Path, after: Path, dataset: Path, only_old: bool, cancel: Cancel
) -> Generator[JobStage, None, FineTuningChange]:
    """Segment cases with both models and return what changed.

    The cases are those that were corrected and those that the new model held back; with ``only_old`` those that the
    model before held back.

    Raises
    ------
    VoxTraceError
        A model or a case cannot be read, or the dataset has none of these cases.
    Cancelled
        It was asked to stop.
    """
    yield JobStage("Measuring what fine-tuning changed …")
    with importing_torch():
        from voxtrace.bundle import load
        from voxtrace.training.dataset import open_dataset
        from voxtrace.training.receipt import changed_by_fine_tuning, changed_on_old_cases

    opened = open_dataset(dataset)
    run = (changed_on_old_cases if only_old else changed_by_fine_tuning)(
        load(before), load(after), opened, cancel=cancel
    )
    while True:
        try:
            yield train_stage(next(run))
        except StopIteration as end:
            found: FineTuningChange = end.value
            return found
