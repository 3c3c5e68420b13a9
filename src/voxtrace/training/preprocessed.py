"""Preprocessed cases: normalised, on the network grid, as memory-mapped ``.npy`` files that windows are cut from.

A folder a case: ``image.npy`` (C, Z, Y, X) float32, ``labels.npy`` (Z, Y, X) uint8, ``scan.json`` and
``foreground.npy`` (N, 4): label and (z, y, x) of up to 2,000 voxels of each label. Plain ``.npy`` because a window is
then one page-wise read, in any number of worker processes, without decompressing anything.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxtrace.atomic import atomic_folder
from voxtrace.errors import OutputError
from voxtrace.fit import TrainingScans, facts_of
from voxtrace.plan import Plan, Shape
from voxtrace.preprocess import PlaneStream, grid_of, network_labels
from voxtrace.safe_text import read_json
from voxtrace.volume import Array, Case

VOXELS_PER_LABEL = 2_000
AT_ONCE = 2  # cases in memory; resampling lets other threads run


@dataclass(frozen=True)
class PreprocessedCase:
    """One case on disk, normalised and on the network grid, ready to cut windows from."""

    folder: Path
    scores: Mapping[str, float]

    @property
    def scan(self) -> TrainingScans:
        """Size, spacing and intensities of the scan, as the ranges of one case."""
        found = TrainingScans.from_record({"training_scans": read_json(self.folder / "scan.json")})
        assert found is not None
        return found

    @property
    def image(self) -> Array:
        """(C, Z, Y, X) float32, memory-mapped."""
        return _mapped(self.folder / "image.npy")

    @property
    def labels(self) -> Array:
        """(Z, Y, X) uint8 or uint16, memory-mapped."""
        return _mapped(self.folder / "labels.npy")

    @property
    def foreground(self) -> Array:
        """(N, 4) int32: label, z, y, x; empty for a case without labels."""
        return _mapped(self.folder / "foreground.npy")


def preprocess_cases(cases: Sequence[Case], plan: Plan, folder: Path, seed: int) -> Iterator[PreprocessedCase]:
    """Yield every case preprocessed under ``folder``, in order; a case that is there already is kept."""
    waiting: deque[Future[PreprocessedCase]] = deque()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="voxtrace-preprocess") as pool:
        for number in range(len(cases)):
            rng = np.random.default_rng([seed, number])
            waiting.append(pool.submit(_load_or_preprocess, cases, number, plan, folder / f"{number:05d}", rng))
            if len(waiting) == AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def cut(array: Array, start: Sequence[int], size: Shape) -> Array:
    """Return the box ``start`` … ``start + size`` of the last three axes; what lies outside the array is 0."""
    shape = array.shape[-3:]
    # part of the box that lies inside the array, in the array and in the box
    inner = tuple(slice(max(0, a), max(0, min(n, a + s))) for a, s, n in zip(start, size, shape, strict=True))
    box = np.zeros((*array.shape[:-3], *size), array.dtype)
    target = tuple(slice(i.start - a, i.stop - a) for i, a in zip(inner, start, strict=True))
    if all(i.stop > i.start for i in inner):
        box[..., target[0], target[1], target[2]] = array[..., inner[0], inner[1], inner[2]]
    return box


def _mapped(file: Path) -> Array:
    array: Array = np.load(file, mmap_mode="r", allow_pickle=False)
    return array


def _load_or_preprocess(
    cases: Sequence[Case], number: int, plan: Plan, target: Path, rng: np.random.Generator
) -> PreprocessedCase:
    found = _stored(target)
    if found is None:
        _preprocess(cases[number], plan, target, rng)
        found = _stored(target)
    if found is None:
        raise OutputError(f"{target} does not hold what was just written into it; check the disk.")
    return found


def _stored(target: Path) -> PreprocessedCase | None:
    """Return the case in a folder; None where it is not there, or damaged, so that it is made again."""
    try:
        scores = read_json(target / "scores.json", allow_nan=True)
        case = PreprocessedCase(target, {str(name): float(score) for name, score in scores.items()})
        return case if case.scan.cases and _fit_together(case.image, case.labels, case.foreground) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, EOFError):
        return None


def _fit_together(image: Array, labels: Array, foreground: Array) -> bool:
    """Return whether arrays are of the types and shapes that are written, and every drawn voxel lies in them."""
    if image.ndim != 4 or image.dtype != np.float32 or labels.shape != image.shape[1:] or labels.dtype.kind != "u":
        return False
    if foreground.ndim != 2 or foreground.shape[1] != 4 or foreground.dtype != np.int32:
        return False
    voxels = foreground[:, 1:]
    return not len(voxels) or bool((voxels >= 0).all() and (voxels < labels.shape).all())


def _preprocess(case: Case, plan: Plan, target: Path, rng: np.random.Generator) -> None:
    grid = grid_of(case.volume, plan)
    labels = network_labels(case.labels, plan, grid)
    with atomic_folder(target) as folder:
        np.save(folder / "image.npy", PlaneStream(grid, case.volume, plan).planes(0, grid.shape[0]))
        np.save(folder / "labels.npy", labels)
        np.save(folder / "foreground.npy", _draw_foreground(labels, rng))
        (folder / "scores.json").write_text(json.dumps(dict(case.scores)), encoding="utf-8")
        scan = TrainingScans.of([facts_of(case.volume)], plan.normalisation)
        (folder / "scan.json").write_text(json.dumps(scan.to_json()), encoding="utf-8")


def _draw_foreground(labels: Array, rng: np.random.Generator) -> Array:
    rows = [np.zeros((0, 4), np.int32)]
    for value in np.unique(labels):
        if value == 0:
            continue
        voxels = np.argwhere(labels == value)
        chosen = voxels[rng.permutation(len(voxels))[:VOXELS_PER_LABEL]]
        rows.append(np.column_stack([np.full(len(chosen), value), chosen]).astype(np.int32))
    return np.concatenate(rows)
