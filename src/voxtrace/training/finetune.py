"""Fine-tuning: a plan from a bundle for another dataset, and what becomes of its channels, labels and weights.

Grid, window and topology are the bundle's, on which its weights were trained. Channels are matched by name, so that
weights follow them into another order. A channel of the same kind (CT, or not) keeps the bundle's normalisation; one of
another kind takes that of the new data, and the modality follows. Labels are matched by name, too: rows of the heads
follow them to their new values, and a label that the bundle does not know begins as the method initialises it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from voxtrace.bundle import Bundle
from voxtrace.errors import PlanError
from voxtrace.fit.channel_checks import normal_name
from voxtrace.plan import Normalisation, Plan
from voxtrace.training.dataset import Dataset

CT = "CT"


def finetune_plan(
    initial: Bundle, dataset: Dataset, *, iterations: int | None = None, planned: Plan | None = None
) -> Plan:
    """Return the bundle's plan for another dataset: its grid, window and topology with the dataset's labels.

    ``planned`` is the dataset's own plan, from which channels of another kind take their normalisation; it is needed
    where :func:`needs_planning` says so.

    Raises
    ------
    PlanError
        The dataset has other channels than the bundle; or ``planned`` is needed and missing.
    """
    plan, order = initial.plan, match_channels(initial, dataset.channels, dataset.name)
    rules = [plan.normalisation[before] for before in order]
    modality = plan.modality
    if needs_planning(initial, dataset):
        if planned is None:
            raise PlanError(f"{dataset.name} is of another modality than {initial.name}; plan the dataset first.")
        kept = [_same_kind(plan, before, name) for before, name in zip(order, dataset.channels, strict=True)]
        rules = [rule if keeps else new for rule, new, keeps in zip(rules, planned.normalisation, kept, strict=True)]
        modality = planned.modality
    changes = {
        "channels": dataset.channels,
        "labels": dataset.labels,
        "ignore": dataset.ignore,
        "regions": [region.model_dump() for region in dataset.regions],
        "normalisation": tuple(rule.model_dump() for rule in rules),
        "modality": modality,
        "iterations": iterations or plan.iterations,
    }
    return Plan.model_validate(plan.model_dump() | changes)


def needs_planning(initial: Bundle, dataset: Dataset) -> bool:
    """Return whether a channel of the dataset is CT where the bundle's is not, or the other way round.

    Raises
    ------
    PlanError
        The dataset has other channels than the bundle.
    """
    order = match_channels(initial, dataset.channels, dataset.name)
    return not all(_same_kind(initial.plan, old, name) for old, name in zip(order, dataset.channels, strict=True))


def match_channels(initial: Bundle, channels: Sequence[str], name: str = "the dataset") -> tuple[int, ...]:
    """Return for each channel the bundle's that it continues, by name; a single channel continues the single one.

    Case, punctuation and common synonyms (T1Gd, T1ce) make no difference.

    Raises
    ------
    PlanError
        There are more or fewer channels, or, of several, others by name.
    """
    theirs = initial.plan.channels
    if len(channels) != len(theirs):
        raise PlanError(
            f"{name} has {len(channels)} channel(s), {initial.name} expects {len(theirs)} "
            f"({', '.join(theirs)}); fine-tune from a bundle with the same channels."
        )
    old, new = [normal_name(channel) for channel in theirs], [normal_name(channel) for channel in channels]
    if old == new or len(new) == 1:
        return tuple(range(len(new)))
    if sorted(old) != sorted(new) or len(set(new)) < len(new):
        raise PlanError(
            f"{name} has the channels {', '.join(channels)}, {initial.name} expects {', '.join(theirs)}; give the same "
            "ones, in any order, as channel_names in dataset.json, or train without --from."
        )
    return tuple(old.index(channel) for channel in new)


def match_labels(before: Mapping[int, str], now: Mapping[int, str]) -> dict[int, int]:
    """Return new value -> old value of the labels that both have, by name; 0 is the background of either.

    Of several labels that have one name, none is matched.

    Examples
    --------
    >>> match_labels({0: "background", 1: "liver", 2: "spleen"}, {0: "clear", 1: "Spleen", 2: "kidney"})
    {0: 0, 1: 2}
    """
    old, new = _by_name(before), _by_name(now)
    return {0: 0} | {value: old[name] for name, value in new.items() if name in old}


def match_outputs(before: Plan, now: Plan) -> dict[int, int]:
    """Return new place -> old place of the scores that both networks give, matched by name as labels are.

    A region continues the region or label of its name; regions have no background.
    """
    if not (before.regions or now.regions):
        return match_labels(before.labels, now.labels)
    old, new = (
        _by_name({k + 1: name for k, name in plan.outputs.items() if plan.regions or k}) for plan in (before, now)
    )
    return {place - 1: old[name] - 1 for name, place in new.items() if name in old}


def _by_name(labels: Mapping[int, str]) -> dict[str, int]:
    """Return name -> value of the foreground labels whose name occurs once."""
    names = {value: _plain(name) for value, name in labels.items() if value}
    unique = [name for name in names.values() if list(names.values()).count(name) == 1]
    return {name: value for value, name in names.items() if name in unique}


def _plain(name: str) -> str:
    """Return a label's name in lower case, with one space where others write ``_`` or ``-`` between words."""
    return re.sub(r"(?<=\w)[-_\s]+(?=\w)", " ", name.strip().casefold())


def is_ct(channel: str, rule: Normalisation | None = None) -> bool:
    """Return whether a channel holds HU: by its name, or as a bundle normalises it."""
    return channel.strip().upper() == CT or (rule is not None and rule.scheme == "ct")


def _same_kind(plan: Plan, channel: int, name: str) -> bool:
    return is_ct(plan.channels[channel], plan.normalisation[channel]) == is_ct(name)
