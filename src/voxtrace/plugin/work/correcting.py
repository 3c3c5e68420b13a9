"""Correct a label of a layer in a thread."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models.correction import Correction, Operation, correct
from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.work.events import Cancel
from voxtrace.volume import Array, Triple


def correcting(
    data: Any, index: int, operation: Operation, spacing_mm: Triple, words: str, cancel: Cancel
) -> Generator[JobStage, None, Correction]:
    """Return what an operation changes in a layer's labels (I, P, L), as a job for a thread.

    ``index`` is the station, or the frame, of a layer with four axes.
    """
    yield JobStage(f"{words[:1].upper()}{words[1:]} …")
    return correct(labels_at(data, index), operation, spacing_mm)


def labels_at(data: Any, index: int) -> Array:
    """Return the labels (I, P, L) of a layer's data; of one with four axes those of a station or frame."""
    if isinstance(data, StepArray):
        return data.station(index)
    return np.array(data[index] if data.ndim == 4 else data)
