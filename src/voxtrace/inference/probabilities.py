"""ProbabilityPlanes: what each plane of the answer's probabilities is shown to, while a scan is segmented."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from voxtrace.fit.calibration import LEAST
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
    temperature
        Of the networks; the greatest probability stays that of the same label.
    probe
        Called with the number of each plane, ascending, and (K, Y, X) float32; NaN where the network did not look.
    regions
        Whether scores are of regions, each an answer of its own.
    """

    def __init__(
        self, grid: NetworkGrid, step: int, average: Average, temperature: float, probe: Probe, regions: bool = False
    ) -> None:
        self._maps, self._step, self._probe, self._done = MapResampler(grid), step, probe, 0
        self._average, self._temperature, self._regions = average, temperature, regions

    def push(self, plane: ScorePlane) -> None:
        """Take the next plane of the padded network grid, with the scores of every label."""
        for planes in self._maps.push(plane.scores[self._step][None]):
            self._probe(self._done, self._calibrated(planes[0]))
            self._done += 1

    def _calibrated(self, scores: Array) -> Array:
        """Return the probabilities (K, Y, X) at the temperature; p^(1/T) / Σ p^(1/T) is softmax(log p / T)."""
        if self._average == "probabilities":
            if self._temperature == 1.0 or self._regions:  # a temperature is of a softmax
                return scores
            scores = np.log(np.maximum(scores, LEAST))
        if self._regions:
            return np.asarray(torch.from_numpy(scores).sigmoid().numpy())
        return np.asarray(torch.softmax(torch.from_numpy(scores / np.float32(self._temperature)), 0).numpy())
