"""Validation that finds out how many steps are best, of methods whose every step is the answer of so many steps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from voxtrace.bundle import Bundle
from voxtrace.fit.step_choice import CHOSEN_STEPS, best_step, chosen_words, steps_to_take
from voxtrace.method import Method
from voxtrace.training.progress import TrainProgress
from voxtrace.training.validation import Validation, validate_cases
from voxtrace.volume import Case


def validate_steps(
    bundle: Bundle,
    cases: Sequence[Case],
    device: str,
    cancel: Callable[[], bool],
    keep: bool = False,
    margins: bool = False,
) -> Generator[TrainProgress, None, tuple[Validation | None, Method]]:
    """Yield progress while cases are validated with all steps, and again with fewer where those are better.

    Return the validation of what predictions will give, and the method with as many steps. ``keep`` takes all of them,
    whatever is best; ``margins`` keeps what matches volumes.
    """
    validation = yield from validate_cases(bundle, cases, device, cancel, margins=margins)
    method = bundle.method
    dice = validation.step_dice if validation else []
    if validation is None or not method.stops_anywhere or len(dice) != method.steps or not best_step(dice):
        return validation, method
    taken = method.steps if keep else steps_to_take(dice)
    if taken != method.steps:
        method = method.with_steps(taken)
        fewer = yield from validate_cases(replace(bundle, method=method), cases, device, cancel, margins=margins)
        assert fewer is not None
        validation = fewer
    if len(dice) == 1:
        return validation, method
    told = {"best": best_step(dice), "taken": taken, "of": len(dice), "word": method.step_word}
    yield TrainProgress("validate", len(cases), len(cases), message=chosen_words(told))
    return replace(validation, step_choice={"dice_per_step": dice, CHOSEN_STEPS: told}), method
