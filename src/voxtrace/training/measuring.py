"""Measure a finished bundle as training does: the ranges of its training scans, and everything of held-back cases."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import nn

from voxtrace.bundle import Bundle, load, window_cost
from voxtrace.errors import Cancelled, DatasetError, UsageError
from voxtrace.fit import TrainingScans, facts_of
from voxtrace.fit.volume_match import MATCHED, is_matched
from voxtrace.inference.fold_folder import CHOSEN
from voxtrace.method import Method, changed_after_training
from voxtrace.training.card import ANONYMOUS, CASE_LISTS, after_training, measured_entries
from voxtrace.training.coverage import as_asked, options_before
from voxtrace.training.curriculum import drawn_by_any
from voxtrace.training.dataset import CaseFiles, open_dataset
from voxtrace.training.dataset import fold as fold_of
from voxtrace.training.examined import examine_again
from voxtrace.training.failures import picture_worst, pictured
from voxtrace.training.identity import CaseIdentity, identify, unread
from voxtrace.training.learned import refuse_learned
from voxtrace.training.match_volumes import check_matchable, match_volumes
from voxtrace.training.progress import TrainProgress
from voxtrace.training.step_choice import validate_steps
from voxtrace.training.validation import Validation, validate_cases
from voxtrace.volume import Case


@dataclass(frozen=True, eq=False)
class MeasuredBundle:
    """What was measured: entries of the card, None for those to take out, and pictures by name of the file.

    ``method`` is the bundle's, with as many steps as were best on the held-back cases; ``network`` has other weights
    than the bundle where volumes were matched, and is None otherwise.
    """

    entries: Mapping[str, Any]
    pictures: Mapping[str, bytes]
    method: Method
    network: nn.Module | None = None


def measure_on(
    path: str,
    dataset: str | Path,
    fold: int | None,
    labels: str,
    device: str,
    cancel: Callable[[], bool],
    picture_failures: bool = False,
    keep_steps: bool = False,
    match: bool = False,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Generator[TrainProgress, None, MeasuredBundle]:
    """Return what was measured of a bundle on disk, on the fold of a dataset that it was trained on.

    Without a ``fold``, that of the bundle's provenance; a bundle that was trained on every case has none held back.
    ``keep_steps`` takes the number of steps that training was asked for, whichever is best. ``match`` matches volumes,
    see :mod:`voxtrace.training.match_volumes`. ``options`` of the method, which a prediction may change, become the
    bundle's.

    Raises
    ------
    DatasetError
        A held-back case is one that the bundle was trained on, or cases have another number of channels.
    MethodError
        An option is fixed in training.
    UsageError
        Volumes are to be matched and cannot be, or were matched already; an option is the number of steps.
    """
    before, listed = load(path), open_dataset(dataset, labels)
    bundle = replace(before, method=_with_options(before.method, options))
    number = bundle.card.get("provenance", {}).get("fold") if fold is None else fold
    everything = listed.cases([files.name for files in listed.files])
    cases, validate = (everything, ()) if number is None else fold_of(listed, int(number))
    refuse_learned(bundle, validate)
    if match:
        _check_match(bundle, validate)
    scans = yield from _looked_at(before, cases, cancel)
    validation, method = yield from validate_steps(
        _with_all_steps(bundle, before), validate, device, cancel, keep_steps, margins=match
    )
    asked, chosen = as_asked(before), bundle if validation is None else replace(bundle, method=method)
    if validation is not None and match:
        validation = yield from match_volumes(
            chosen, validation, validate, device, cancel, int(bundle.card.get("provenance", {}).get("seed", 0))
        )
    entries, validation = _entries(chosen, scans, validation, validate, options_before(asked, chosen.method))
    network = chosen.network if match else None
    if validation is None or not picture_failures:
        return MeasuredBundle(entries, {}, chosen.method, network)
    whole = {name: value for name, value in {**bundle.card, **entries}.items() if value is not None}
    pictures = picture_worst(replace(chosen, card=whole), validation.cases, validate, device)
    return MeasuredBundle(pictured(entries, pictures), pictures, chosen.method, network)


def _check_match(bundle: Bundle, validate: Sequence[Case]) -> None:
    check_matchable(bundle.method, bundle.plan.regions, validate)
    if is_matched(bundle.card):
        raise UsageError(f"volumes of {bundle.name} were matched already; match those of the bundle as it was before.")


def measure(
    bundle: Bundle,
    cases: Sequence[Case],
    validate: Sequence[Case],
    device: str,
    cancel: Callable[[], bool],
    rules: bool = True,
) -> Generator[TrainProgress, None, dict[str, Any]]:
    """Yield progress while training cases are looked at and held-back cases are segmented; return entries of the card.

    :func:`voxtrace.bundle.annotate` writes them into the bundle. Curve and provenance of the training stay; everything
    that held-back cases tell is replaced where there are any: None stands for what they are too few for. The bundle's
    number of steps stays. Without ``rules`` none of post-processing is looked for: answers stay as they are.

    Raises
    ------
    DatasetError
        The cases have another number of channels than the bundle.
    """
    scans = yield from _looked_at(bundle, cases, cancel)
    validation = yield from validate_cases(bundle, validate, device, cancel, rules=rules)
    entries, _ = _entries(bundle, scans, validation, validate, bundle.card.get("provenance", {}).get(CHOSEN, {}))
    return entries


def _with_options(method: Method, options: Mapping[str, Any]) -> Method:
    """Return the method with options of a prediction, but for a number of steps that is chosen by Dice."""
    made = changed_after_training(method, **options)
    if method.stops_anywhere and made.steps != method.steps:
        raise UsageError(
            f"the number of {method.step_word}s is what is best on the held-back cases, or with --keep-steps what "
            "training was asked for; leave it out of --set."
        )
    return made


def _with_all_steps(bundle: Bundle, before: Bundle) -> Bundle:
    """Return a bundle with as many steps as the training of it ``before`` was asked for, where it may stop anywhere."""
    if not bundle.method.stops_anywhere:
        return bundle
    return replace(bundle, method=bundle.method.with_steps(as_asked(before).steps))


def _looked_at(
    bundle: Bundle, cases: Sequence[Case], cancel: Callable[[], bool]
) -> Generator[TrainProgress, None, list[TrainingScans]]:
    """Yield progress while the training cases that a phase learned are looked at; return the ranges of each."""
    scans: list[TrainingScans] = []
    learned = _learned(bundle, cases)
    for number in learned:
        case = cases[number]
        if len(case.volume.data) != bundle.plan.n_channels:
            raise DatasetError(
                f"case {case.name} has {len(case.volume.data)} channels, the bundle takes {bundle.plan.n_channels}; "
                "give the dataset that it was trained on."
            )
        scans.append(TrainingScans.of([facts_of(case.volume)], bundle.plan.normalisation))
        yield TrainProgress("look", len(scans), len(learned))
        if cancel():
            raise Cancelled("stopped while looking at the training scans; nothing was written.")
    return scans


def _learned(bundle: Bundle, cases: Sequence[Case]) -> list[int]:
    """Return the numbers of the training cases that a phase learned, by the scores that the bundle lists.

    A case is found by its images. Where a bundle lists no cases, the scores are those of the cases as they are now.
    """
    phases, listed = as_asked(bundle).phases(bundle.plan), _rows(bundle, CASE_LISTS[0])
    if not listed:
        return list(compress(range(len(cases)), drawn_by_any(phases, [one.scores for one in _unread(cases)])))
    drawn = drawn_by_any(phases, [row.scores for row in listed])
    if all(drawn):
        return list(range(len(cases)))
    learned = {row.images for row in compress(listed, drawn)}
    dropped = {row.images for row in listed} - learned
    return [number for number, one in enumerate(_identities(cases)) if one.images not in dropped]


def _entries(
    bundle: Bundle,
    scans: Sequence[TrainingScans],
    validation: Validation | None,
    validate: Sequence[Case],
    asked: Mapping[str, Any],
) -> tuple[dict[str, Any], Validation | None]:
    """Return entries of the card, and the validation as they name its cases; ``asked``: options before a choice."""
    made = bundle.card.get("provenance", {})
    if validation is not None and not validation.volumes_matched:  # as the weights have them, whoever measures
        validation = replace(validation, volumes_matched=made.get(MATCHED) or {})
    if validation is not None and made.get(ANONYMOUS):
        validation = _nameless(bundle, validation, validate)
    told = {"validation": validation.to_json(), **examine_again(bundle, validate)} if validation else {}
    metrics = {**bundle.card.get("metrics", {}), **told}
    entries = {
        **measured_entries(scans, validation),
        "cost": {
            **window_cost(bundle.method, bundle.plan, bundle.network),
            **(validation.run_cost() if validation else {}),
        },
        "metrics": metrics,
    }
    if validation is not None:
        made = {name: value for name, value in made.items() if name != CHOSEN}
        chosen = {CHOSEN: dict(asked)} if asked else {}
        entries["provenance"] = {**made, **chosen, **after_training(validation)}
    return entries, validation


def _listed(bundle: Bundle, part: str) -> dict[tuple[tuple[str, ...], str], str]:
    """Return hashes of a case's images and labels -> its name in the bundle's provenance."""
    return {(row.images, row.labels): row.name for row in _rows(bundle, part)}


def _rows(bundle: Bundle, part: str) -> list[CaseIdentity]:
    return [CaseIdentity.from_json(row) for row in bundle.card.get("provenance", {}).get(part, ())]


def _unread(cases: Sequence[Case]) -> list[Case | CaseFiles]:
    return [unread(cases, number) for number in range(len(cases))]


def _identities(cases: Sequence[Case]) -> list[CaseIdentity]:
    return [identify(one) for one in _unread(cases)]


def _nameless(bundle: Bundle, validation: Validation, validate: Sequence[Case]) -> Validation:
    """Return a validation whose cases are called as in the bundle's provenance, where they have no names."""
    listed, first = _listed(bundle, CASE_LISTS[1]), 1 + sum(len(_listed(bundle, part)) for part in CASE_LISTS)
    names = [
        listed.get((one.images, one.labels), f"case_{number:04d}")
        for number, one in enumerate(_identities(validate), start=first)
    ]
    renamed = [replace(case, name=name) for case, name in zip(validation.cases, names, strict=True)]
    return replace(validation, cases=tuple(renamed))
