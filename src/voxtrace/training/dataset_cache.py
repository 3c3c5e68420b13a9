"""The cache of a dataset in the user's cache folder: its folds and its plan, shared by every fold and method."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError
from voxtrace.safe_text import read_json, well_formed
from voxtrace.training.layouts.record import FILE
from voxtrace.training.split import draw_folds

_SPLIT = "split.json"


def user_folder() -> Path:
    """Return the folder of all datasets' caches, e.g. ``~/.cache/voxtrace/datasets``; it need not be there."""
    return platformdirs.user_cache_path("voxtrace", appauthor=False) / "datasets"


def cache_of(dataset: Path) -> Path:
    """Return the cache folder of the dataset at a path; it need not be there.

    However a dataset is given, by a link or by its ``dataset.json``, its folds and plan are the same.
    """
    whole = (dataset.parent if dataset.name == FILE and dataset.is_file() else dataset).resolve()
    place = well_formed(str(whole))
    name = re.sub(r"[^\w.-]+", "_", well_formed(whole.name)).strip("._") or "dataset"
    return user_folder() / f"{name[:60]}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"


def stored_folds(dataset: Path, subjects: Iterable[str]) -> dict[str, int]:
    """Return the fold of each subject: the stored one, else one that is drawn and stored now.

    Where the cache cannot be written, the folds are the same as long as no subject is added.
    """
    file = cache_of(dataset) / _SPLIT
    known = _read(file)
    folds = draw_folds(subjects, known)
    if folds.keys() - known.keys():
        with suppress(OutputError), atomic_file(file) as temporary:
            temporary.write_text(json.dumps({"folds": {**folds, **known}}, indent=1), encoding="utf-8")
    return folds


def _read(file: Path) -> Mapping[str, int]:
    """Return stored folds; a file that is missing or damaged has none, and is written anew."""
    try:
        folds = read_json(file)["folds"]
        return {str(subject): int(fold) for subject, fold in folds.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
