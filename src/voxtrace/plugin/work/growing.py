"""An answer that can be seen while it is computed: labels that fill up slab by slab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.plugin.layers import display
from voxtrace.plugin.models.messages import ProvisionalAnswer
from voxtrace.volume import Geometry, LabelMap

if TYPE_CHECKING:
    from voxtrace.inference import Progress


class GrowingAnswer:
    """The labels of the slices that are finished so far, and the layer that shows them.

    A job's thread writes into the array; the window draws one of its slices at a time.

    Parameters
    ----------
    geometry
        Where the labels lie.
    names
        Label value -> name, without background.
    name, scan
        Name of the result, and unique id of the layer it belongs to.
    """

    def __init__(self, geometry: Geometry, names: Mapping[int, str], name: str, scan: str) -> None:
        dtype = np.uint8 if max(names, default=0) < 256 else np.uint16
        self.labels = np.zeros(geometry.shape, dtype)
        self.slices = 0
        data, about, kind = display.label_layer(LabelMap(self.labels, geometry, names, name=f"{name} · running"))
        self.layer = ProvisionalAnswer((data, about, kind))

    def take(self, progress: Progress) -> int:
        """Store the planes that a progress event of the engine carries; return how many slices are finished."""
        if (planes := progress.planes) is not None:
            answer = planes.labels[-1]
            self.labels[planes.z0 : planes.z0 + len(answer)] = answer
            self.slices = planes.z0 + len(answer)
        return self.slices
