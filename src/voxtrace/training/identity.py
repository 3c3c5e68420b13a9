"""Which cases a training has: names, and SHA-256 of images and labels, so that what goes on knows with what.

Files are hashed as they lie on disk, where they are read anyway; cases made in memory by their voxels and grid.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voxtrace.errors import DatasetError
from voxtrace.io.contents import file_digest
from voxtrace.training.dataset import CaseFiles, CaseFolder
from voxtrace.volume import Array, Case, Geometry

MOST_NAMED = 3  # cases that a sentence names


@dataclass(frozen=True)
class CaseIdentity:
    """What a case was when it was read.

    Attributes
    ----------
    name
        Of the case.
    images, labels
        SHA-256 of each channel's file, in order, and of the label file; of a case in memory, of its arrays.
    scores
        By which the case is drawn.
    """

    name: str
    images: tuple[str, ...]
    labels: str
    scores: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the identity as JSON values."""
        scores = {"scores": dict(self.scores)} if self.scores else {}
        return {"name": self.name, "images": list(self.images), "labels": self.labels, **scores}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> CaseIdentity:
        """Return the identity that :meth:`to_json` wrote.

        Raises
        ------
        KeyError, TypeError
            It is no such record.
        """
        return cls(str(record["name"]), tuple(record["images"]), str(record["labels"]), dict(record.get("scores", {})))

    def changes(self, now: CaseIdentity) -> tuple[str, ...]:
        """Return which of ``"image"``, ``"labels"`` and ``"scores"`` are others now."""
        pairs = {
            "image": (self.images, now.images),
            "labels": (self.labels, now.labels),
            "scores": (json.dumps(dict(self.scores)), json.dumps(dict(now.scores))),  # text: NaN is NaN
        }
        return tuple(name for name, (before, after) in pairs.items() if before != after)


def case_names(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return the names of cases without reading any; cases that are made when they are asked for have numbers."""
    if isinstance(cases, CaseFolder):
        return tuple(files.name for files in cases.files)
    if isinstance(cases, (list, tuple)):
        return tuple(case.name for case in cases)
    return tuple(f"{number:05d}" for number in range(len(cases)))


def unread(cases: Sequence[Case], number: int) -> Case | CaseFiles:
    """Return one of the cases without reading its files; without files, the case."""
    return cases.files[number] if isinstance(cases, CaseFolder) else cases[number]


def identify(case: Case | CaseFiles) -> CaseIdentity:
    """Return the identity of a case: files are hashed, not decoded; arrays are hashed with their grid.

    Raises
    ------
    DatasetError
        A file cannot be read.
    """
    if isinstance(case, CaseFiles):
        return _of_files(case)
    images = tuple(_of_array(channel, case.volume.geometry) for channel in case.volume.data)
    return CaseIdentity(case.name, images, _of_array(case.labels.data, case.labels.geometry), dict(case.scores))


def changed_cases(before: Sequence[CaseIdentity], now: Sequence[CaseIdentity]) -> dict[str, tuple[str, ...]]:
    """Return the names of cases that are in both, but not the same, and what of them changed."""
    known = {case.name: case for case in before}
    found = {case.name: known[case.name].changes(case) for case in now if case.name in known}
    return {name: what for name, what in found.items() if what}


def is_another_dataset(before: Sequence[CaseIdentity], now: Sequence[CaseIdentity]) -> bool:
    """Return whether no image is one that was there before."""
    known = {image for case in before for image in case.images}
    return bool(known) and bool(now) and not any(image in known for case in now for image in case.images)


def change_words(changed: Mapping[str, Sequence[str]]) -> str:
    """Return what changed as words, e.g. ``"labels of a, b; image of c"``, at most three cases of each kind."""
    by_kind: dict[str, list[str]] = {}
    for name, what in changed.items():
        by_kind.setdefault(" and ".join(what), []).append(name)
    return "; ".join(f"{what} of {few(names)}" for what, names in by_kind.items())


def few(names: Sequence[str]) -> str:
    """Return names as words, the first three of many.

    Examples
    --------
    >>> few(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _of_files(files: CaseFiles) -> CaseIdentity:
    try:
        images = tuple(file_digest(path) for path in files.images)
        return CaseIdentity(files.name, images, file_digest(files.labels), dict(files.scores))
    except OSError as error:
        raise DatasetError(
            f"case {files.name}: {error.filename} cannot be read ({error.strerror}); restore it or remove the case."
        ) from error


def _of_array(array: Array, geometry: Geometry) -> str:
    digest = hashlib.sha256()
    for part in _parts(array, geometry):
        digest.update(part)
    return digest.hexdigest()


def _parts(array: Array, geometry: Geometry) -> Iterator[bytes]:
    """Yield what makes an array on a grid: type, shape, values, grid."""
    yield f"{array.dtype.str} {array.shape}".encode()
    yield np.ascontiguousarray(array).tobytes()
    yield np.asarray(geometry.affine, np.float64).tobytes()
