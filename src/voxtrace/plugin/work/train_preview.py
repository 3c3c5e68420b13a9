"""A held-back case as it is learned: after each validation its labels, as a step of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from voxtrace.plugin.layers import display
from voxtrace.plugin.models.messages import TrainPreview
from voxtrace.trace import Trace
from voxtrace.volume import Case, LabelMap, Volume

MOST_BYTES = 2**28  # of all label maps together; a longer or larger preview ends there


class PreviewRecorder:
    """Collects the label maps of one case, and makes layers of them; ``cases`` are those held back, unread."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases, self._maps = cases, list[LabelMap]()

    def add(self, labels: LabelMap) -> TrainPreview | None:
        """Return the layers with one more step; None where they would take too much memory."""
        if labels.data.size * (len(self._maps) + 1) > MOST_BYTES:
            return None
        self._maps.append(replace(labels, data=labels.data.astype(np.uint8)))
        scan = tuple(display.image_layers(self._scan())) if len(self._maps) == 1 else ()
        return TrainPreview(scan, display.trace_layer(self.trace(), f"{labels.name} · learned"))

    def _scan(self) -> Volume:
        volume = self._cases[0].volume
        return replace(volume, name=self._maps[0].name)

    def trace(self) -> Trace:
        """Return the steps so far as a trace."""
        last = self._maps[-1]
        return Trace(
            labels=np.stack([one.data for one in self._maps]),
            facts={},
            windows=np.zeros((0, 6), np.int64),
            units={},
            geometry=last.geometry,
            names={0: "background", **last.names},
            step_word="validation",
        )
