"""Which images a bundle's weights have learned, so that no case that judges them is one of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtrace.bundle import Bundle
from voxtrace.errors import DatasetError
from voxtrace.fit.card_sections import LEARNED
from voxtrace.training.identity import few, identify, unread
from voxtrace.volume import Case


def learned_images(card: Mapping[str, Any]) -> frozenset[str]:
    """Return the SHA-256 of every image that training lists, and of those that the bundle before had learned."""
    made = card.get("provenance", {})
    own = (image for case in made.get("training", ()) for image in case["images"])
    return frozenset(own) | frozenset(made.get("initial", {}).get(LEARNED, ()))


def refuse_learned(bundle: Bundle, validate: Sequence[Case], instead: str = "") -> None:
    """Refuse held-back cases that a bundle learned: their Dice says nothing of other scans.

    They are where folds were made anew since, or another fold is held back in fine-tuning. A case is one that was
    learned where all of its images are: a channel that is missing may be the same file in many. ``instead`` says what
    else to do than to hold back other cases.

    Raises
    ------
    DatasetError
        The images of one are among those that the bundle, or one that it began from, lists.
    """
    if not (learned := learned_images(bundle.card)):
        return
    found = [identify(unread(validate, number)) for number in range(len(validate))]
    if known := [case.name for case in found if learned.issuperset(case.images)]:
        number = bundle.card.get("provenance", {}).get("fold")
        back = (
            f"what it held back (--fold {number}), with the same dataset and folds, or " if number is not None else ""
        )
        raise DatasetError(
            f"{bundle.name} was trained on {few(known)} of the cases held back now, so that they tell nothing; "
            f"{instead or f'hold back {back}none'}."
        )
