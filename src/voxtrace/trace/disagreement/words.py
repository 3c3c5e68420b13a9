"""Sentences about answers that differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxtrace.trace.disagreement.answers import Answers
from voxtrace.volume import Array

_MOST_NAMED = 3  # steps that are named one by one
_NOTABLE = 0.1  # a step is named where it changed this fraction of a place


def what_differs(answers: Answers, values: Array, label: int, other: int) -> str:
    """Return what disagrees about a place, e.g. "3 of 5 seeds say tumour".

    Parameters
    ----------
    values
        (R, n) the label that each answer gives each voxel.
    label, other
        What is shown, and what the other side says, in most of the voxels.
    """
    if answers.kind == "steps":
        return _when_changed(answers, values)
    if answers.kind == "choices":
        return f"the network nearly said {answers.name_of(other)}"
    if answers.kind == "results" and len(values) == 2:
        said = (answers.name_of(_commonest(row)) for row in values)
        return "; ".join(f"{name} says {label}" for name, label in zip(answers.row_names, said, strict=True))
    return _who_says(answers, values, label, other)


def undecided(undecided_ml: float, answer_ml: float, name: str) -> str:
    """Return how much of a label is undecided.

    >>> undecided(12.04, 148.3, "liver")
    '12.0 mL of 148 mL liver undecided'
    """
    return f"{ml_text(undecided_ml)} of {ml_text(answer_ml)} {name} undecided"


def ml_text(ml: float) -> str:
    """Return a volume with two or three significant digits.

    >>> ml_text(1.618), ml_text(16.18), ml_text(1618)
    ('1.62 mL', '16.2 mL', '1,618 mL')
    """
    return f"{ml:,.0f} mL" if ml >= 99.95 else f"{ml:.1f} mL" if ml >= 9.995 else f"{ml:.2f} mL"


def listed(words: Sequence[str]) -> str:
    """Return words with commas and "and".

    >>> listed(["5", "6", "7"])
    '5, 6 and 7'
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _who_says(answers: Answers, values: Array, label: int, other: int) -> str:
    rows, noun = len(values), answers.noun
    said = [value for value in (label, other) if value]  # structures are told rather than background
    votes = [int(np.count_nonzero((values == value).mean(1) >= 0.5)) for value in said]
    if sum(votes) == 0 or max(votes) == rows:
        return f"the {rows} {noun} draw {answers.name_of(said[0])} differently"
    if answers.kind == "results" and min(votes) == 1:
        return _by_name(answers, values, said)
    (most, first), *rest = [(n, answers.name_of(value)) for n, value in zip(votes, said, strict=True) if n]
    told = [f"{most} of {rows} {noun} say{'s' * (most == 1)} {first}"]
    return ", ".join(told + [f"{n} say{'s' * (n == 1)} {name}" for n, name in rest])


def _by_name(answers: Answers, values: Array, said: Sequence[int]) -> str:
    """Return who says what, by name: one result against the others."""
    told = []
    for value in said:
        rows = [name for name, row in zip(answers.row_names, values, strict=True) if (row == value).mean() >= 0.5]
        who = rows[0] if len(rows) == 1 else f"{len(rows)} of {len(values)}"
        if rows:
            told.append(f"{who} say{'s' * (len(rows) == 1)} {answers.name_of(value)}")
    return ", ".join(told)


def _when_changed(answers: Answers, values: Array) -> str:
    fraction = (values[1:] != values[:-1]).mean(1)
    changed = np.flatnonzero(fraction >= min(_NOTABLE, float(fraction.max()))) + 1
    word = answers.row_names[0].rpartition(" ")[0]
    numbers = [answers.row_names[step].rpartition(" ")[2] for step in changed]
    if len(numbers) <= _MOST_NAMED:
        return f"changed at {word} {listed(numbers)}"
    return f"changed at {len(numbers)} of the last {len(values) - 1} {word}s, last at {word} {numbers[-1]}"


def _commonest(row: Array) -> int:
    return int(np.bincount(row).argmax())
