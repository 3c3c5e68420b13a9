"""SecondChoice: where the network doubted its label, and which label it nearly gave.

The probabilities of every kept step are averaged. A voxel is in doubt where that of the answer's label exceeds that of
the strongest other one by no more than ``MARGIN``. Of the shipped models of the hippocampus (docs/evidence.md) these
voxels are a sixth of the organ's volume, of heads a third; two in five are wrong, and they hold a third of all errors
or more. The first ninth by this margin holds a quarter of them: no other measure of one run holds more.

Worked out on the network's planes, and brought to the input's by the nearest voxel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from voxtrace.inference.plane_walk import PlaneWalk
from voxtrace.inference.score_plane import Average, ScorePlane
from voxtrace.preprocess import AxisWeights, LabelPaster, NetworkGrid
from voxtrace.volume import Array

MARGIN = 0.4


class SecondChoice:
    """Takes network planes in ascending z and yields the second choice on the input's planes.

    Parameters
    ----------
    steps
        How many of the first axis of scores are steps of the answer; extras follow them.
    average
        What scores are; logits become probabilities first.
    """

    def __init__(self, grid: NetworkGrid, steps: int, average: Average = "probabilities") -> None:
        self._walk, self._placer = PlaneWalk(grid), LabelPaster(grid.crop_order)
        self._steps, self._average = steps, average
        self._rows, self._columns = _nearest(self._walk.y), _nearest(self._walk.x)
        self._below: Array | None = None

    def push(self, padded: ScorePlane) -> Iterator[Array]:
        """Take the next plane of the padded grid; yield (Y, X) of input planes: label + 1 in doubt, else 0."""
        if not self._walk.enter():
            return
        plane = self._in_doubt(padded)[self._rows][:, self._columns]
        for z_weight in self._walk.input_planes():
            nearest = plane if z_weight >= 0.5 or self._below is None else self._below
            yield from (placed[0] for placed in self._placer.push(nearest[None]))
        self._below = plane

    def labels(self, choice: Array, planes: Array) -> Array:
        """Return the second choice as labels (Y, X): those of the answer, the last step's, where no doubt is.

        ``planes`` (n, Y, X) are those of all steps, and of extras after them.
        """
        found: Array = np.where(choice > 0, choice - 1, planes[self._steps - 1]).astype(planes.dtype)
        return found

    def _in_doubt(self, padded: ScorePlane) -> Array:
        """Return label + 1 of the strongest other label where there is doubt, else 0, (Y', X') int32."""
        scores = self._walk.inside(padded.scores)[: self._steps]
        if scores.shape[1] < 2:  # one label alone may win here
            return np.zeros(tuple(scores.shape[-2:]), np.int32)
        scores = scores.softmax(1) if self._average == "logits" else scores
        last, mean = scores[-1], scores.mean(0) if len(scores) > 1 else scores[-1]
        found = np.zeros(last[0].numel(), np.int32)
        place = torch.nonzero(_may_doubt(last, mean).flatten())[:, 0]
        last, mean = last.flatten(1)[:, place], mean.flatten(1)[:, place]
        answer = last.argmax(0, keepdim=True)
        of_answer = mean.gather(0, answer)[0]
        others, which = mean.scatter(0, answer, -torch.inf).max(0)
        other = padded.labels[which.cpu().numpy()].astype(np.int32) + 1
        found[place.cpu().numpy()] = np.where((of_answer - others <= MARGIN).cpu().numpy(), other, 0)
        return found.reshape(tuple(scores.shape[-2:]))


def _may_doubt(last: Tensor, mean: Tensor) -> Tensor:
    """Return where there may be doubt (Y, X) bool, from probabilities (n, Y, X): most voxels are told cheaply.

    Where the mean of the answer exceeds (1 + margin) / 2 no other one comes close; where another label leads the mean,
    the last step gives that one at most a half.
    """
    unsure = mean.amax(0) <= (1 + MARGIN) / 2
    return unsure if mean is last else unsure | (torch.minimum(mean, last).amax(0) <= 0.5)


def _nearest(axis: AxisWeights) -> Array:
    """Return the network voxel that is nearest to each input voxel, (n,)."""
    nearest: Array = np.take_along_axis(axis.indices, axis.weights.argmax(1)[:, None], 1)[:, 0]
    return nearest
