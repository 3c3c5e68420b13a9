"""``run.json``: what is being trained, so that resuming goes on with the same, or says in a sentence what is another.

::

    method, plan, dataset, fold, label_folder, initial      as asked for
    seed, average                                           of the configuration
    training, held_back                                     names of the cases: the split
    known                                                   hashes of images and labels, once the cases were read
    stretches                                               device, precision, rate, versions …; one for each start
    changed                                                 files that were others when a run was resumed
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxtrace.atomic import atomic_file
from voxtrace.errors import InputError
from voxtrace.safe_text import brief, read_json
from voxtrace.training.identity import CaseIdentity, change_words, changed_cases, few, is_another_dataset

RUN = "run.json"
MOST_TOLD, LONGEST_VALUE = 3, 60
_WORDS = {"initial": "initial bundle", "training": "training cases", "held_back": "held-back cases"}
_CASES = ("training", "held_back")
CONFIGURED = ("seed", "average")  # fields of a configuration that stay; checkpoints hold the schedule of the rate
_PLAIN = ("dataset", "fold", "label_folder", "initial", *CONFIGURED, "cases", *_CASES)
SETTINGS = ("method", "plan", *_PLAIN)


@dataclass(frozen=True)
class TrainingRecord:
    """What is being trained.

    Attributes
    ----------
    settings
        As asked for: ``SETTINGS`` -> JSON values; those that a caller did not state are left out.
    training, held_back
        The cases as they were read; empty before that.
    stretches
        Device, precision, learning rate and versions of each start.
    changed
        Name, what changed, and the iterations done before; one for each case that was another when a run was resumed.
    """

    settings: Mapping[str, Any]
    training: tuple[CaseIdentity, ...] = ()
    held_back: tuple[CaseIdentity, ...] = ()
    stretches: tuple[Mapping[str, Any], ...] = ()
    changed: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        known = {name: [case.to_json() for case in getattr(self, name)] for name in _CASES}
        return {**self.settings, "known": known, "stretches": list(self.stretches), "changed": list(self.changed)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TrainingRecord:
        """Return the record that :meth:`to_json`, or an earlier version, wrote.

        Raises
        ------
        KeyError, TypeError, AttributeError
            It is no such record.
        """
        known = record.get("known", {})
        training, held_back = (tuple(map(CaseIdentity.from_json, known.get(name, ()))) for name in _CASES)
        settings = {name: record[name] for name in SETTINGS if name in record}
        _check(settings)
        stretches, changed = (tuple(map(dict, record.get(name, ()))) for name in ("stretches", "changed"))
        return cls(settings, training, held_back, stretches, changed)

    def took(
        self, training: Sequence[CaseIdentity], held_back: Sequence[CaseIdentity], done: int
    ) -> tuple[TrainingRecord, str]:
        """Return the record with the cases as they were read now, and a sentence that says which changed.

        ``done`` is the number of iterations that were trained before.

        Raises
        ------
        InputError
            Not one image of the training is the same: it is another dataset.
        """
        if done and is_another_dataset(self.training, training):
            raise InputError(
                f"all {len(training)} training images are others than those of the {done} iterations that were done; "
                "resume with the same dataset, or choose another --out."
            )
        new = changed_cases((*self.training, *self.held_back), (*training, *held_back))
        rows = [{"name": name, "what": list(what), "after_iterations": done} for name, what in new.items()]
        taken = replace(self, training=tuple(training), held_back=tuple(held_back), changed=(*self.changed, *rows))
        where = f"training goes on with them from iteration {done}" if done else "training begins with them"
        return taken, f"changed since this run began: {change_words(new)}; prepared anew, {where}" if new else ""


def _check(settings: Mapping[str, Any]) -> None:
    """Raise TypeError where settings that are compared one by one are not of their kind."""
    method = settings.get("method", {})
    if not all(isinstance(one, dict) for one in (method, method.get("options", {}), settings.get("plan", {}))):
        raise TypeError("its method or its plan has no names")
    for name in _CASES:
        names = settings.get(name, [])
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise TypeError("its cases have no names")


def load_record(folder: Path) -> TrainingRecord | None:
    """Return the record of a run's folder; None where there is none.

    Raises
    ------
    InputError
        The file does not describe a run.
    """
    file = folder / RUN
    if not file.is_file():
        return None
    try:
        return TrainingRecord.from_json(read_json(file))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} does not describe a run ({brief(error)}); delete {folder} and train again."
        ) from error


def save_record(folder: Path, record: TrainingRecord) -> None:
    """Write the record of a run's folder, whole or not at all."""
    with atomic_file(folder / RUN) as temporary:
        temporary.write_text(json.dumps(record.to_json(), indent=1, ensure_ascii=False), encoding="utf-8")


def open_record(folder: Path, settings: Mapping[str, Any], stretch: Mapping[str, Any]) -> TrainingRecord:
    """Write down what is being trained, or check that the folder's run is the same one; return the record.

    Raises
    ------
    InputError
        The run in the folder was asked for with other settings; the sentence says which.
    """
    before = load_record(folder)
    record = before or TrainingRecord(settings)
    if before is not None and (differing := differences(before.settings, settings)):
        raise InputError(
            f"the run in {folder} had {in_words(differing)}; resume with the same, or choose another output."
        )
    record = replace(record, settings={**record.settings, **settings}, stretches=(*record.stretches, stretch))
    save_record(folder, record)
    return record


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what settings differ, as ``"fold (0, now 1)"``; [] where none does.

    What one of them does not state is not compared.
    """
    was, asked = _flat(before), _flat(now)
    if ("", "training") in was and ("", "training") in asked:
        asked.pop(("", "cases"), None)  # names tell more than their number
    differing = [key for key, value in asked.items() if key in was and was[key] != value]
    if ("", "method") in differing:  # its options and plan are others, too
        differing = [key for key in differing if not key[0]]
    return [_told(key, was[key], asked[key]) for key in differing]


def in_words(differing: Sequence[str]) -> str:
    """Return differences as words, the first three of many.

    Examples
    --------
    >>> in_words(["fold (0, now 1)", "seed (0, now 2)"])
    'another fold (0, now 1); another seed (0, now 2)'
    """
    more = len(differing) - MOST_TOLD
    told = "; ".join(f"another {one}" for one in differing[:MOST_TOLD])
    return told + (f"; and {more} more" if more > 0 else "")


def _flat(settings: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """Return settings one by one: options of the method and fields of the plan each by its name."""
    return dict(_flatten(json.loads(json.dumps(settings))))


def _flatten(settings: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    if method := settings.get("method"):
        yield ("", "method"), method.get("name")
    yield from ((("", name), settings[name]) for name in _PLAIN if name in settings)
    yield from ((("option", name), value) for name, value in (method or {}).get("options", {}).items())
    yield from ((("plan", name), value) for name, value in settings.get("plan", {}).items())


def _told(key: tuple[str, str], before: Any, now: Any) -> str:
    name = _WORDS.get(key[1], key[1].replace("_", " "))
    if key[1] in _CASES and not key[0]:
        return f"{name} ({_told_names(before, now)})"
    words = f"{_value(before)}, now {_value(now)}"
    return f"{name} ({words})" if len(words) <= 2 * LONGEST_VALUE else name


def _told_names(before: Sequence[str], now: Sequence[str]) -> str:
    gone, new = ([name for name in a if name not in set(b)] for a, b in ((before, now), (now, before)))
    told = [f"{few(names)} {word}" for names, word in ((new, "new"), (gone, "missing")) if names]
    return "; ".join(told) or "in another order"


def _value(value: Any) -> str:
    if value is None or value == "":
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:8]} …" if len(text) == 64 and text.isalnum() else text  # a SHA-256
