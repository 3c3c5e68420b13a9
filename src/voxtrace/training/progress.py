"""Progress events of a training, free of torch, so that a front end can name them before torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxtrace.volume import LabelMap


@dataclass(frozen=True)
class TrainProgress:
    """Where a training is.

    Attributes
    ----------
    phase
        ``"plan"`` (reading cases to plan for them), ``"compare"`` (with those of a bundle that is finished),
        ``"prepare"`` (preprocessing them), ``"before"`` (validating the weights to start from), a phase of the method,
        ``"validate"``, ``"match"`` (finding offsets that match volumes) or ``"done"``.
    iteration, total
        How many of how many cases or updates of this phase are done.
    loss
        The terms of the last update's loss; their sum is minimised.
    rate
        Learning rate of the last update.
    validation_dice, dice_per_label
        Mean foreground Dice of a few whole cases, where it was just measured, and that of each label by name.
    iterations_per_s
        Of the last updates; 0 where it is not known.
    seconds
        Since this process started or resumed the training.
    preview
        Where a Dice was just measured, the labels of the first of these cases: the same case each time.
    message
        A sentence for the user; empty where the numbers say it all.
    """

    phase: str
    iteration: int
    total: int
    loss: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0
    validation_dice: float | None = None
    dice_per_label: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    iterations_per_s: float = 0.0
    message: str = ""
    preview: LabelMap | None = field(default=None, compare=False, repr=False)
