"""Post-processing of a label map: which pieces of each label stay.

A piece is a set of voxels of one label that touch, at a corner at least (26 neighbours). What is removed becomes
background. The rule of a label, in words:

===========  ===================================================
``none``     every piece stays
``largest``  the largest piece stays, the first of equal ones
``100``      pieces of at least 100 mm³ stay
===========  ===================================================

Which rule a bundle has is chosen on its held-back cases, as nnU-Net does; see :mod:`voxtrace.fit.piece_choice`.

References
----------
Isensee, Jaeger, Kohl, Petersen, Maier-Hein. nnU-Net. Nature Methods 2021: "empirical" post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its parts are loaded where they are used

from voxtrace.errors import UsageError
from voxtrace.volume import Array

NONE, LARGEST = "none", "largest"
_TOUCHING = np.ones((3, 3, 3), bool)
_ROUNDING = 1e-6  # of a piece's size; 10 voxels of 0.1 mm³ are 1 mm³


@dataclass(frozen=True)
class PieceRule:
    """Which pieces of a label stay: the largest alone, or those of a least size in mm³; by default all."""

    largest: bool = False
    least_mm3: float = 0.0

    @property
    def word(self) -> str:
        """The rule as :meth:`of` takes it."""
        return LARGEST if self.largest else f"{self.least_mm3:g}" if self.least_mm3 else NONE

    @classmethod
    def of(cls, word: str) -> PieceRule | None:
        """Return the rule that a word stands for; None where it stands for none."""
        if word in (NONE, LARGEST):
            return cls(largest=word == LARGEST)
        try:
            least = float(word)
        except ValueError:
            return None
        return cls(least_mm3=least) if 0 < least < math.inf else None

    def staying(self, voxels: Array, voxel_mm3: float) -> Array:
        """Return which of some pieces stay, (pieces,) bool, given their voxels (pieces,) and the size of a voxel."""
        if self.largest:
            return np.asarray(np.arange(len(voxels)) == np.argmax(voxels)) if len(voxels) else np.zeros(0, bool)
        return np.asarray(voxels * voxel_mm3 >= self.least_mm3 * (1.0 - _ROUNDING))


@dataclass(frozen=True, eq=False)
class Pieces:
    """The pieces of one label.

    Attributes
    ----------
    box
        Where the label lies, as slices of the label map; None where it does not occur.
    numbers
        (Z, Y, X) of the box: the number of each voxel's piece from 1, 0 elsewhere.
    voxels
        (pieces,) voxels of each.
    """

    box: tuple[slice, ...] | None
    numbers: Array
    voxels: Array

    @classmethod
    def of(cls, labels: Array, value: int) -> Pieces:
        """Return the pieces of a label value in a label map (Z, Y, X)."""
        mask = labels == value
        found = scipy.ndimage.find_objects(mask.astype(np.uint8))
        if not found:
            return cls(None, np.zeros((0, 0, 0), np.int32), np.zeros(0, np.int64))
        numbers, count = scipy.ndimage.label(mask[found[0]], _TOUCHING)
        return cls(tuple(found[0]), numbers, np.bincount(numbers.ravel(), minlength=count + 1)[1:])

    def removed(self, rule: PieceRule, voxel_mm3: float) -> Array:
        """Return which voxels of the box (Z, Y, X) a rule removes."""
        goes = np.concatenate([[False], ~rule.staying(self.voxels, voxel_mm3)])
        return np.asarray(goes[self.numbers])


def parse_rules(text: str, names: Mapping[int, str]) -> dict[int, PieceRule]:
    """Return label value -> rule of a text such as ``largest``, or ``largest,aorta=none,lesion=50``.

    Labels without a rule of their own have the one without a name; those that keep every piece are left out.

    Parameters
    ----------
    text
        Rules with commas between them, each with ``LABEL=`` before it or for all labels.
    names
        Label value -> name of the foreground.

    Raises
    ------
    UsageError
        A rule or a label that does not exist.
    """
    known = {name: value for value, name in names.items()}
    found = dict.fromkeys(names, PieceRule())
    parts = [part.strip().rpartition("=") for part in text.split(",")]
    for name, _, word in sorted(parts, key=lambda part: bool(part[0])):
        rule = PieceRule.of(word)
        if rule is None:
            raise UsageError(
                f"post-processing {text!r} has the rule {word!r}; expected none, largest or a least size in mm³, e.g. "
                "largest,aorta=none."
            )
        if name and name not in known:
            raise UsageError(f"post-processing {text!r} names {name!r}; the labels are {', '.join(known)}.")
        found |= dict.fromkeys([known[name]] if name else names, rule)
    return {value: rule for value, rule in found.items() if rule != PieceRule()}


def remove_pieces(
    labels: Array, rules: Mapping[int, PieceRule], voxel_mm3: float
) -> tuple[Array, dict[int, dict[str, Any]]]:
    """Return a label map (Z, Y, X) without the pieces that rules remove, and what went of each label.

    The labels are looked at one by one in what was given, so that their order does not matter. Of each label with a
    rule, by value: ``rule``, ``pieces`` removed and their volume ``removed_ml``. ``labels`` is not changed.
    """
    result, report = labels.copy(), {}
    for value, rule in rules.items():
        pieces = Pieces.of(labels, value)
        gone = pieces.voxels[~rule.staying(pieces.voxels, voxel_mm3)]
        if len(gone) and pieces.box is not None:
            result[pieces.box][pieces.removed(rule, voxel_mm3)] = 0
        removed_ml = round(int(gone.sum()) * voxel_mm3 / 1000.0, 6)
        report[value] = {"rule": rule.word, "pieces": len(gone), "removed_ml": removed_ml}
    return result, report
