"""The one plan of a dataset with its folds, as a file: every fold and method trains by it, so folds can be averaged.

::

    {"format": "voxtrace dataset plan", "version": 1, "dataset": NAME, "device": "cpu",
     "fingerprint": {…}, "plan": {…}, "folds": [{"train": […], "val": […]}, …], "images": {CASE: [mark, …]},
     "label_marks": {CASE: mark}}

``voxtrace plan DATASET --out FILE`` writes one and ``voxtrace train --plan FILE`` takes it. Without these options it
lies in the dataset's cache, and is made anew when channels, labels or images have changed, or labels were redrawn;
cases that are added or removed change nothing. A file that is named stays the plan though labels were redrawn.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from voxtrace.atomic import atomic_file
from voxtrace.errors import DatasetError, PlanError
from voxtrace.io.contents import file_digest, parts_of
from voxtrace.plan import Plan
from voxtrace.safe_text import read_json
from voxtrace.training.dataset import Dataset
from voxtrace.training.dataset_cache import cache_of
from voxtrace.training.planning import Fingerprint
from voxtrace.training.split import Fold, parse_splits

_GZIP, _EXTRA, _END = b"\x1f\x8b", 4, 8  # how it begins; the flag by which blocks are told; bytes of checksum and size
_OF_ENDS, _ENDS = re.compile(r"\d+-[0-9a-f]{16}"), 4096  # a mark of plans of before, and bytes of each end in it
_OF_GZIP = re.compile(r"[0-9a-f]{16}")  # a mark that is the end of a gzip file
FORMAT, VERSION = "voxtrace dataset plan", 1


@dataclass(frozen=True)
class DatasetPlan:
    """A dataset's fingerprint, plan and folds.

    Attributes
    ----------
    dataset, device
        Name of the dataset, and the kind of device it was planned for.
    found, plan, folds
        What the cases look like, the plan, and (training names, validation names) of each fold.
    images
        Case -> a mark of the contents of each of its image files, see :func:`file_mark`.
    label_marks
        Case -> that of its label file; empty in plans of earlier versions.
    """

    dataset: str
    device: str
    found: Fingerprint
    plan: Plan
    folds: tuple[Fold, ...]
    images: Mapping[str, tuple[str, ...]]
    label_marks: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(dataset: Dataset, device: str, found: Fingerprint, plan: Plan) -> DatasetPlan:
        """Return the plan of a dataset as it is now."""
        marks = image_marks(dataset), label_marks(dataset)
        return DatasetPlan(dataset.name, device, found, plan, dataset.folds, *marks)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "dataset": self.dataset,
            "device": self.device,
            "fingerprint": {
                "shapes": self.found.shapes,
                "spacings_mm": self.found.spacings_mm,
                "foreground": self.found.foreground,
                "zero_fraction": self.found.zero_fraction,
            },
            "plan": self.plan.model_dump(mode="json"),
            "folds": [{"train": training, "val": validation} for training, validation in self.folds],
            "images": self.images,
            "label_marks": self.label_marks,
        }

    def write(self, file: Path) -> None:
        """Write the plan as a file.

        Raises
        ------
        OutputError
            The system refuses.
        """
        with atomic_file(file) as temporary:
            temporary.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    def misfit(self, dataset: Dataset) -> str:
        """Return why the plan is not this dataset's, or the empty string."""
        if self.plan.channels != dataset.channels:
            return f"it has the channels {', '.join(self.plan.channels)}, the dataset {', '.join(dataset.channels)}"
        if (self.plan.labels, self.plan.ignore) != (dataset.labels, dataset.ignore):
            return f"it has the labels {_listed(self.plan)}, the dataset {', '.join(dataset.labels.values())}"
        if self.plan.regions != dataset.regions:
            return "its regions, or the values they are painted with, are not those of the dataset"
        common = {files.name: files.images for files in dataset.files if files.name in self.images}
        if not common:
            return "it names none of the dataset's cases"
        changed = [name for name, images in common.items() if not _are_marked(images, self.images[name])]
        return f"the image of {changed[0]} has changed" if changed else ""

    def redrawn(self, dataset: Dataset) -> list[str]:
        """Return the cases whose labels are others than when the plan was made."""
        marked = self.label_marks
        return [f.name for f in dataset.files if f.name in marked and not _are_marked([f.labels], [marked[f.name]])]

    def folds_for(self, dataset: Dataset) -> tuple[Fold, ...]:
        """Return the plan's folds with cases that were added to the dataset, without those that were removed.

        An added case is held back with the other cases of its subject, else where the dataset has it held back.
        """
        names = {files.name for files in dataset.files}
        known = {name for fold in self.folds for part in fold for name in part}
        added = () if dataset.source else sorted(names - known)
        return tuple(self._fold(number, fold, names, added, dataset) for number, fold in enumerate(self.folds))

    def _fold(
        self, number: int, fold: Fold, names: set[str], added: tuple[str, ...] | list[str], dataset: Dataset
    ) -> Fold:
        training, validation = (tuple(name for name in part if name in names) for part in fold)
        held = {dataset.subjects[name] for name in validation}
        theirs = dataset.folds[number][1] if number < len(dataset.folds) else ()
        seen = {dataset.subjects[name] for name in training}
        out = [n for n in added if dataset.subjects[n] in held or (n in theirs and dataset.subjects[n] not in seen)]
        return (*training, *(n for n in added if n not in out)), (*validation, *out)


def read_plan(file: Path) -> DatasetPlan:
    """Return the plan in a file.

    Raises
    ------
    PlanError
        There is no such file, or it holds no dataset's plan.
    """
    try:
        raw = read_json(file)
        if not isinstance(raw, dict) or raw.get("format") != FORMAT or raw.get("version") != VERSION:
            raise ValueError(f"its format is not {FORMAT!r}, version {VERSION}")
        return _parsed(raw, file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError, DatasetError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PlanError(
            f"{file} holds no plan of a dataset ({reason}); write it with `voxtrace plan DATASET --out FILE`."
        ) from error


def matching_plan(file: Path, dataset: Dataset) -> DatasetPlan:
    """Return the plan in a file, which must be this dataset's.

    Raises
    ------
    PlanError
        It is not; the message says in what.
    """
    plan = read_plan(file)
    if why := plan.misfit(dataset):
        raise PlanError(
            f"{file} is not the plan of {dataset.name}: {why}. "
            f"Write one with `voxtrace plan {dataset.path} --out FILE`."
        )
    return plan


def plan_file(dataset: Dataset, device: str, memory_gb: float, labels: str = "") -> Path:
    """Return where a dataset's plan for a device lies in its cache; ``labels`` as for ``open_dataset``."""
    kind = device if device == "cpu" else f"{device}-{memory_gb:.0f}gb"
    return cache_of(dataset.path) / f"plan-{kind}{f'-{labels}' if labels else ''}.json"


def stored_plan(file: Path, dataset: Dataset) -> DatasetPlan | None:
    """Return the plan in a dataset's cache; None where there is none that is still this dataset's."""
    try:
        plan = read_plan(file)
    except PlanError:  # not planned yet, or damaged: it is planned anew
        return None
    return None if plan.misfit(dataset) or plan.redrawn(dataset) else plan


def with_folds(dataset: Dataset, plan: DatasetPlan) -> Dataset:
    """Return the dataset with the folds of its plan."""
    return replace(dataset, folds=plan.folds_for(dataset))


def image_marks(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Return a mark of each image file of each case, by which a changed image is noticed."""
    return {files.name: tuple(map(file_mark, files.images)) for files in dataset.files}


def label_marks(dataset: Dataset) -> dict[str, str]:
    """Return a mark of each case's label file; intensities are measured where something is drawn."""
    return {files.name: file_mark(files.labels) for files in dataset.files}


def file_mark(path: Path) -> str:
    """Return a mark of a file's contents, wherever it lies and whenever it was written.

    For gzip it is the checksum that ends the file, and the same however well it was packed. Anything else is read
    whole, with the files in which its header says that its voxels lie: a change may be anywhere.
    """
    parts = tuple(parts_of(path)) if path.is_file() else ()
    packed = _gzip_end(path) if path.is_file() and not parts else ""
    return packed or _digest(path, tuple(map(_state, (path, *parts))))


@functools.lru_cache(maxsize=65_536)
def _digest(path: Path, states: tuple[tuple[int, int, int], ...]) -> str:
    """Return the digest of a file in these states: several folds, or a plan and its check, read it once."""
    return file_digest(path)


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _are_marked(files: Sequence[Path], marks: Sequence[str]) -> bool:
    """Return whether files have these marks, each as it is made now, or of the ends of a file as it once was."""
    return len(files) == len(marks) and all(map(_is_marked, files, marks))


def _is_marked(path: Path, mark: str) -> bool:
    if _OF_ENDS.fullmatch(mark):
        return mark == _mark_of_ends(path)
    # in plans of before the mark of gzip in blocks is the end of the last block, which tells less
    return mark == (_gzip_end(path, blocks=True) if _OF_GZIP.fullmatch(mark) else file_mark(path))


def _mark_of_ends(path: Path) -> str:
    """Return the mark of a file that is not gzip in plans of before: its size, and a digest of both ends."""
    with path.open("rb") as file:
        begin, size = file.read(_ENDS), file.seek(0, 2)
        file.seek(max(0, size - _ENDS))
        return f"{size}-{hashlib.sha256(begin + file.read()).hexdigest()[:16]}"


def _gzip_end(path: Path, blocks: bool = False) -> str:
    """Return checksum and size that end a gzip file; "" for others, and, unless asked for, for gzip in blocks.

    Each block has an end of its own.
    """
    with path.open("rb") as file:
        begin = file.read(4)
        if len(begin) < 4 or begin[:2] != _GZIP or (begin[3] & _EXTRA and not blocks):
            return ""
        file.seek(-_END, 2)
        return file.read().hex()


def _parsed(raw: Mapping[str, Any], file: Path) -> DatasetPlan:
    found = raw["fingerprint"]
    return DatasetPlan(
        dataset=str(raw["dataset"]),
        device=str(raw["device"]),
        found=Fingerprint(
            tuple(tuple(map(int, shape)) for shape in found["shapes"]),  # type: ignore[misc]
            tuple(tuple(map(float, spacing)) for spacing in found["spacings_mm"]),  # type: ignore[misc]
            tuple(tuple(map(float, stats)) for stats in found["foreground"]),  # type: ignore[misc]
            float(found["zero_fraction"]),
        ),
        plan=Plan.model_validate(raw["plan"]),
        folds=parse_splits(raw["folds"], file) if raw["folds"] else (),
        images={str(name): tuple(map(str, marks)) for name, marks in raw["images"].items()},
        label_marks={str(name): str(mark) for name, mark in raw.get("label_marks", {}).items()},
    )


def _listed(plan: Plan) -> str:
    return ", ".join(plan.labels.values())
