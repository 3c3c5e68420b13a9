"""Measure a finished bundle: the ranges of its training scans, and on held-back cases Dice, volumes and features."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from voxtrace.bundle import Bundle, load, window_cost
from voxtrace.errors import Cancelled, DatasetError
from voxtrace.fit import TrainingScans, facts_of
from voxtrace.training.card import measured_entries
from voxtrace.training.dataset import fold as fold_of
from voxtrace.training.dataset import open_dataset
from voxtrace.training.progress import TrainProgress
from voxtrace.training.validation import validate_cases
from voxtrace.volume import Case


def measure_on(
    path: str, dataset: str | Path, fold: int | None, labels: str, device: str, cancel: Callable[[], bool]
) -> Generator[TrainProgress, None, dict[str, Any]]:
    """Return what :func:`measure` returns for a bundle on disk and the fold of a dataset that it was trained on.

    Without a ``fold``, that of the bundle's provenance; a bundle that was trained on every case has none held back.
    """
    bundle, listed = load(path), open_dataset(dataset, labels)
    number = bundle.card.get("provenance", {}).get("fold") if fold is None else fold
    everything = listed.cases([files.name for files in listed.files])
    cases, validate = (everything, ()) if number is None else fold_of(listed, int(number))
    entries = yield from measure(bundle, cases, validate, device, cancel)
    return entries


def measure(
    bundle: Bundle, cases: Sequence[Case], validate: Sequence[Case], device: str, cancel: Callable[[], bool]
) -> Generator[TrainProgress, None, dict[str, Any]]:
    """Yield progress while training cases are looked at and held-back cases are segmented; return entries of the card.

    :func:`voxtrace.bundle.annotate` writes them into the bundle. Dice, curve and provenance of the training stay; the
    validation of the card is replaced where there are held-back cases.

    Raises
    ------
    DatasetError
        The cases have another number of channels than the bundle.
    """
    scans: list[TrainingScans] = []
    for case in cases:
        if len(case.volume.data) != bundle.plan.n_channels:
            raise DatasetError(
                f"case {case.name} has {len(case.volume.data)} channels, the bundle takes {bundle.plan.n_channels}; "
                "give the dataset that it was trained on."
            )
        scans.append(TrainingScans.of([facts_of(case.volume)], bundle.plan.normalisation))
        yield TrainProgress("look", len(scans), len(cases))
        if cancel():
            raise Cancelled("stopped while looking at the training scans; nothing was written.")
    validation = yield from validate_cases(bundle, validate, device, cancel)
    metrics = {**bundle.card.get("metrics", {}), **({"validation": validation.to_json()} if validation else {})}
    return {
        **measured_entries(scans, validation),
        "cost": window_cost(bundle.method, bundle.plan, bundle.network),
        "metrics": metrics,
    }
