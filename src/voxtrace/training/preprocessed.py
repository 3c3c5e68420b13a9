"""Preprocessed cases: normalised, on the network grid, in compressed chunks that windows are cut from.

A folder a case: ``image.zarr`` (C, Z, Y, X) float32, ``labels.zarr`` (Z, Y, X) uint8, ``scan.json``, ``body.json``:
rows and columns of a CT that are not air alone, ``foreground.npy`` (N, 4): label and (z, y, x) of up to 2,000 voxels
of each label or region, and, where voxels are ignored, 0 and the places of up to 2,000 of all others;
``source.json``: what it was made from, and ``checksums.json`` of the small files. A case whose files, plan or seed
are others now, or one of whose small files is damaged, is prepared anew. A window reads the chunks that it touches,
each with a checksum of its own, see :mod:`voxtrace.training.chunked`.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import google_crc32c
import numpy as np

from voxtrace.atomic import atomic_folder
from voxtrace.errors import DatasetError, OutputError
from voxtrace.fit import TrainingScans, facts_of
from voxtrace.plan import Plan, Shape
from voxtrace.preprocess import CropAndOrder, PlaneStream, body_box, body_spans, grid_of, network_labels
from voxtrace.safe_text import read_json
from voxtrace.training.chunked import ChunkedArray, opened, write_chunked
from voxtrace.training.identity import CaseIdentity, identify, unread
from voxtrace.volume import Array, Case

VOXELS_PER_LABEL = 2_000
AT_ONCE = 2  # cases in memory; resampling and hashing let other threads run
SOURCE = "source.json"
CHECKSUMS = "checksums.json"
BODY = "body.json"
_SMALL = ("image.zarr/zarr.json", "labels.zarr/zarr.json", "foreground.npy", "scan.json", BODY)
PREPARATION = 5  # raise it with every change of how cases are prepared, or stored ones are taken as they were
_OF_TRAINING = {  # fields of a plan on which prepared cases do not depend
    *("window", "overlap", "topology", "mirror_axes", "augmentation"),
    *("batch_dice", "batch_size", "iterations", "modality"),
}


@dataclass(frozen=True)
class PreprocessedCase:
    """One case on disk, normalised and on the network grid, ready to cut windows from; and what it was made from."""

    folder: Path
    scores: Mapping[str, float]
    identity: CaseIdentity | None = None

    @property
    def scan(self) -> TrainingScans:
        """Size, spacing and intensities of the scan, as the ranges of one case."""
        found = TrainingScans.from_record({"training_scans": read_json(self.folder / "scan.json")})
        assert found is not None
        return found

    @property
    def image(self) -> ChunkedArray:
        """(C, Z, Y, X) float32, read where it is indexed."""
        return opened(self.folder / "image.zarr", 4)

    @property
    def labels(self) -> ChunkedArray:
        """(Z, Y, X) uint8 or uint16, read where it is indexed."""
        return opened(self.folder / "labels.zarr", 3)

    @property
    def foreground(self) -> Array:
        """(N, 4) int32: label, z, y, x; of a plan with regions the first column numbers these, from 1.

        Rows with 0 occur only where voxels are ignored: any voxels that are not, whatever their label, each as likely.
        """
        return _mapped(self.folder / "foreground.npy")

    def body(self, plan: Plan) -> tuple[slice, slice, slice] | None:
        """Return the part of ``labels`` that windows of a prediction are laid over: the body of a CT; None for all."""
        kept = read_json(self.folder / BODY)
        crop_order = CropAndOrder(tuple(kept["shape"]), tuple(kept["spacing_mm"]))
        return body_box(kept["spans"], plan, crop_order)


def preprocess_cases(
    cases: Sequence[Case], plan: Plan, folder: Path, seed: int, *, shared: bool = False
) -> Iterator[PreprocessedCase]:
    """Yield every case preprocessed under ``folder``, in order; one that was made of the same files already is kept.

    Cases lie in folders with their number, or in a ``shared`` folder with a digest of what they are made from: every
    run that prepares the same case in the same way, e.g. for another fold or method, then takes it from there.
    """
    how = {"preparation": PREPARATION, "plan": _preprocessing_of(plan), "seed": seed}
    waiting: deque[Future[PreprocessedCase]] = deque()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="voxtrace-preprocess") as pool:
        for number in range(len(cases)):
            waiting.append(pool.submit(_load_or_preprocess, cases, number, plan, folder, how, shared))
            if len(waiting) == AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def cut(array: Array | ChunkedArray, start: Sequence[int], size: Shape) -> Array:
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
    try:
        array: Array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (SyntaxError, TokenError) as error:  # the header is a literal of Python
        raise ValueError(f"{file} is no array") from error
    return array


def _load_or_preprocess(
    cases: Sequence[Case], number: int, plan: Plan, folder: Path, how: Mapping[str, Any], shared: bool
) -> PreprocessedCase:
    source = unread(cases, number)
    identity = identify(source)
    made_from = json.dumps({**how, "case": identity.to_json()})
    target = folder / (hashlib.sha256(made_from.encode()).hexdigest()[:24] if shared else f"{number:05d}")
    damaged = target.exists()  # unless it proves to be sound: one that another run makes from now on is kept
    found = _stored(target, identity) if _stored_source(target) == made_from else None
    if found is None:
        # by name, not number, which is another in another fold
        rng = np.random.default_rng([how["seed"], zlib.crc32(identity.name.encode("utf-8", "surrogatepass"))])
        case = source if isinstance(source, Case) else source.load()
        _preprocess(case, plan, target, rng, made_from, replace=damaged)
        found = _stored_soon(target, identity)
    if found is None:
        raise OutputError(f"{target} does not hold what was just written into it; check the disk.")
    return found


def _stored(target: Path, identity: CaseIdentity) -> PreprocessedCase | None:
    """Return the case in a folder; None where it is not there, or damaged, so that it is made again."""
    try:
        if read_json(target / CHECKSUMS) != _checksums(target):
            return None
        case = PreprocessedCase(target, identity.scores, identity)
        return case if case.scan.cases and _fit_together(case.image, case.labels, case.foreground) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, EOFError):
        return None
    except DatasetError:  # the header or index of an array
        return None


def _stored_soon(target: Path, identity: CaseIdentity) -> PreprocessedCase | None:
    """Return the case in a folder that another run may just be replacing; None where it stays away for 2 seconds."""
    for wait_s in (0.0, 0.01, 0.04, 0.15, 0.4, 0.6, 0.8):
        time.sleep(wait_s)
        if found := _stored(target, identity):
            return found
    return None


def _checksums(target: Path) -> dict[str, int]:
    """Return the CRC-32C of each small file."""
    return {name: google_crc32c.value((target / name).read_bytes()) for name in _SMALL}


def _fit_together(image: ChunkedArray, labels: ChunkedArray, foreground: Array) -> bool:
    """Return whether arrays are of the types and shapes that are written, and every drawn voxel lies in them."""
    if image.ndim != 4 or image.dtype != np.float32 or labels.shape != image.shape[1:] or labels.dtype.kind != "u":
        return False
    if foreground.ndim != 2 or foreground.shape[1] != 4 or foreground.dtype != np.int32:
        return False
    voxels = foreground[:, 1:]
    return not len(voxels) or bool((voxels >= 0).all() and (voxels < labels.shape).all())


def _stored_source(target: Path) -> str | None:
    """Return what a prepared case was made from; None where there is none, or its note is damaged."""
    try:
        return (target / SOURCE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _preprocessing_of(plan: Plan) -> str:
    """Return a SHA-256 of all in a plan on which prepared cases depend."""
    fields = plan.model_dump(mode="json", exclude=_OF_TRAINING)
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _preprocess(
    case: Case, plan: Plan, target: Path, rng: np.random.Generator, made_from: str, *, replace: bool
) -> None:
    """Write a prepared case; without ``replace``, of runs that prepare it at once, the first one's is kept."""
    grid = grid_of(case.volume, plan)
    labels = network_labels(case.labels, plan, grid)
    with atomic_folder(target, replace=replace) as folder:
        write_chunked(folder / "image.zarr", PlaneStream(grid, case.volume, plan).planes(0, grid.shape[0]))
        write_chunked(folder / "labels.zarr", labels)
        np.save(folder / "foreground.npy", _draw_foreground(labels, rng, plan))
        (folder / SOURCE).write_text(made_from, encoding="utf-8")
        scan = TrainingScans.of([facts_of(case.volume)], plan.normalisation)
        (folder / "scan.json").write_text(json.dumps(scan.to_json()), encoding="utf-8")
        (folder / BODY).write_text(json.dumps(_body(case, plan)), encoding="utf-8")
        (folder / CHECKSUMS).write_text(json.dumps(_checksums(folder)), encoding="utf-8")


def _body(case: Case, plan: Plan) -> dict[str, Any]:
    """Return where the body lies in a scan, and the scan's size; its box depends on the window, too."""
    geometry = case.volume.geometry
    return {"shape": geometry.shape, "spacing_mm": geometry.spacing_mm, "spans": body_spans(case.volume, plan)}


def _drawn(labels: Array, plan: Plan) -> Iterator[tuple[int, Array]]:
    """Yield number and mask of what windows are centred on: labels or regions; 0 is all that is not ignored."""
    values = list(map(int, np.unique(labels)))
    if plan.ignored in values:
        yield 0, labels != plan.ignored
    for value in values if not plan.regions else ():
        if value and value != plan.ignored:
            yield value, labels == value
    for number, region in enumerate(plan.regions, 1):
        yield number, region.inside(labels)


def _draw_foreground(labels: Array, rng: np.random.Generator, plan: Plan) -> Array:
    """Return number and place of voxels that are drawn alike from each mask of :func:`_drawn`."""
    rows = [np.zeros((0, 4), np.int32)]
    for value, mask in _drawn(labels, plan):
        voxels = np.argwhere(mask)
        chosen = voxels[rng.permutation(len(voxels))[:VOXELS_PER_LABEL]]
        rows.append(np.column_stack([np.full(len(chosen), value), chosen]).astype(np.int32))
    return np.concatenate(rows)
