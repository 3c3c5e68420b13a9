"""The one engine: a bundle and a volume in, labels and a trace out, in memory that does not grow with the scan.

Stages, in the order in which voxels pass through; nothing but the first and the last is held whole::

    volume ──▶ planes on the network grid ──▶ windows ──▶ probabilities of each step ──▶ slab ──▶ labels
    (input)    normalised (preprocess)        a row        mirrored or not                 only      (output)
                                              at a time    (decide)                        planes that a
                                                                                           window still covers
"""

from __future__ import annotations

from voxtrace.inference.engine import Progress, Result, predict, segment
from voxtrace.inference.members import agree

__all__ = ["Progress", "Result", "agree", "predict", "segment"]
