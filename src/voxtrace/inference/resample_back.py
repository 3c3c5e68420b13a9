"""LabelResampler: probabilities on network planes become labels on input planes, one plane at a time.

Probabilities are interpolated linearly between network planes and in-plane, and the most probable label is taken, in
one pass over the output's rows. A label whose probability reaches 1/K nowhere cannot win there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxtrace.inference.ops import ops_for
from voxtrace.inference.plane_walk import PlaneWalk
from voxtrace.inference.score_plane import Average, ScorePlane, winning_threshold
from voxtrace.preprocess import NetworkGrid
from voxtrace.volume import Array


class LabelResampler:
    """Takes network planes in ascending z and yields label planes of the input grid as soon as they are known.

    With ``paints`` the scores are of regions, each painted with its value.
    """

    def __init__(
        self,
        grid: NetworkGrid,
        n_labels: int,
        device: str = "cpu",
        average: Average = "probabilities",
        paints: Sequence[int] = (),
    ) -> None:
        self._walk, self._ops = PlaneWalk(grid), ops_for(device, paints, average)
        self._least = winning_threshold(n_labels, average)
        self._below: ScorePlane | None = None
        self._last: tuple[tuple[int, float], Array] | None = None

    def push(self, padded: ScorePlane) -> Iterator[Array]:
        """Take the next plane of the padded grid; yield labels (S, Y, X) of input planes."""
        if not self._walk.enter():
            return
        plane = ScorePlane(self._walk.inside(padded.scores).contiguous(), padded.labels)
        for z_weight in self._walk.input_planes():
            yield self._labels(plane, z_weight)
        self._below = plane

    def _labels(self, plane: ScorePlane, z_weight: float) -> Array:
        """Return labels (S, Y, X) of an input plane, in which ``plane`` has ``z_weight`` and the one below the rest."""
        key = self._walk.z, z_weight
        if self._last is None or self._last[0] != key:  # where planes are repeated, so are labels
            below = plane if self._below is None else self._below
            axes = self._walk.y, self._walk.x
            self._last = key, self._ops.upsample_argmax(below, plane, z_weight, *axes, self._least)
        return self._last[1]
