"""How Med-DANet trains: Adam, a linear rise over one epoch, then a fall by the power 0.9; the bank, then D.

As published but where it says (ours): for short runs, and for how D's phase is split.

References
----------
Wang et al., "Med-DANet: Dynamic Architecture Network for Efficient Medical Volumetric Segmentation", ECCV 2022,
arXiv:2206.06575.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from voxtrace.method import Augmentation, Optimiser, Phase
from voxtrace.nn.model_bank import CANDIDATES
from voxtrace.plan import Plan

LEAST_WARM_UP = 100  # updates
BANK, PRESENCE, ROUTER = "bank", "presence", "router"  # names of the phases
DECISION_WEIGHTS = "router."  # how the names of D's weights begin
LAST_LAYER, LAST_LAYER_SHARE = "router.classify.", 8  # of D; it has an eighth of D's updates
AUGMENTATION = Augmentation(rotation_p=0.0, scale_p=0.0, intensity="linear")
TURNED = replace(AUGMENTATION, rotation_p=0.2, scale_p=0.2, flat_rotation_degrees=30.0)
STRONG = replace(TURNED, rotation_p=1.0, scale_p=1.0, scale=(0.6, 2.0), elastic_p=0.3, intensity="full")
SHIFT = 0.3  # of the window, the most that STRONG moves it
BANK_EPOCHS, DECISION_EPOCHS = 400, 50
PUBLISHED_UPDATES = 400 * 536  # epochs × (4/5 of 335 cases × 128 slices / 64 in an update)
LEAST_DECISION = 300  # updates of D
LEAST_TENTHS = 3  # of a short run, or of a limited time, for D
DECISION_BATCH, DECISION_RATE = 64, 1e-2  # slices in an update of D, and its first rate
FINE = 0.1  # of the first rate, where D has learned before
LEAST_CASES = 5  # fewer are all learned in all phases


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


def published_rate(iterations: int) -> float:
    """Return the bank's first rate: 1e-4, times the root of how much shorter the run is, at most 20 times (ours)."""
    return 1e-4 * min(20.0, max(1.0, math.sqrt(PUBLISHED_UPDATES / iterations)))


def decision_updates(iterations: int) -> int:
    """Return how many updates of a run are D's: 50 of 450 parts, at least 300 or three tenths of a short run (ours).

    Examples
    --------
    >>> decision_updates(4500), decision_updates(1000), decision_updates(160)
    (500, 300, 48)
    """
    part = round(iterations * DECISION_EPOCHS / (BANK_EPOCHS + DECISION_EPOCHS))
    return max(1, part, min(LEAST_DECISION, iterations * LEAST_TENTHS // 10))


def varied(variation: str, plan: Plan) -> Augmentation:
    """Return how slices vary: as published, ``turned`` as well, or ``strong``, where cases are few (both ours)."""
    if variation == "strong":
        _, y, x = plan.window
        return replace(STRONG, shift_voxels=(0, round(SHIFT * y), round(SHIFT * x)))
    return TURNED if variation == "turned" else AUGMENTATION


def bank_phase(iterations: int, plan: Plan, held_out: float, rate: float, variation: str) -> Phase:
    """Return the bank's phase, on the cases that D does not learn to choose on."""
    return Phase(
        BANK,
        iterations,
        trains=tuple(f"{name}." for name in CANDIDATES),
        case_weight=partial(in_part, held_out=held_out, unseen=False),
        optimiser=adam(rate, BANK_EPOCHS),
        augmentation=varied(variation, plan),
    )


def decision_phases(
    iterations: int, plan: Plan, held_out: float, variation: str, last_layer: bool
) -> tuple[Phase, ...]:
    """Return D's phases: where anything is, on all cases, then D* on those that the bank has not seen.

    In the latter its last layer may learn alone (ours): few cases do not undo then what it has learned of all.
    """
    variation = "paper" if variation == "turned" else variation  # flips and intensities as published
    choices = max(1, iterations // LAST_LAYER_SHARE) if last_layer else iterations - iterations // 2
    presence = Phase(
        PRESENCE,
        iterations - choices,
        trains=DECISION_WEIGHTS,
        optimiser=adam(DECISION_RATE, DECISION_EPOCHS),
        augmentation=varied(variation, plan),  # D* is that of the slice as D sees it
        foreground=0.0,  # and as often as it sees them
        batch_size=max(DECISION_BATCH, plan.batch_size),
        least_time_fraction=LEAST_TENTHS / 20,
    )
    unseen = partial(in_part, held_out=held_out, unseen=True)
    choice = replace(presence, name=ROUTER, iterations=choices, case_weight=unseen)
    if held_out == 0 or not presence.iterations:
        return (replace(choice, iterations=iterations, least_time_fraction=LEAST_TENTHS / 10),)
    choice = replace(choice, trains=LAST_LAYER if last_layer else DECISION_WEIGHTS)
    return presence, replace(choice, optimiser=adam(FINE * DECISION_RATE, DECISION_EPOCHS))


def in_part(scores: Mapping[str, float], progress: float, held_out: float, unseen: bool) -> float:
    """Return 1 for a case of the part that the bank has not seen (``unseen``), or of the others, else 0.

    Below 5 cases, and where ``held_out`` is 0, every case is in both parts.
    """
    if held_out == 0 or scores["cases"] < LEAST_CASES:
        return 1.0
    return float((scores["place"] > 1.0 - held_out) == unseen)
