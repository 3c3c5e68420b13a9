"""LabelWriter: results of windows go in, labels and maps on the input's grid come out, plane by plane in ascending z.

::

    windows ──▶ accumulator ──▶ resampling ──▶ placer ──▶ recorder
                     └───── in a thread, while the network computes the next windows ─────┘
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat

import torch
from torch import Tensor

from voxtrace.inference.accumulator import PlaneAccumulator
from voxtrace.inference.cancel_check import CancelCheck
from voxtrace.inference.malloc_trim import trim_heap
from voxtrace.inference.probabilities import ProbabilityPlanes
from voxtrace.inference.resample_back import LabelResampler
from voxtrace.inference.resample_maps import MapResampler
from voxtrace.inference.score_plane import ScorePlane
from voxtrace.inference.second_choice import SecondChoice
from voxtrace.inference.step_runner import Logits
from voxtrace.inference.timing import StageTimer
from voxtrace.preprocess import LabelPaster
from voxtrace.trace import Recorder
from voxtrace.volume import Array
from voxtrace.windows import Window


@dataclass(frozen=True)
class PlaneOutput:
    """What turns network planes into recorded planes of the input; ``maps`` is None where the method has none.

    ``probabilities`` shows those of the last step to whoever asked for them; ``second`` is None where the second choice
    is not kept. ``check`` looks before each plane of the input whether to stop.
    """

    labels: LabelResampler
    placer: LabelPaster
    recorder: Recorder
    maps: MapResampler | None = None
    probabilities: ProbabilityPlanes | None = None
    check: CancelCheck = field(default_factory=CancelCheck)
    second: SecondChoice | None = None

    def write(self, plane: ScorePlane) -> None:
        """Record the input planes that a network plane completes."""
        if self.probabilities is not None:
            self.probabilities.push(plane)
        labels = (placed for seen in self.labels.push(plane) for placed in self.placer.push(seen))
        second: Iterator[Array | None] = repeat(None) if self.second is None else self.second.push(plane)
        if self.maps is None or plane.maps is None:
            pairs: Iterator[tuple[Array, Array | None]] = zip(labels, repeat(None), strict=False)
        else:
            # Both complete the same planes; strict also runs the maps to the end of their generator.
            pairs = zip(labels, self.maps.push(plane.maps), strict=True)
        # strict runs the second choice to the end of its generator, too
        for (label_plane, maps), other in self.check.each(zip(pairs, second, strict=self.second is not None)):
            chosen = None if other is None or self.second is None else self.second.labels(other, label_plane)[None]
            self.recorder.add(label_plane[:, None], None if maps is None else maps[:, :, None], second=chosen)


class LabelWriter:
    """Sums up windows and finishes planes in a thread; before the sums change, planes begun are finished."""

    def __init__(
        self, accumulator: PlaneAccumulator, output: PlaneOutput, timer: StageTimer, thread: ThreadPoolExecutor
    ) -> None:
        self._accumulator, self._output, self._timer, self._thread = accumulator, output, timer, thread
        self._begun: Future[None] | None = None

    @classmethod
    @contextmanager
    def opened(cls, accumulator: PlaneAccumulator, output: PlaneOutput, timer: StageTimer) -> Iterator[LabelWriter]:
        """Yield a writer; when the block succeeds all planes that it began to finish are finished."""
        with ThreadPoolExecutor(1, thread_name_prefix="voxtrace-finish") as thread:
            writer = cls(accumulator, output, timer, thread)
            yield writer
            writer.wait()

    def add(self, step: int, window: Window, logits: Logits, b: int) -> None:
        """Add window ``b`` of a batch at one step, or to an extra output, numbered after the steps.

        See :meth:`PlaneAccumulator.add`.
        """
        self.wait()
        with self._timer("blend"):
            self._accumulator.add(step, window, logits, b)

    def add_maps(self, step: int, window: Window, maps: Tensor) -> None:
        """Add scalar maps (M, Z, Y, X) of a window; see :meth:`PlaneAccumulator.add_maps`."""
        self.wait()
        with self._timer("blend"):
            self._accumulator.add_maps(step, window, maps)

    def count(self, window: Window) -> None:
        """Count one pass over a window; see :meth:`PlaneAccumulator.count`."""
        self.wait()
        self._accumulator.count(window)

    def finish(self, until: int) -> None:
        """Begin to turn the planes before ``until``, which no further window covers, into labels."""
        self.wait()
        self._begun = self._thread.submit(self._finish, until)

    def wait(self) -> None:
        """Return when the planes that were begun are finished, or raise the error that stopped them."""
        begun, self._begun = self._begun, None
        if begun is not None:
            self._output.check.result(begun)

    def _finish(self, until: int) -> None:
        with torch.inference_mode(), self._timer("finish"):
            for plane in self._accumulator.finish(until):
                self._output.write(plane)
        trim_heap()  # windows and planes of this row are freed now
