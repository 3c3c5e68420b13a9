"""Output: answers of windows go in, labels come out, plane by plane in ascending z.

::

    answers ──▶ slab ──▶ restorer ──▶ placer ──▶ recorder
                     └───── in a thread, while the network looks at the next windows ─────┘
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat

import torch
from torch import Tensor

from voxtrace.inference.decide import Scores
from voxtrace.inference.maps_to_input import MapsToInput
from voxtrace.inference.plane import Plane
from voxtrace.inference.release import release_freed_memory
from voxtrace.inference.restore import Restorer
from voxtrace.inference.slab import Slab
from voxtrace.inference.watch import Watch
from voxtrace.preprocess import Placer
from voxtrace.trace import Recorder
from voxtrace.volume import Array
from voxtrace.windows import Window


class Output:
    """Sums up answers and finishes planes; whoever adds to the sums waits until those begun are finished."""

    def __init__(
        self,
        slab: Slab,
        restorer: Restorer,
        placer: Placer,
        recorder: Recorder,
        watch: Watch,
        thread: ThreadPoolExecutor,
        maps: MapsToInput | None = None,
    ) -> None:
        self._maps = maps
        self._slab, self._restorer, self._placer, self._recorder = slab, restorer, placer, recorder
        self._watch, self._thread = watch, thread
        self._begun: Future[None] | None = None

    @classmethod
    @contextmanager
    def opened(
        cls,
        slab: Slab,
        restorer: Restorer,
        placer: Placer,
        recorder: Recorder,
        watch: Watch,
        maps: MapsToInput | None = None,
    ) -> Iterator[Output]:
        """Yield an output; when the block succeeds all planes that it began to finish are finished."""
        with ThreadPoolExecutor(1, thread_name_prefix="voxtrace-finish") as thread:
            output = cls(slab, restorer, placer, recorder, watch, thread, maps)
            yield output
            output.wait()

    def add(self, layer: int, window: Window, scores: Scores, b: int) -> None:
        """Add what window ``b`` of a batch says to a layer; see :meth:`Slab.add`."""
        self.wait()
        with self._watch("blend"):
            self._slab.add(layer, window, scores, b)

    def add_maps(self, step: int, window: Window, maps: Tensor) -> None:
        """Add scalar maps (M, Z, Y, X) of a window; see :meth:`Slab.add_maps`."""
        self.wait()
        with self._watch("blend"):
            self._slab.add_maps(step, window, maps)

    def count(self, window: Window) -> None:
        """Count one pass over a window; see :meth:`Slab.count`."""
        self.wait()
        self._slab.count(window)

    def finish(self, until: int) -> None:
        """Begin to turn the planes before ``until``, which no further window covers, into labels."""
        self.wait()
        self._begun = self._thread.submit(self._finish, until)

    def wait(self) -> None:
        """Return when the planes that were begun are finished, or raise what went wrong with them."""
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.result()

    def _finish(self, until: int) -> None:
        with torch.inference_mode(), self._watch("finish"):
            for plane in self._slab.finish(until):
                for labels, maps in self._on_input(plane):
                    self._recorder.add(labels[:, None], None if maps is None else maps[:, :, None])
        release_freed_memory()

    def _on_input(self, plane: Plane) -> Iterator[tuple[Array, Array | None]]:
        """Yield labels (S, Y, X) and maps (S, M, Y, X) of the input planes that a network plane completes."""
        labels = (placed for seen in self._restorer.push(plane) for placed in self._placer.push(seen))
        if self._maps is None or plane.maps is None:
            return zip(labels, repeat(None), strict=False)
        return zip(labels, self._maps.push(plane.maps), strict=True)
