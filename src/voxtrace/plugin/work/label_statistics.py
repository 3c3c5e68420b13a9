"""Count the labels on screen and their intensities, as a job for a thread."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import numpy as np

from voxtrace.plugin.models.measures import Measurement, label_measurements
from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.work.events import Cancel


def label_statistics(
    labels: Any, step: int | None, image: Any, names: Mapping[int, str], voxel_ml: float, cancel: Cancel
) -> Generator[JobStage, None, tuple[Measurement, ...]]:
    """Return volume, mean, deviation, smallest and largest intensity of each label.

    Parameters
    ----------
    labels, image
        Arrays (I, P, L) on one grid; ``labels`` with a first axis of steps where ``step`` is given.
    names
        Label value -> name; empty for every value that occurs.
    """
    yield JobStage("Counting labels …")
    volume = labels if step is None else np.asarray(labels[step])
    known = dict(names) or {int(v): f"label {int(v)}" for v in np.unique(np.asarray(volume)) if v}
    return label_measurements(volume, image, known, voxel_ml)
