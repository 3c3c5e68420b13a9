"""Held-back cases of a cross-validation as a prediction with all of its folds is measured: with the pooled rules.

The cards of folds tell of each held-back case what a prediction with that fold gives, with the rules of post-processing
that were best on its own cases. A prediction with all folds removes pieces by the rules that are best on all of them
(:func:`voxtrace.fit.piece_choice.pooled_rules`). So that what is measured is what is used, the validation of a card
tells under ``by_rule`` what other rules would have made of each case, and the pooled ones are looked up there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtrace.fit.piece_choice import pooled_rules
from voxtrace.fit.pieces import NONE

# in a validation, for each row of ``per_case``: label name -> [{"rules": words, "dice", "predicted_ml", "measures"}]
BY_RULE = "by_rule"
Record = Mapping[str, Any]


def by_pooled_rules(records: Mapping[int, Record]) -> dict[int, Record]:
    """Return the records of folds by number, the rows of their held-back cases as with the rules of all folds together.

    A card that an earlier version wrote tells nothing of other rules: its rows stay, see :func:`with_own_rules`.
    """
    pooled = pooled_rules(list(records.values()))
    if pooled is None:
        return dict(records)
    return {number: _with_rules(record, pooled["labels"]) for number, record in records.items()}


def with_own_rules(records: Mapping[int, Record]) -> dict[str, list[int]]:
    """Return label name -> numbers of the folds whose cases count with their own rule, as their cards tell no other."""
    pooled = pooled_rules(list(records.values()))
    found: dict[str, list[int]] = {}
    for number, record in records.items() if pooled is not None else ():
        if _rows(record) and not _told_of(record):
            for name in _others(record, pooled["labels"] if pooled else {}):
                found.setdefault(name, []).append(number)
    return found


def _rows(record: Record) -> Sequence[Record]:
    rows: Sequence[Record] = (record.get("metrics", {}).get("validation") or {}).get("per_case", ())
    return rows


def _told_of(record: Record) -> Sequence[Record]:
    """Return what other rules would have made of each case; nothing where a card does not tell."""
    told: Sequence[Record] = (record.get("metrics", {}).get("validation") or {}).get(BY_RULE, ())
    return told if len(told) == len(_rows(record)) else ()


def _others(record: Record, rules: Mapping[str, str]) -> dict[str, str]:
    """Return the rules (label name -> word) of labels for which a record has another."""
    own = record["post_processing"]["labels"]
    names = [name for value, name in record["plan"]["labels"].items() if int(value)]
    return {name: rules.get(name, NONE) for name in names if rules.get(name, NONE) != own.get(name, NONE)}


def _with_rules(record: Record, rules: Mapping[str, str]) -> Record:
    others, told = _others(record, rules), _told_of(record)
    if not others or not told:
        return record
    metrics = record["metrics"]
    rows = [_row(row, by_rule, others) for row, by_rule in zip(_rows(record), told, strict=True)]
    validation = {**metrics["validation"], "per_case": rows}
    return {
        **record,
        "metrics": {**metrics, "validation": validation},
        "post_processing": {**record["post_processing"], "labels": dict(rules)},
    }


def _row(row: Record, by_rule: Record, rules: Mapping[str, str]) -> dict[str, Any]:
    """Return a case's row with other rules (label name -> word), given what each makes of it."""
    dice, volumes, measures = ({**row.get(part, {})} for part in ("dice", "predicted_ml", "measures"))
    for name, word in rules.items():
        if name not in by_rule:  # no rule removes anything
            continue
        told = _told(by_rule[name], word)
        dice[name], volumes[name] = told.get("dice"), told.get("predicted_ml")
        measures.pop(name, None)
        measures |= {name: told["measures"]} if told.get("measures") else {}
    return {**row, "dice": dice, "predicted_ml": volumes, "measures": measures}


def _told(entries: Any, word: str) -> Record:
    """Return what a rule makes of a label; one that is not listed removes nothing."""
    by_word: dict[str, Record] = {rule: entry for entry in entries for rule in entry["rules"]}
    return by_word.get(word, by_word[NONE])
