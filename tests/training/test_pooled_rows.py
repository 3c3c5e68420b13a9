"""Rows of held-back cases with pooled rules are those that measuring with these rules gives, whatever was cut off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voxtrace.fit.piece_choice import pooled_rules
from voxtrace.fit.pieces import NONE
from voxtrace.fit.pooled_cases import by_pooled_rules
from voxtrace.metrics import evaluate_label, in_either
from voxtrace.trace import Trace
from voxtrace.training.held_back import TOLERANCE_MM, ValidatedCase, packed, scores_by_rule
from voxtrace.training.validation import Validation
from voxtrace.volume import Geometry, LabelMap

NAMES = {1: "liver", 2: "spleen"}
GRID = Geometry.from_spacing((8, 16, 16), (2.0, 1.0, 1.0))


def case(rng: np.random.Generator, islands: int) -> ValidatedCase:
    """Return a case whose labels may be absent, be missed, or have islands."""
    reference = np.zeros(GRID.shape, np.uint8)
    for value, (first, last) in {1: (3, 9), 2: (10, 14)}.items():
        if rng.random() < 0.75:
            reference[2:6, first:last, 3:9] = value
    answer = np.where((reference == 2) & (rng.random() < 0.3), 0, reference).astype(np.uint8)
    for value in (1, 2):
        for _ in range(rng.integers(0, islands + 1)):
            z, y, x = (int(rng.integers(0, n - 1)) for n in GRID.shape)
            answer[z : z + 2, y : y + 1, x : x + 2] = value
    made, true = (LabelMap(data, GRID, NAMES) for data in (answer, reference))
    scores = in_either({value: evaluate_label(made, true, value, TOLERANCE_MM) for value in NAMES})
    volumes = [{v: float((data == v).sum() * GRID.voxel_ml) for v in NAMES} for data in (answer, reference)]
    trace = Trace(answer[None], {}, np.zeros((0, 6), np.int32), {}, GRID, NAMES)
    dice = np.asarray([[scores[v].dice if v in scores else np.nan for v in NAMES]])
    pieces = scores_by_rule(made, true, scores, None)
    return ValidatedCase("case", dice, *volumes, {}, scores, pieces=pieces, trace=packed(trace))


def record(validation: Validation) -> dict[str, Any]:
    """Return the card of a fold."""
    plan = {"labels": {"0": "background", "1": "liver", "2": "spleen"}}
    about = {"metrics": {"validation": validation.to_json()}}
    return {"plan": plan, **about, "post_processing": validation.measured()["post_processing"]}


@pytest.mark.parametrize("seed", range(12))
def test_pooled_rows_are_as_measured_with_the_pooled_rules(seed: int) -> None:
    rng = np.random.default_rng(seed)
    folds = {number: [case(rng, islands) for _ in range(6)] for number, islands in enumerate((0, seed % 5))}
    cards = {number: record(Validation.processed(cases, NAMES)) for number, cases in folds.items()}
    pooled = pooled_rules(list(cards.values()))
    assert pooled is not None
    words = {value: pooled["labels"].get(name, NONE) for value, name in NAMES.items()}
    found = by_pooled_rules(cards)
    for number, cases in folds.items():
        measured = Validation(tuple(one.with_rules(words) for one in cases), NAMES).to_json()["per_case"]
        for wanted, row in zip(measured, found[number]["metrics"]["validation"]["per_case"], strict=True):
            assert {part: row[part] for part in wanted if part != "features"} == {
                part: told for part, told in wanted.items() if part != "features"
            }
