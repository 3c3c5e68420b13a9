"""How many steps a model takes: as many as were best on held-back cases, where a step is the answer had it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

CHOSEN_STEPS = "steps_chosen"  # in a card's validation: best, taken and of so many steps, and the paper's word
LEAST_GAIN = 0.0005  # of mean Dice over the last step; less is no reason to stop earlier


def best_step(dice: Sequence[float | None]) -> int:
    """Return the number of the step with the highest mean Dice, from 1, the first of several; 0 where none is known.

    Examples
    --------
    >>> best_step([0.8744, 0.8757, 0.8721])
    2
    """
    known = [(-value, number) for number, value in enumerate(dice, start=1) if value is not None]
    return min(known)[1] if known else 0


def steps_to_take(dice: Sequence[float | None]) -> int:
    """Return the best step where its Dice is above that of the last by more than 0.0005, else the last.

    Examples
    --------
    >>> steps_to_take([0.8744, 0.8757, 0.8721]), steps_to_take([0.8744, 0.8757, 0.8755])
    (2, 3)
    """
    best = best_step(dice)
    if not best:
        return len(dice)
    last, highest = dice[-1], dice[best - 1]
    return best if last is None or (highest is not None and highest - last > LEAST_GAIN) else len(dice)


def steps_of_all(records: Iterable[Mapping[str, Any]], steps: int) -> int:
    """Return the steps to take by the held-back cases of several models together; ``steps`` where one tells of fewer.

    Each model counts as often as it has cases.
    """
    found = [(record.get("metrics") or {}).get("validation") or {} for record in records]
    rows = [list(one.get("dice_per_step") or ()) for one in found]
    if not rows or any(len(row) != steps or None in row for row in rows):
        return steps
    counts = [int(one.get("cases") or 1) for one in found]
    means = [sum(n * v for n, v in zip(counts, step, strict=True)) / sum(counts) for step in zip(*rows, strict=True)]
    return steps_to_take(means)


def step_words(record: Mapping[str, Any], all_of_them: str = "--steps {of} gives all") -> str:
    """Return which step was best on held-back cases and how many a prediction takes; "" where nothing was chosen.

    ``all_of_them`` says how to get the others, ``{of}`` steps in all.

    Examples
    --------
    >>> told = {"best": 2, "taken": 2, "of": 7, "word": "cycle"}
    >>> step_words({"metrics": {"validation": {"steps_chosen": told}}})
    '2 of 7 cycles were best on validation; predictions take 2; --steps 7 gives all.'
    """
    told = _told(record)
    return chosen_words(told, all_of_them) if told else ""


def best_words(record: Mapping[str, Any]) -> str:
    """Return which step was best on held-back cases, in short; "" where nothing was chosen.

    Examples
    --------
    >>> told = {"best": 2, "taken": 2, "of": 7, "word": "cycle"}
    >>> best_words({"metrics": {"validation": {"steps_chosen": told}}})
    'cycle 2 of 7 is best'
    """
    told = _told(record)
    return f"{told.get('word', 'step')} {told['best']} of {told['of']} is best" if told else ""


def chosen_words(told: Mapping[str, Any], all_of_them: str = "--steps {of} gives all") -> str:
    """Return the sentence of :func:`step_words` for what a card says of the choice."""
    best, taken, of = (int(told[name]) for name in ("best", "taken", "of"))
    word = f"{told.get('word', 'step')}s"
    if best == of:
        return f"All {of} {word} were best on validation; predictions take {taken}."
    first = f"{best} of {of} {word} {'was' if best == 1 else 'were'} best on validation"
    others = all_of_them if taken != of else "--steps changes it" if "--steps" in all_of_them else ""
    return "; ".join(filter(None, (first, f"predictions take {taken}", others.format(of=of)))) + "."


def _told(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return ((record.get("metrics") or {}).get("validation") or {}).get(CHOSEN_STEPS) or {}
