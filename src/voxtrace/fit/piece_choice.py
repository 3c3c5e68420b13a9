"""Which pieces of each label a bundle keeps: chosen on held-back cases, as nnU-Net does.

A rule is chosen for a label where it raises the mean Dice over the held-back cases and does not lower the mean NSD;
of several, the one with the highest Dice, then NSD. Cases count in which the reference or the untouched answer has the
label; where a rule removes all of a label that the reference does not have, its Dice and NSD are 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtrace.fit.pieces import NONE, PieceRule
from voxtrace.metrics import Scores

FEWEST_CASES = 5
LEAST_MM3 = (10.0, 30.0, 100.0, 300.0, 1000.0)
CANDIDATES = (PieceRule(largest=True), *(PieceRule(least_mm3=size) for size in LEAST_MM3))
_GAIN = 1e-4  # of the mean Dice: less is not seen in the card

Row = Mapping[str, float]  # n, dice and nsd: the number of cases, and their means


def tried_rules(cases: Sequence[Mapping[str, Scores]]) -> dict[str, dict[str, float]]:
    """Return word of a rule -> number of cases, and mean Dice and NSD over them.

    ``cases`` has, for each case with the label, the scores by a rule's word; a rule that a case lacks changes nothing
    there, so that it has those of ``none``.
    """
    words = [NONE, *(rule.word for rule in CANDIDATES)]
    if not cases:
        return {}
    return {
        word: {
            "n": len(cases),
            "dice": round(float(np.mean([case.get(word, case[NONE]).dice for case in cases])), 6),
            "nsd": round(float(np.mean([case.get(word, case[NONE]).nsd for case in cases])), 6),
        }
        for word in words
    }


def chosen_rule(tried: Mapping[str, Row]) -> str:
    """Return the word of the rule that is best by what :func:`tried_rules` returned; ``none`` with too few cases."""
    if not tried or tried[NONE]["n"] < FEWEST_CASES:
        return NONE
    before = tried[NONE]
    better = [
        word for word, row in tried.items() if row["dice"] >= before["dice"] + _GAIN and row["nsd"] >= before["nsd"]
    ]
    return max(better, key=lambda word: (tried[word]["dice"], tried[word]["nsd"]), default=NONE)


def pooled_rules(records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the ``post_processing`` of several folds together, from those of their cards; None where one has none."""
    found = [record.get("post_processing") for record in records]
    if not found or any(one is None for one in found):
        return None
    tried = {
        name: pooled
        for name in dict.fromkeys(name for one in found if one for name in one["tried"])
        if (pooled := _together([one["tried"][name] for one in found if one and name in one["tried"]]))
    }
    return piece_record(tried)


def piece_record(tried: Mapping[str, Mapping[str, Row]]) -> dict[str, Any]:
    """Return what a bundle records as ``post_processing``: rules by label, and what was tried (label -> rule -> row).

    Labels that keep every piece have no rule.
    """
    chosen = {name: chosen_rule(rows) for name, rows in tried.items()}
    return {"labels": {name: word for name, word in chosen.items() if word != NONE}, "tried": dict(tried)}


def _together(several: Sequence[Mapping[str, Row]]) -> dict[str, dict[str, float]]:
    """Return rows of several folds as one: means over all their cases."""
    words = [word for word in several[0] if all(word in rows for rows in several)]
    counts = np.asarray([rows[NONE]["n"] for rows in several], float)
    return {
        word: {
            "n": int(counts.sum()),
            **{
                part: round(float(np.average([rows[word][part] for rows in several], weights=counts)), 6)
                for part in ("dice", "nsd")
            },
        }
        for word in words
    }
