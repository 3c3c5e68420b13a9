"""What a dataset is, and which models it can be trained from: the verdict of each on its first case.

Channels are compared as fine-tuning takes them over: by name, in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxtrace.errors import VoxTraceError
from voxtrace.fit import ScanFacts, facts_of, fit, fit_to_start
from voxtrace.fit.channel_checks import normal_name
from voxtrace.fit.model_facts import recorded_dice
from voxtrace.fit.origin_checks import is_demonstration
from voxtrace.plugin.models.train_form import KnownDataset
from voxtrace.training.dataset import Dataset, open_dataset, read_image
from voxtrace.training.layouts import find_dataset

_MODALITIES = {"ct": "CT", "mr": "MR", "mri": "MR", "t1": "MR", "t2": "MR", "flair": "MR", "pet": "PT"}


def dataset_fit(dataset: str, records: Mapping[Path, Mapping[str, Any]]) -> KnownDataset:
    """Return what is known of a dataset, which of these bundles fit its first case, and the one to start from, if any.

    What keeps it from being trained on is told in the engine's words.
    """
    try:
        opened = open_dataset(dataset)
        layout = find_dataset(Path(dataset)).layout
        facts = first_case(opened)
    except VoxTraceError as error:
        return KnownDataset(dataset, problem=str(error))
    except OSError as error:
        return KnownDataset(dataset, problem=f"{dataset} cannot be read: {error.strerror or error}.")
    fits = {path: fit_to_start(record, in_order_of(record, facts)) for path, record in records.items()}
    names = tuple(files.name for files in opened.files)
    return KnownDataset(dataset, _suggested(records, facts), fits, "", layout, names, len(opened.folds))


def in_order_of(record: Mapping[str, Any], facts: ScanFacts) -> ScanFacts:
    """Return facts with the channels in a bundle's order, where both have the same by name; else as they are."""
    wanted = [normal_name(name) for name in record["plan"]["channels"]]
    given = [normal_name(name) for name in facts.names]
    if sorted(wanted) != sorted(given) or len(set(given)) < len(given):
        return facts
    order = [given.index(name) for name in wanted]
    return replace(facts, names=tuple(facts.names[k] for k in order), channels=tuple(facts.channels[k] for k in order))


def _suggested(records: Mapping[Path, Mapping[str, Any]], facts: ScanFacts) -> Path | None:
    """Return the bundle with the best Dice that fits the case by channels; those trained on patients come first."""
    fitting = [path for path, record in records.items() if fit(record, in_order_of(record, facts)).verdict == "fits"]
    rank = {path: (is_demonstration(records[path]), -recorded_dice(records[path])) for path in fitting}
    return min(fitting, key=rank.__getitem__, default=None)


def first_case(dataset: Dataset) -> ScanFacts:
    """Return what the first case is like; modality and channels as the dataset names them."""
    facts = facts_of(read_image(dataset.files[0].images, len(dataset.channels)))
    stated = {_MODALITIES[word] for name in dataset.channels for word in name.lower().split() if word in _MODALITIES}
    modality = facts.modality or (stated.pop() if len(stated) == 1 else "")
    return replace(facts, modality=modality, names=dataset.channels)
