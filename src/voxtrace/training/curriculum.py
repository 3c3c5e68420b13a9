"""Which cases each phase learns, known before any work: from their scores alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtrace.errors import DatasetError
from voxtrace.method import Phase

PROGRESS = (0.0, 0.5, 1.0)  # of a phase, where weights that change with it are looked at


def with_places(scores: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Return the scores of each case, with ``cases``, how many there are, and its ``place``.

    Places are spread evenly over 0..1 in an order that depends on the number of cases alone, so that a phase can leave
    out a fraction of them.

    Examples
    --------
    >>> [case["place"] for case in with_places([{}, {}])], with_places([{}])
    ([0.75, 0.25], [{'cases': 1.0, 'place': 0.5}])
    """
    n = len(scores)
    places = (np.random.default_rng(n).permutation(n) + 0.5) / max(1, n)
    return [{**own, "cases": float(n), "place": float(at)} for own, at in zip(scores, places, strict=True)]


def cases_by_phase(phases: Sequence[Phase], scores: Mapping[str, Mapping[str, float]]) -> dict[str, list[str]]:
    """Return the names of the cases that each phase learns.

    Parameters
    ----------
    phases
        Of the method that is trained.
    scores
        Case name -> its scores, as ``voxtrace score`` wrote them; empty for a case without.

    Raises
    ------
    DatasetError
        A phase would learn no case.
    """
    placed = dict(zip(scores, with_places(tuple(scores.values())), strict=True))
    learned = {
        phase.name: [
            name for name, of_case in placed.items() if any(phase.case_weight(of_case, p) > 0 for p in PROGRESS)
        ]
        for phase in phases
    }
    if empty := [name for name, names in learned.items() if not names]:
        counts = ", ".join(f"{name}: {len(names)}" for name, names in learned.items())
        raise DatasetError(
            f"phase {empty[0]!r} has no case to learn (cases per phase: {counts}); lower its threshold with --set, "
            "or score the cases anew with `voxtrace score`."
        )
    return learned


def drawn_by_any(phases: Sequence[Phase], scores: Sequence[Mapping[str, float]]) -> list[bool]:
    """Return for each case, by its scores, whether any of the phases learns it."""
    placed = with_places(scores)
    return [any(phase.case_weight(of_case, p) > 0 for phase in phases for p in PROGRESS) for of_case in placed]


def learned_cases(phases: Sequence[Phase], scores: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return how many cases each phase, all together, and none learned, where not every phase learned every case."""
    names = cases_by_phase(phases, {str(number): of_case for number, of_case in enumerate(scores)})
    if all(len(cases) == len(scores) for cases in names.values()):
        return {}
    together = {case for cases in names.values() for case in cases}
    return {
        "cases_learned": len(together),
        "cases_left_out": len(scores) - len(together),
        "cases_per_phase": {name: len(cases) for name, cases in names.items()},
    }
