"""A folder of folds is a bundle, too: the probabilities of its members are averaged.

::

    hippocampus/
    ├── fold_0/, fold_1/, …      a bundle for each fold
    └── cross_validation.json    where `voxtrace train --cv` made it: how many folds there are, and their pooled scores

Free of torch until bundles are loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.bundle import JSON, card
from voxtrace.errors import BundleError
from voxtrace.fit.card_record import check_pooled
from voxtrace.fit.step_choice import steps_of_all
from voxtrace.safe_text import brief, read_json

if TYPE_CHECKING:
    from voxtrace.bundle import Bundle
    from voxtrace.method import Method

FOLD, SUMMARY = "fold_", "cross_validation.json"
MOST_FOLDS = 10_000  # a file that says more is no summary
POOLED = ("intervals", "post_processing")  # of a cross-validation's summary: what holds for its folds together
MEASURED = (*POOLED, "expected", "predicted_dice", "calibration")  # of a card: what held-back cases told
_WORDS = {"intervals": "volume intervals", "calibration": "temperature", "post_processing": "post-processing"}
LEFT_OUT = "left_out"  # in the cards of bundles that were loaded together, and in the facts of their results
_MOST_NAMED = 3
CHOSEN = "chosen_after_training"  # in a card's provenance: option -> the value that was asked for
SAME_FIELDS = (
    "spacing_mm",
    "window",
    "channels",
    "labels",
    "regions",
    "interpolation",
    "view",
)  # of plans that are averaged


def is_fold_folder(path: str | Path) -> bool:
    """Return whether a path is a folder of folds, whole or not, and no bundle itself."""
    folder = Path(path)
    if (folder / JSON).is_file():
        return False
    return (folder / SUMMARY).is_file() or any(folder.glob(f"{FOLD}*/{JSON}"))


def fold_paths(folder: str | Path) -> tuple[Path, ...]:
    """Return the bundles in a folder of folds, in the order of their numbers.

    Raises
    ------
    BundleError
        A fold is not finished, or two are of other methods, labels or plans; also as :func:`voxtrace.bundle.card`.
    """
    return tuple(fold_cards(folder))


def fold_cards(folder: str | Path) -> dict[Path, dict[str, Any]]:
    """Return the bundles in a folder of folds with what their cards say, in the order of their numbers.

    Raises
    ------
    BundleError
        As :func:`fold_paths`.
    """
    folder = Path(folder)
    paths = finished_folds(folder)
    if missing := unfinished_folds(folder):
        raise BundleError(
            f"{folder} is not whole: {', '.join(missing)} of its folds are not finished. Go on with `voxtrace train "
            f"--cv --resume --out {folder}`, or give the finished folds with an -m each."
        )
    records = {path: card(path) for path in paths}  # each file is read for its hash, which takes its time
    _check_alike(folder, records)
    return records


def finished_folds(folder: Path) -> tuple[Path, ...]:
    """Return the bundles that lie in a folder of folds so far, in the order of their numbers; none is read."""
    found = (file.parent for file in folder.glob(f"{FOLD}*/{JSON}"))
    return tuple(sorted(found, key=lambda path: (len(path.name), path)))


def unfinished_folds(folder: Path) -> list[str]:
    """Return the names of folds that were begun, or that a cross-validation has, and that are no bundles yet."""
    begun = {path.name.removesuffix(".work") for path in folder.glob(f"{FOLD}*.work")}
    planned = {f"{FOLD}{number}" for number in range(fold_summary(folder).get("folds", 0))}
    finished = {path.name for path in finished_folds(folder)}
    return sorted((begun | planned) - finished, key=lambda name: (len(name), name))


def member_paths(models: Sequence[str | Path]) -> tuple[str | Path, ...]:
    """Return the bundles that models stand for: a folder of folds for each of them, any other for itself."""
    return tuple(path for model in models for path in (fold_paths(model) if is_fold_folder(model) else (model,)))


def load_members(models: Sequence[str | Path], votes: bool = False) -> tuple[Bundle, ...]:
    """Return the bundles that models stand for, loaded.

    Bundles whose methods differ only in options that were chosen after training, each by its own cases, get those that
    suit all. The folds of one cross-validation, given as a folder or one by one, say what it worked out of all of them
    in place of what each found on its own cases, and ``pooled`` tells which that is. Several other bundles keep of what
    they measured only what all say alike, see :func:`left_out`; with ``votes`` each answers by itself and keeps all.

    Raises
    ------
    BundleError
        As :func:`fold_paths` and :func:`voxtrace.bundle.load`.
    """
    from voxtrace.bundle import load

    loaded: list[Bundle] = []
    for model in models:
        folds = is_fold_folder(model)
        bundles = [load(path) for path in (fold_paths(model) if folds else (model,))]
        loaded += _as_one(bundles) if folds else bundles
    if len(loaded) > 1 and (summary := _summary_of(loaded)):
        return _pooled(_as_one(loaded), summary)
    alike = not votes and all(_asked(one) == _asked(loaded[0]) for one in loaded)
    return _joined(_as_one(loaded) if alike else loaded, votes)


def pooled_record(record: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a fold's record, or its card, with what a summary has of all folds in place of what it says of its own."""
    return {
        **{name: value for name, value in record.items() if name not in POOLED},
        **{name: summary[name] for name in POOLED if summary.get(name)},
    }


def _summary_of(bundles: Sequence[Bundle]) -> Mapping[str, Any]:
    """Return the summary of the cross-validation whose folds bundles are, all of them; {} where they are of none."""
    folders = {bundle.path.resolve().parent for bundle in bundles if bundle.path is not None}
    summary = fold_summary(folders.pop()) if len(folders) == 1 else {}
    return summary if _is_of(summary, [bundle.digest for bundle in bundles]) else {}


def _pooled(bundles: Sequence[Bundle], summary: Mapping[str, Any]) -> tuple[Bundle, ...]:
    """Return the bundles of a cross-validation, which say what was worked out of all folds."""
    used = {name: summary.get(name) for name in POOLED}
    digest = hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()
    return tuple(replace(bundle, card=pooled_record(bundle.card, summary), pooled=digest) for bundle in bundles)


def _is_of(summary: Mapping[str, Any], digests: Sequence[str]) -> bool:
    """Return whether a summary was worked out of these very bundles: not of one that was trained again since."""
    folds = summary.get("per_fold")
    known = [fold.get("digest") for fold in folds if isinstance(fold, dict)] if isinstance(folds, list) else []
    return bool(known) and sorted(map(str, known)) == sorted(digests)


def _joined(bundles: Sequence[Bundle], votes: bool) -> tuple[Bundle, ...]:
    """Return bundles whose cards keep of what held-back cases told only what every card says alike.

    What each found on its own cases holds for it alone. Where they vote, each keeps it for its own answer.
    """
    gone = _disagreed([bundle.card for bundle in bundles])
    names = [bundle.name for bundle in bundles]
    told = _left_out_words(names, [name for name in gone if not (votes and name == "calibration")])
    changed = {LEFT_OUT: told} if told else {}
    removed = () if votes else gone
    cards = [{name: value for name, value in one.card.items() if name not in removed} | changed for one in bundles]
    return tuple(replace(one, card=card) for one, card in zip(bundles, cards, strict=True))


def _left_out_words(bundles: Sequence[str], gone: Sequence[str]) -> str:
    words = [_WORDS[name] for name in gone if name in _WORDS]
    if not words:
        return ""
    names = ", ".join(bundles[:_MOST_NAMED]) + (" …" if bundles[_MOST_NAMED:] else "")
    return (
        f"{names} are combined, and no {SUMMARY} is of these very bundles: what each measured of its own answers "
        f"({', '.join(words)}) is left out. Give the folder that `voxtrace train --cv` wrote, whose summary `voxtrace "
        "models measure` brings up to date, or one bundle."
    )


def _disagreed(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return which measures records do not state alike; of post-processing, the rules count."""

    def stated(record: Mapping[str, Any], name: str) -> Any:
        value = record.get(name)
        return value.get("labels") if name == "post_processing" and value else value

    return [name for name in MEASURED if any(stated(one, name) != stated(records[0], name) for one in records)]


def left_out(bundles: Sequence[Bundle]) -> str:
    """Return what measures of loaded bundles do not hold for their answer together, as a sentence; "" for none."""
    return str(bundles[0].card.get(LEFT_OUT, ""))


def joint_record(bundles: Sequence[Bundle]) -> dict[str, Any]:
    """Return the record that holds for the answer of bundles together: the first one's, with what all cards say alike.

    Of one bundle it is its own.
    """
    return _agreed([bundle.record for bundle in bundles])


def joint_card(records: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record that holds for the answer of the folds in a folder together, given what their cards say.

    Where something is left out that no summary is there for, ``left_out`` says so.
    """
    if _is_of(summary, [str(record["digest"]) for record in records]):
        return _agreed([pooled_record(record, summary) for record in records])
    names = [str(record.get("name") or number) for number, record in enumerate(records)]
    told = _left_out_words(names, _disagreed(records))
    return {**_agreed(records), **({LEFT_OUT: told} if told else {})}


def _agreed(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the first record without the measures that others state otherwise."""
    gone = _disagreed(records)
    return {name: value for name, value in records[0].items() if name not in gone}


def asked_method(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return name and options of the method of a bundle's record, as its training was asked for them."""
    method, chosen = record["method"], record.get("provenance", {}).get(CHOSEN, {})
    return {**method, "options": {**method.get("options", {}), **chosen}}


def fold_summary(folder: Path) -> Mapping[str, Any]:
    """Return what a cross-validation wrote down of itself; {} where there is none.

    Raises
    ------
    BundleError
        The file is damaged, or no such summary.
    """
    file = folder / SUMMARY
    if not file.is_file():
        return {}
    try:
        record = read_json(file)
    except (OSError, ValueError) as error:
        raise BundleError(f"{file} cannot be read as JSON ({brief(error)}); copy it again.") from error
    scores = [record.get(name) for name in ("dice", "dice_per_label")] if isinstance(record, dict) else [None]
    if not all(isinstance(one, dict) for one in scores) or not 0 < _number(record.get("folds")) <= MOST_FOLDS:
        raise BundleError(f"{file} is not as `voxtrace train --cv` writes it; copy it again.")
    check_pooled({name: record[name] for name in POOLED if name in record}, file)
    found: Mapping[str, Any] = record
    return found


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _check_alike(folder: Path, cards: Mapping[Path, Mapping[str, Any]]) -> None:
    """Refuse folds whose probabilities cannot be averaged voxel by voxel."""
    paths, records = list(cards), list(cards.values())
    for path, record in zip(paths[1:], records[1:], strict=True):
        pairs = {"method": (asked_method(records[0]), asked_method(record))}
        pairs |= {name: (records[0]["plan"].get(name), record["plan"].get(name)) for name in SAME_FIELDS}
        for name, (ours, theirs) in pairs.items():
            if ours != theirs:
                raise BundleError(
                    f"{folder}: {paths[0].name} has {name} {ours} and {path.name} {theirs}; folds of one method and "
                    "plan are averaged. Move the other fold away, or give its bundle alone with -m."
                )


def _as_one(bundles: Sequence[Bundle]) -> list[Bundle]:
    """Return bundles of one method: where options were chosen after training, those that suit every fold."""
    if all(bundle.method == bundles[0].method for bundle in bundles):
        return list(bundles)
    method = _asked(bundles[0]).covering(
        min(float(bundle.card.get("coverage", {}).get("least", 1.0)) for bundle in bundles)
    )
    if method.stops_anywhere:
        method = method.with_steps(steps_of_all([bundle.card for bundle in bundles], method.steps))
    return [replace(bundle, method=method) for bundle in bundles]


def _asked(bundle: Bundle) -> Method:
    """Return a bundle's method with the options that its training was asked for."""
    from voxtrace.method import changed

    return changed(bundle.method, **bundle.card.get("provenance", {}).get(CHOSEN, {}))
