"""Held-back cases of a cross-validation as a prediction with all of its folds is measured: with the pooled rules.

The cards of folds tell of each held-back case what a prediction with that fold gives, with the rules of post-processing
that were best on its own cases. A prediction with all folds removes pieces by the rules that are best on all of them
(:func:`voxtrace.fit.piece_choice.pooled_rules`). So that what is measured is what is used, each case's row tells under
``by_rule`` what other rules would have made of it, and the pooled ones are looked up there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtrace.fit.piece_choice import pooled_rules
from voxtrace.fit.pieces import NONE

BY_RULE = "by_rule"  # in the row of a case: label name -> [{"rules": words, "dice", "predicted_ml", "measures"}]
Record = Mapping[str, Any]


def by_pooled_rules(records: Mapping[int, Record]) -> dict[int, Record]:
    """Return the records of folds by number, the rows of their held-back cases as with the rules of all folds together.

    Of a card that an earlier version wrote, and whose rule is another, the label is left out: no Dice, no volume.
    """
    pooled = pooled_rules(list(records.values()))
    if pooled is None:
        return dict(records)
    return {number: _with_rules(record, pooled["labels"]) for number, record in records.items()}


def _with_rules(record: Record, rules: Mapping[str, str]) -> Record:
    own = record["post_processing"]["labels"]
    names = [name for value, name in record["plan"]["labels"].items() if int(value)]
    others = {name: rules.get(name, NONE) for name in names if rules.get(name, NONE) != own.get(name, NONE)}
    metrics = record.get("metrics", {})
    rows = (metrics.get("validation") or {}).get("per_case", ())
    if not others or not rows:
        return record
    validation = {**metrics["validation"], "per_case": [_row(row, others) for row in rows]}
    return {
        **record,
        "metrics": {**metrics, "validation": validation},
        "post_processing": {**record["post_processing"], "labels": dict(rules)},
    }


def _row(row: Record, rules: Mapping[str, str]) -> dict[str, Any]:
    """Return a case's row with other rules (label name -> word)."""
    dice, volumes, measures = ({**row.get(part, {})} for part in ("dice", "predicted_ml", "measures"))
    for name, word in rules.items():
        if BY_RULE not in row:
            told: Record = {}
        elif name not in row[BY_RULE]:  # no rule removes anything
            continue
        else:
            told = _told(row[BY_RULE][name], word)
        dice[name], volumes[name] = told.get("dice"), told.get("predicted_ml")
        measures.pop(name, None)
        measures |= {name: told["measures"]} if told.get("measures") else {}
    return {**row, "dice": dice, "predicted_ml": volumes, "measures": measures}


def _told(entries: Any, word: str) -> Record:
    """Return what a rule makes of a label; one that is not listed removes nothing."""
    by_word: dict[str, Record] = {rule: entry for entry in entries for rule in entry["rules"]}
    return by_word.get(word, by_word[NONE])
