"""Which models a dataset can be trained from: the verdict of each on its first case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxtrace.errors import VoxTraceError
from voxtrace.fit import ScanFacts, facts_of, fit, suggest
from voxtrace.plugin.models.train_form import DatasetFit
from voxtrace.training.dataset import read_image
from voxtrace.training.dataset_listing import DatasetListing, read_listing

_MODALITIES = {"ct": "CT", "mr": "MR", "mri": "MR", "t1": "MR", "t2": "MR", "flair": "MR", "pet": "PT"}


def dataset_fit(dataset: str, records: Mapping[Path, Mapping[str, Any]]) -> DatasetFit:
    """Return which of these bundles fit the first case of a dataset, and the one to start from, if any.

    A dataset that cannot be read has no verdicts; training says what is wrong with it.
    """
    try:
        facts = first_case(read_listing(Path(dataset)))
    except VoxTraceError:
        return DatasetFit(dataset)
    fits = {path: fit(record, facts) for path, record in records.items()}
    return DatasetFit(dataset, suggest(records, facts), fits)


def first_case(listing: DatasetListing) -> ScanFacts:
    """Return what the first case is like; modality and channels as ``dataset.json`` names them."""
    paths = next(iter(listing.images.values()))
    facts = facts_of(read_image(paths, len(listing.channels)))
    stated = {_MODALITIES[word] for name in listing.channels for word in name.lower().split() if word in _MODALITIES}
    modality = facts.modality or (stated.pop() if len(stated) == 1 else "")
    return replace(facts, modality=modality, names=listing.channels)
