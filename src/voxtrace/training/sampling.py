"""Mini-batches of windows; each is a pure function of (seed, phase, iteration, progress).

No state is kept between mini-batches, so a resumed run sees the windows that an uninterrupted one would have seen,
with any number of worker processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from voxtrace.errors import DatasetError
from voxtrace.method import Phase
from voxtrace.plan import Plan, Shape
from voxtrace.training.augment import Augmenter
from voxtrace.training.curriculum import with_places
from voxtrace.training.preprocessed import PreprocessedCase, cut
from voxtrace.training.schedule import position
from voxtrace.volume import Array


class MiniBatches(Dataset[tuple[Tensor, Tensor]]):
    """Mini-batches of one phase, by iteration: images (B, C, Z, Y, X) float32 and labels (B, Z, Y, X) int64.

    Of a mini-batch of ``parts`` times B windows, that several processes share, these are those of one ``part``.
    """

    def __init__(
        self,
        cases: Sequence[PreprocessedCase],
        plan: Plan,
        phase: Phase,
        seed: Sequence[int],
        part: int = 0,
        parts: int = 1,
    ) -> None:
        self.part, self.parts = part, parts
        self.cases = tuple(cases)
        self.scores = with_places([case.scores for case in self.cases])
        self.plan = plan
        self.phase = phase
        self.seed = tuple(seed)
        self.batch_size = windows_in_update(plan, phase, parts)
        self.augmenter = Augmenter(plan, phase.augmentation)

    def __len__(self) -> int:
        return self.phase.iterations

    def __getitem__(self, when: int | tuple[int, float]) -> tuple[Tensor, Tensor]:
        """Return the mini-batch of an iteration, at the progress 0 to 1 through the phase if that is given with it."""
        iteration, progress = when if isinstance(when, tuple) else (when, self._progress(when))
        rng = np.random.default_rng([*self.seed, iteration])
        batch = self.batch_size * self.parts
        chosen = rng.choice(len(self.cases), batch, p=self._chances(progress))
        # the last windows of a batch are centred on a labelled voxel, as many as the phase asks for
        forced = np.arange(batch) >= round(batch * (1 - self.phase.foreground))
        # all are placed, which is quick, so that every process draws the same; only its own are read
        places = [self._place(self.cases[c], bool(f), rng) for c, f in zip(chosen, forced, strict=True)]
        own = slice(self.part * self.batch_size, (self.part + 1) * self.batch_size)
        windows = [self._window(self.cases[c], *place) for c, place in zip(chosen[own], places[own], strict=True)]
        images, labels = zip(*windows, strict=True)
        return torch.stack(images), torch.stack(labels)

    def chances(self, iteration: int) -> Array:
        """Return the probability (cases,) with which each case is drawn at an iteration of a run without a limit."""
        return self._chances(self._progress(iteration))

    def _progress(self, iteration: int) -> float:
        return iteration / self.phase.iterations

    def _chances(self, progress: float) -> Array:
        weights = np.array([self.phase.case_weight(scores, progress) for scores in self.scores], dtype=np.float64)
        if not weights.sum() > 0:
            raise DatasetError(
                f"no case has the scores that phase {self.phase.name!r} trains on; lower its threshold, "
                "or score the cases."
            )
        chances: Array = weights / weights.sum()
        return chances

    def _place(self, case: PreprocessedCase, forced: bool, rng: np.random.Generator) -> tuple[list[int], int]:
        """Return where the box around a window begins, and the seed of its augmentation."""
        start = draw_start(case.labels.shape, self.plan.window, _centre(case, forced, rng), rng)
        size = self.augmenter.box_size
        shift = [int(rng.integers(-most, most + 1)) if most else 0 for most in self.phase.augmentation.shift_voxels]
        # the box of the augmenter is larger than the window, which lies in its middle
        around = [a + s - (b - w) // 2 for a, s, b, w in zip(start, shift, size, self.plan.window, strict=True)]
        return around, int(rng.integers(2**31))

    def _window(self, case: PreprocessedCase, around: list[int], seed: int) -> tuple[Tensor, Tensor]:
        size = self.augmenter.box_size
        box = torch.from_numpy(cut(case.image, around, size))
        truth = torch.from_numpy(cut(case.labels, around, size).astype(np.int16))
        return self.augmenter(box, truth, seed)


class InTime:
    """The iterations of a phase from the first on, each with the progress through the phase when it is drawn.

    Where time ends the phase, progress follows the time, so that a curriculum reaches its end; processes that prepare
    windows ahead see it as many windows late. ``spent`` gives the fraction of the time that is over, 0 without a limit.
    """

    def __init__(self, first: int, iterations: int, spent: Callable[[], float]) -> None:
        self.first, self.iterations, self.spent = first, iterations, spent

    def __len__(self) -> int:
        return max(0, self.iterations - self.first)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        for iteration in range(self.first, self.iterations):
            yield iteration, position(iteration, self.spent(), self.iterations) / self.iterations


def windows_in_update(plan: Plan, phase: Phase, processes: int = 1) -> int:
    """Return how many windows one process draws for an update of a phase.

    The plan's number is that of each process; a phase's own is that of all together, rounded up.
    """
    return math.ceil(phase.batch_size / processes) if phase.batch_size else plan.batch_size


def draw_start(shape: Sequence[int], window: Shape, centre: Array | None, rng: np.random.Generator) -> list[int]:
    """Return where a window begins: anywhere inside, or as close to centred on ``centre`` as the borders allow.

    Along an axis shorter than the window there is one start, the same that inference pads to: the case in the middle,
    an odd voxel of padding behind it.
    """
    start = []
    for axis, (n, w) in enumerate(zip(shape, window, strict=True)):
        lowest = -(max(0, w - n) // 2)
        highest = max(lowest, n - w)
        wanted = rng.integers(lowest, highest + 1) if centre is None else centre[axis] - w // 2
        start.append(int(np.clip(wanted, lowest, highest)))
    return start


def _centre(case: PreprocessedCase, forced: bool, rng: np.random.Generator) -> Array | None:
    """Return the voxel (z, y, x) that a window is centred on, or None for a window anywhere.

    Forced: a random voxel of a random label of the case. Otherwise, and where no label is drawn, anywhere; in a case
    with ignored voxels, around one of the others, each as likely, whatever its label.
    """
    rows = case.foreground
    shown, annotated = rows[rows[:, 0] > 0], rows[rows[:, 0] == 0]
    if forced and len(shown):
        annotated = shown[shown[:, 0] == rng.choice(np.unique(shown[:, 0]))]
    if not len(annotated):
        return None
    centre: Array = annotated[rng.integers(len(annotated)), 1:]
    return centre
