"""How the Med-DANet paper trains: Adam, a linear rise over one epoch, then a fall by the power 0.9.

References
----------
Wang et al., "Med-DANet: Dynamic Architecture Network for Efficient Medical Volumetric Segmentation", ECCV 2022,
arXiv:2206.06575.
"""

from __future__ import annotations

from functools import partial

from voxtrace.method import Optimiser

LEAST_WARM_UP = 100  # updates


def warmed_poly(iteration: int, iterations: int, epochs: int) -> float:
    """Return the fraction of the first rate: linear over the first of ``epochs``, then (1 − progress)^0.9.

    Progress counts from the end of the first epoch. In short runs an epoch is a few updates; there the rise takes
    100 updates, or a tenth of the run (ours): without it, labels vanish from an answer at the start and stay away.

    Examples
    --------
    >>> [round(warmed_poly(i, 400, 4), 3) for i in (0, 49, 99, 100, 250)]
    [0.01, 0.5, 1.0, 1.0, 0.536]
    """
    warm = max(1, round(iterations / epochs), min(LEAST_WARM_UP, iterations // 10))
    if iteration < warm:
        return (iteration + 1) / warm
    return float((1.0 - (iteration - warm) / (iterations - warm)) ** 0.9)


def adam(rate: float, epochs: int) -> Optimiser:
    """Return Adam as published (amsgrad and L2 as in the successor's code), warmed up over the first of ``epochs``."""
    schedule = partial(warmed_poly, epochs=epochs)
    return Optimiser(kind="adam", rate=rate, weight_decay=1e-5, amsgrad=True, schedule=schedule)
