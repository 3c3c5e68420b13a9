"""ProbabilityPlanes: what each plane of the answer's probabilities is shown to, while a scan is segmented."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from voxtrace.inference.resample_maps import MapResampler
from voxtrace.inference.score_plane import Average, ScorePlane
from voxtrace.preprocess import NetworkGrid
from voxtrace.volume import Array

Probe = Callable[[int, Array], None]


class ProbabilityPlanes:
    """Brings the last step's probabilities of all labels to the input's grid and shows each plane to a probe.

    Parameters
    ----------
    grid
        The network grid of the input.
    step
        Which row of the scores is the last step.
    average
        Whether scores are probabilities or logits.
    probe
        Called with the number of each plane, ascending, and (K, Y, X) float32; NaN where the network did not look.
    regions
        Whether scores are of regions, each an answer of its own.
    """

    def __init__(self, grid: NetworkGrid, step: int, average: Average, probe: Probe, regions: bool = False) -> None:
        self._maps, self._step, self._average, self._probe, self._done = MapResampler(grid), step, average, probe, 0
        self._regions = regions

    def push(self, plane: ScorePlane) -> None:
        """Take the next plane of the padded network grid, with the scores of every label."""
        for planes in self._maps.push(plane.scores[self._step][None]):
            scores: Array = planes[0]
            if self._average == "logits":
                logits = torch.from_numpy(scores)
                scores = np.asarray((logits.sigmoid() if self._regions else logits.softmax(0)).numpy())
            self._probe(self._done, scores)
            self._done += 1
