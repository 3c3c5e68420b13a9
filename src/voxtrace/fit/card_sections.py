"""What card.md says of aim, maker's words, data, limits, steps, cost and recipe; nothing that the record lacks.

``provenance`` and ``plan`` of a stranger's record may hold anything, so that whatever is shown of them is made text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from voxtrace.fit.about import ABOUT, about_of
from voxtrace.fit.card_measures import EXTERNAL
from voxtrace.fit.cost import CHOICES, RUN, RUN_WINDOWS
from voxtrace.fit.model_facts import cases_words, step_dice
from voxtrace.fit.origin_checks import is_demonstration
from voxtrace.fit.step_choice import step_words
from voxtrace.fit.training_scans import TrainingScans
from voxtrace.safe_text import brief

NOT_A_DEVICE = "Not a medical device: no answer may be used without a person who checks it."
_MOST_NAMES = 500
LEARNED = "learned"  # of the bundle that training began from: SHA-256 of the images that its weights had learned
TRAINED = "trained"  # there: how long its training took, with those before it
_PARTS = {"training": "trained on", "held_back": "held back"}


def summary(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the model is for, how it was made and how well it did, in a few sentences."""
    plan, made = record.get("plan") or {}, record.get("provenance") or {}
    labels = _table(plan.get("labels"))
    if not labels:
        return
    names = _listed(name for value, name in labels.items() if str(value) != "0")
    yield from ("## Summary", "")
    yield f"Aim: a model that outlines {names} in {_by(plan.get('channels'), ', ')}, and shows each step of its answer."
    if made.get("cases") or made.get("dataset"):
        yield f"Trained on {_shown(cases_words(made))} of {_shown(made.get('dataset', 'a dataset'))}."
    if dice := _validation(record).get("dice"):
        yield f"Mean Dice of {_validation(record).get('cases', 'the')} held-back cases: {_interval(dice)}."
        yield "For scans like those of its training it may be expected to do as well; for others nothing is known."
    found = _table(_table(record.get(EXTERNAL)).get("validation"))
    if dice := found.get("dice"):
        cases = _shown(found.get("cases", "the"))
        yield f"Mean Dice of {cases} external cases: {_interval(dice)}; their section says against what."
    yield ""


def about(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the maker says, each part under its title."""
    if told := about_of(record):
        yield from ("## About", "", "In the words of the maker, which nothing checks:", "")
        yield from (f"- {title}: {told[name]}" for name, title in ABOUT.items() if name in told)
        yield ""


def data(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield dataset, licence and the names of the cases."""
    made = record.get("provenance") or {}
    listed = {title: names for part, title in _PARTS.items() if (names := _names(made, part))}
    if not made.get("dataset") and not listed:
        return
    yield from ("## Data", "")
    if made.get("dataset"):
        yield f"- dataset: {_shown(made['dataset'])}"
        yield f"- licence of the data: {_shown(made.get('dataset_licence') or 'not stated')}"
    if len(listed) == len(_PARTS):
        yield f"- partitions: {_fold(made)}"
        if disjoint(record):
            before = _table(made.get("initial"))
            unknown = before and LEARNED not in before
            yield (
                "- level: cases; no image of a held-back case is one of training (by SHA-256)"
                f"{'; what the bundle that it began from had learned is not recorded' if unknown else ''}"
            )
    if outside := _names(_table(record.get(EXTERNAL)), "cases"):
        apart = "; no image of them is one of training (by SHA-256)" if external_disjoint(record) else ""
        yield f"- external cases, {len(outside)}: {_listed(outside[:_MOST_NAMES])}{apart}"
    for title, names in listed.items():
        more = f" and {len(names) - _MOST_NAMES} more, see bundle.json" if len(names) > _MOST_NAMES else ""
        yield f"- {_told(title, made)}, {len(names)}: {_listed(names[:_MOST_NAMES])}{more}"
    if made.get("cases_left_out"):
        yield f"- of these left out of learning by their scores: {_shown(made['cases_left_out'])}"
    yield from ("", "bundle.json has the SHA-256 of images and labels of each case.", "") if listed else ("",)


def _told(title: str, made: Mapping[str, Any]) -> str:
    """Return the title of a list of cases: those of training were only prepared where a score left some out."""
    some = title == _PARTS["training"] and made.get("cases_left_out")
    return f"prepared for training, {_shown(made.get('cases_learned', 'some'))} of them learned" if some else title


def limits(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield for which scans nothing is known."""
    scans = TrainingScans.from_record(record)
    if scans is None:
        return
    yield from ("## Limits", "", f"- {NOT_A_DEVICE}")
    if is_demonstration(record):
        yield "- Made-up scans alone: nothing it says of a patient's scan means anything."
    yield "- Only scans like those of the training, by channels, spacing, field of view and intensities (below); the"
    yield "  verdict of `voxtrace.fit` compares them. These measures tell nothing of other scans, sites and diseases."
    if "population" not in about_of(record) and not is_demonstration(record):
        yield "- Age, sex and disease of the subjects are not stated, nor how it does for each."
    yield ""


def coverage(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield which part of the training labels windows reach that are skipped by decisions, and what followed."""
    found = record.get("coverage")
    if not found:
        return
    yield from ("## Windows", "")
    of = f"{found['cases']} training case{'s' if found['cases'] != 1 else ''}"
    yield "Windows are skipped by what others find. Were the network always right, those that training was asked for"
    yield f"would reach this part of each label's voxels, of {of} (mean over those with the label; the"
    yield f"least of any label of any case is {_percent(found['least'])}):"
    yield ""
    yield from (f"- {brief(name)}: {_percent(part)}" for name, part in found["labels"].items())
    yield from ("", _followed(record, found), "")


def _followed(record: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return what followed from a coverage, and what predictions use where another value was set since."""
    if found["least"] >= 1:
        return "They reach all of it, so that no option had to change."
    missed = "What lies outside them is background in an answer with these windows"
    chosen, made = _table(found.get("chosen")), _table(record.get("provenance"))
    if not chosen:
        return f"{missed}."
    now = {**chosen, **_table(_table(record.get("method")).get("options"))}
    asked = {**now, **_table(made.get("chosen_after_training"))}
    told = (
        f"{missed}, so that {_settings(chosen, chosen)} was chosen; training was asked for {_settings(chosen, asked)}."
    )
    set_since = any(now[name] != value for name, value in chosen.items())
    return f"{told} Predictions use {_settings(chosen, now)}, which was set since." if set_since else told


def steps(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the Dice of each step of the answer."""
    found = step_dice(record)
    if len(found) < 2:
        return
    yield from ("## Steps", "", "Mean Dice of the held-back cases after each step, as the network left it:", "")
    yield f"| step | {' | '.join(str(n) for n in range(1, len(found) + 1))} |"
    yield f"|{'---|' * (len(found) + 1)}"
    yield f"| Dice | {' | '.join('–' if value is None else f'{value:.4f}' for value in found)} |"
    if told := step_words(record):
        yield from ("", told)
    rules = _table(_table(record.get("post_processing")).get("labels"))
    if any(rule != "none" for rule in rules.values()):
        yield from ("", "What post-processing removes from the answer is not counted here; it is in the Dice above.")
    yield ""


def cost(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield GFLOP, and time and memory of a prediction where they were measured."""
    found, run = record.get("cost") or {}, (record.get("provenance") or {}).get("prediction")
    if not found.get("gflop_per_window"):
        return
    yield from ("## Cost", "")
    passes = found.get("steps", 1) if found.get("steps_are_passes") else 1
    if choices := _table(found.get(CHOICES)):
        yield from _chosen_cost(found, choices)
    else:
        yield f"- {found['gflop_per_window']:.4g} GFLOP for a pass over a window"
    yield "  (2 for a multiplication and an addition of a convolution or linear layer; norms and activations 0);"
    yield f"  {passes} pass{'es' if passes != 1 else ''} for an answer without mirroring"
    if isinstance(run, Mapping):
        yield f"- a held-back case: {_shown(run.get('seconds'))} s (median of {_shown(run.get('cases'))}) on"
        yield f"  {_shown(run.get('device'))}, mirrored as by default; memory of the largest, estimated:"
        yield f"  {_shown(run.get('gigabytes'))} GB"
    yield ""


def _chosen_cost(found: Mapping[str, Any], choices: Mapping[str, float]) -> Iterator[str]:
    """Yield what a window costs where networks are chosen between: each choice, what decides, and what was run."""
    every = found["gflop_per_window"]
    alone = ", ".join(f"{brief(name)} {gflop:.4g}" for name, gflop in choices.items())
    yield f"- GFLOP of each choice for a window: {alone}; what chooses, for every window:"
    yield f"  {max(0.0, every - sum(choices.values())):.4g}. All together {every:.4g}, which no prediction runs"
    if (mean := found.get(RUN)) is None:
        yield "- what a pass over a window runs on the mean was not measured"
    else:
        yield f"- {mean:.4g} GFLOP for a pass over a window with what chooses, on the mean of the"
        yield f"  {_shown(found.get(RUN_WINDOWS))} windows of the held-back cases"


def recipe(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield how scans are prepared, what is trained and for how long."""
    plan, made = record.get("plan") or {}, record.get("provenance") or {}
    if not plan.get("spacing_mm"):
        return
    yield from ("## Recipe", "")
    if method := record.get("method"):
        yield f"- method: deep learning, {_shown(method.get('name'))}; paper and options stand at the top"
    yield f"- preparation: {_by(plan['spacing_mm'])} mm (Z, Y, X), {_shown(plan.get('interpolation'))} interpolation,"
    yield f"  normalisation {_listed(_schemes(plan))}; windows of {_by(plan.get('window'))} voxels are drawn"
    if topology := _table(plan.get("topology")):
        yield f"- network: widths {_by(topology.get('widths'))}, one a stage; strides {_shown(topology.get('strides'))}"
    if made.get("iterations"):
        yield f"- {_shown(made['iterations'])} updates of {_shown(plan.get('batch_size'))} windows, augmentation"
        yield f"  {_shown(plan.get('augmentation'))} (1 is full); learning rate and loss are the method's, see its page"
        yield f"- start: {_start(made)}; end: the weights of {_end(made)}"
    if made.get("seconds"):
        where = _by([made.get("device"), made.get("precision")], ", ")
        yield f"- training time: {_shown(made['seconds'])} s on {where}"
    if before := _table(_table(made.get("initial")).get(TRAINED)):
        yield f"- before that, the bundle that it began from: {_shown(before.get('iterations', 'unknown'))} updates,"
        yield f"  {_shown(before.get('seconds', 'unknown'))} s"
    if made.get("versions"):
        yield f"- software: {_shown(made['versions'])}"
    yield ""


def _start(made: Mapping[str, Any]) -> str:
    drawn = f"random numbers from the seed {_shown(made.get('seed'))}"
    start = _table(made.get("initial"))
    if not start:
        return drawn
    anew, told = made.get("initialised_anew"), start.get("told")
    which = f"weights of the bundle {_shown(start.get('name', 'of no name'))} ({_shown(start.get('digest', ''))[:16]}…)"
    parts = f"; {len(anew)} tensors begin anew" if isinstance(anew, list) and anew else ""
    words = "".join(f"; {_shown(one)}" for one in told) if isinstance(told, list) else ""
    return f"{which}{parts}{words}; then {drawn}"


def _end(made: Mapping[str, Any]) -> str:
    chosen = "the best validation" if made.get("weights") == "best" else "the last update"
    return f"{chosen}, averaged with decay {_shown(made['average'])}" if made.get("average") else chosen


def _fold(made: Mapping[str, Any]) -> str:
    if made.get("fold") is None:
        return "chosen by the maker"
    how = "as the dataset's own splits say, or where it has none by the hash of each subject"
    return f"fold {_shown(made['fold'])} is held back, {how}"


def disjoint(record: Mapping[str, Any]) -> bool:
    """Return whether images of training and of held-back cases are recorded, and none of them is in both."""
    made = record.get("provenance") or {}
    sides = [_hashes(made, part) for part in _PARTS]
    before = set(_table(made.get("initial")).get(LEARNED) or ())
    return all(sides) and not (sides[0] | before) & sides[1]


def external_disjoint(record: Mapping[str, Any]) -> bool:
    """Return whether images of training and of external cases are recorded, and none of them is in both."""
    made = record.get("provenance") or {}
    learned = _hashes(made, "training") | set(_table(made.get("initial")).get(LEARNED) or ())
    outside = _hashes(_table(record.get(EXTERNAL)), "cases")
    return bool(_hashes(made, "training") and outside) and not learned & outside


def _validation(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return (record.get("metrics") or {}).get("validation") or {}


def _interval(found: Mapping[str, Any]) -> str:
    if found.get("mean") is None:
        return "not known"
    low, high = found.get("ci95") or (None, None)
    return f"{found['mean']:.3f}" + (f" (95 % interval {low:.3f} to {high:.3f})" if low is not None else "")


def _percent(part: float) -> str:
    """Return a part in per cent; 100.00 % is all of it and nothing less."""
    text = f"{100 * part:.2f} %"
    return "just below 100 %" if part < 1 and text == "100.00 %" else text


def _settings(names: Iterable[str], values: Mapping[str, Any]) -> str:
    return ", ".join(f"{brief(name)}={_shown(values[name])}" for name in names)


def _names(made: Mapping[str, Any], part: str) -> list[str]:
    rows = made.get(part)
    return [str(row.get("name")) for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _hashes(made: Mapping[str, Any], part: str) -> set[str]:
    rows = made.get(part)
    images = [row.get("images") for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return {str(image) for one in images if isinstance(one, list) for image in one}


def _schemes(plan: Mapping[str, Any]) -> list[str]:
    rows = plan.get("normalisation")
    return [str(row.get("scheme")) for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _listed(words: Iterable[Any]) -> str:
    return ", ".join(brief(word) for word in words)


def _by(values: Any, between: str = "×") -> str:
    return between.join(_shown(one) for one in values) if isinstance(values, list | tuple) else _shown(values)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return brief(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
