"""PlaneAccumulator: weighted sums of probabilities and maps, for the planes that a window still covers.

The planes lie in a ring as deep as a window; plane z has slot ``z % depth``. Depth 4, windows at z = 0, then z = 3::

    slot            0   1   2   3
    after z = 0     0   1   2   3
    finish(3)       ·   ·   ·   3        planes 0, 1, 2 are complete: yielded, then set to 0
    after z = 3     4   5   6   3        the window writes slots 3, 0, 1, 2
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtrace.inference.ops import ops_for
from voxtrace.inference.score_plane import Average, ScorePlane, label_type, winning_threshold
from voxtrace.inference.step_runner import Logits
from voxtrace.volume import Array, Shape
from voxtrace.windows import Window, gaussian

Mask = npt.NDArray[np.bool_]

_ROUNDING = 1e-4  # largest relative error of an average of probabilities


class PlaneAccumulator:
    """Sums (S, K, depth, Y, X) of probabilities times blending weights, and the sums of those weights.

    Parameters
    ----------
    n_steps, n_labels
        S, extras counted as further steps, and K.
    window, plane, device
        Voxels of a window (Z, Y, X) and of a plane (Y, X) of the padded network grid, and where the sums lie.
    blend
        Window size -> weight of each voxel.
    slices
        Most consecutive z of the windows in one row.
    average
        Whether probabilities or logits are averaged.
    maps
        Steps and number M of scalar maps, which are summed with the same weights.
    paints
        Where the K are regions, the value with which each is painted.
    every_label
        Whether planes have the scores of every label, those that cannot win included.
    margin
        Planes also have the labels that nearly win: those that are the strongest but one somewhere, by no more than
        this behind the winner.
    """

    def __init__(
        self,
        n_steps: int,
        n_labels: int,
        window: Shape,
        plane: tuple[int, int],
        device: str,
        blend: Callable[[Shape], Array] = gaussian,
        slices: int = 1,
        average: Average = "probabilities",
        maps: tuple[int, int] = (0, 0),
        paints: Sequence[int] = (),
        every_label: bool = False,
        margin: float = 0.0,
    ) -> None:
        self._ops, self._average, self._every_label = ops_for(device, paints, average), average, every_label
        self._depth = window[0] + slices - 1  # the windows of one row, each a plane higher
        self._size = window
        self._blend = torch.from_numpy(blend(window)).to(device)
        self._sums = torch.zeros((n_steps, n_labels, self._depth, *plane), device=device)
        self._maps = torch.zeros((*maps, self._depth, *plane), device=device) if all(maps) else None
        self._weights = torch.zeros((self._depth, *plane), device=device)
        self._peaks = np.zeros((n_labels, self._depth), np.float32)
        # of K probabilities the strongest but one reaches (1 − margin) / K where it is no more than that behind
        self._least = winning_threshold(2 if paints else n_labels, average) * (1.0 - margin) * (1.0 - _ROUNDING)
        self._labels = np.arange(n_labels, dtype=label_type(n_labels))
        self._first, self._before = 0, np.zeros(n_labels, bool)

    def add(self, step: int, window: Window, logits: Logits, b: int) -> None:
        """Add window ``b`` of a batch at one step; planes before the window must be finished."""
        normaliser = logits.normaliser[b] if self._average == "probabilities" else None
        into = self._sums[step], self._peaks
        self._ops.accumulate(*into, logits.values[b], normaliser, self._blend, window)

    def add_maps(self, step: int, window: Window, maps: Tensor) -> None:
        """Add scalar maps (M, Z, Y, X) of a window at one step."""
        if self._maps is not None:
            peaks = np.zeros((len(maps), self._depth), np.float32)  # of labels only; not used for maps
            self._ops.accumulate(self._maps[step], peaks, maps, None, self._blend, window)

    def count(self, window: Window) -> None:
        """Add a window's blending weights, shared by all steps: once for each pass (mirror image, network)."""
        _, height, width = self._size
        for here, slots in self._parts(window.z):
            self._weights[slots, window.y : window.y + height, window.x : window.x + width].add_(self._blend[here])

    def finish(self, until: int) -> Iterator[ScorePlane]:
        """Yield the planes before ``until``, ascending, each with the labels that may win there, and set them to 0.

        Voxels that no window covered are background, and NaN in maps.
        """
        while self._first < until:
            slot = self._first % self._depth
            here = self._may_win(slot)
            maps = self._take_maps(slot)
            labels = self._labels[self._may_win_near(here, until)]
            yield replace(self._ops.take_plane(self._sums, self._weights, slot, labels), maps=maps)
            self._weights[slot].zero_()
            self._peaks[:, slot] = 0.0
            self._first, self._before = self._first + 1, here

    def _take_maps(self, slot: int) -> Tensor | None:
        """Return the means of the scalar maps on one plane, (S, M, Y, X), and set their sums to 0."""
        if self._maps is None:
            return None
        maps = self._maps[:, :, slot] / self._weights[slot]  # 0/0 is NaN
        self._maps[:, :, slot] = 0.0
        return maps

    def _may_win(self, slot: int) -> Mask:
        """Return which labels (K,) may win on a plane; the background always may, where there is no window."""
        mask: Mask = self._peaks[:, slot] >= self._least
        mask[0] = True
        return mask

    def _may_win_near(self, here: Mask, until: int) -> Mask:
        """Return which labels (K,) may win on a plane or next to it; all where a neighbour is not complete."""
        after = self._first + 1
        if self._every_label:
            return np.ones_like(here)
        return self._before | here | self._may_win(after % self._depth) if after < until else np.ones_like(here)

    def _parts(self, z: int) -> tuple[tuple[slice, slice], ...]:
        """Return (planes of the window, slots of the ring), in two parts where the window passes the ring's end."""
        deep, turn = self._size[0], z % self._depth
        room = self._depth - turn
        if deep <= room:
            return ((slice(0, deep), slice(turn, turn + deep)),)
        return ((slice(0, room), slice(turn, self._depth)), (slice(room, deep), slice(0, deep - room)))
