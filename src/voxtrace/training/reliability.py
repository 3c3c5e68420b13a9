"""Reliability and difficulty of cases, from how well several candidate label maps of each agree (CDL-UNet).

Candidates are label maps of one image by different people or models. With d_ij the Dice of candidates i and j, averaged
over labels::

            candidate 1    2    3
    1           .   .97  .89      RS_1 = (.97 + .89) / 2 = .93     the most reliable: it is kept
    2          .97   .   .82      RS_2 = .895
    3          .89  .82   .       RS_3 = .855                      DS = .93, the smallest Dice of the kept one .89

A high difficulty score DS is an easy case: its candidates agree.

References
----------
CDL-UNet, a curriculum-driven lightweight 3D U-Net, MICCAI FLARE 2024 (https://openreview.net/forum?id=1ZR6Hsb8z3).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxtrace.atomic import atomic_file, atomic_folder
from voxtrace.errors import Cancelled, DatasetError, GeometryError, UsageError, VoxTraceError
from voxtrace.io import write
from voxtrace.io.child.guarded import read
from voxtrace.training.dataset import CHOSEN, SCORES, read_image
from voxtrace.training.dataset_listing import DatasetListing, read_listing
from voxtrace.volume import Array, Geometry, LabelMap

LEAST_CANDIDATES = 3  # of two, none is more reliable than the other
TIE = 9  # decimals beyond which reliabilities count as equal


@dataclass(frozen=True)
class CaseScore:
    """How well the candidates of one case agree; all numbers from 0 to 1.

    Attributes
    ----------
    reliability
        RS of the kept candidate.
    difficulty, difficulty_min
        Mean (DS) and smallest Dice of the kept candidate with the others; high is easy.
    chosen
        Which candidate is kept, 0-based: that of the largest RS, the first of equals.
    reliabilities
        RS of each candidate.
    foreground_voxels
        Of the kept candidate, without ignored ones; a case with 0 is flagged, and learned by no curriculum.

    A score is NaN where no label is in any of the maps that are compared.
    """

    reliability: float
    difficulty: float
    difficulty_min: float
    chosen: int
    reliabilities: tuple[float, ...]
    foreground_voxels: int = 1


@dataclass(frozen=True)
class DatasetScores:
    """The scores of a dataset.

    Attributes
    ----------
    candidates
        Folders of label maps that were compared.
    background
        Whether the background counted as a label.
    cases, failed
        Case -> its scores, or the sentence that says why it could not be scored.
    missing
        Cases that lack a label map in some folder.
    """

    candidates: tuple[Path, ...]
    background: bool
    cases: Mapping[str, CaseScore]
    failed: Mapping[str, str]
    missing: tuple[str, ...]


def score_dataset(
    folder: Path,
    candidates: Sequence[Path],
    *,
    background: bool = False,
    cancel: Callable[[], bool] = lambda: False,
) -> Generator[tuple[int, int], None, DatasetScores]:
    """Yield (cases done, cases to do), and write scores and chosen labels into the dataset when all are done.

    ``scores.json`` and ``labelsChosen`` are replaced whole; ``labelsTr`` is never touched and need not exist. A case
    takes part if every candidate folder has ``<case>`` with the dataset's file ending.

    Parameters
    ----------
    folder
        In nnU-Net's raw layout.
    candidates
        Three or more folders of label maps on the images' grids.
    background
        Count the background as a label in the mean over labels; that raises every score.
    cancel
        Called after each case; True stops, and nothing is written.

    Raises
    ------
    UsageError
        Fewer than three folders, the same one twice, or one that does not exist.
    DatasetError
        The dataset cannot be read, no case has all candidates, or none could be scored.
    OutputError
        The dataset cannot be written into.
    """
    _check(candidates)
    listing = read_listing(folder)
    complete, missing = _candidate_files(listing, candidates)
    if not complete:
        raise DatasetError(
            f"no case of {folder} has a file CASE{listing.ending} in every label folder; name the files like the cases."
        )
    with atomic_folder(folder / CHOSEN) as target:
        scores, failed = yield from _score_cases(listing, complete, target, background, cancel)
    scoring = DatasetScores(tuple(candidates), background, scores, failed, missing)
    _record(scoring, folder / SCORES)
    yield len(complete), len(complete)
    return scoring


def reliability_scores(dice: npt.NDArray[np.float64]) -> CaseScore:
    """Return the scores that follow from the Dice of each pair of candidates, (n, n) symmetric; n is at least 3.

    A pair with a Dice of NaN, two maps without any label, is left out.
    """
    n = len(dice)
    others = np.ma.masked_invalid(dice[~np.eye(n, dtype=bool)].reshape(n, n - 1))
    reliabilities = others.mean(axis=1).filled(np.nan)
    kept = int(np.argmax(np.nan_to_num(reliabilities, nan=-1.0).round(TIE)))
    return CaseScore(
        reliability=float(reliabilities[kept]),
        difficulty=float(reliabilities[kept]),
        difficulty_min=float(np.ma.filled(others[kept].min(), np.nan)),
        chosen=kept,
        reliabilities=tuple(float(r) for r in reliabilities),
    )


def pairwise_dice(maps: Sequence[Array], n_labels: int, *, background: bool = False) -> npt.NDArray[np.float64]:
    """Return the Dice of each pair of label maps (Z, Y, X), averaged over labels: (n, n), 1 on the diagonal.

    A label that neither map has is left out of the mean: two maps that both miss an organ do not agree on it. The Dice
    of two maps without any label is NaN. The background takes part if asked for. Voxels with the value ``n_labels``
    in either map, which nobody annotated, are left out.
    """
    dice = np.eye(len(maps))
    for i, j in combinations(range(len(maps)), 2):
        dice[i, j] = dice[j, i] = _mean_dice(maps[i], maps[j], n_labels, first=0 if background else 1)
    return dice


def cleaned(data: Array, n_labels: int, *, ignore: bool = False) -> Array:
    """Return labels as uint8 or uint16, with 0 for every value outside 0 … ``n_labels`` − 1.

    With ``ignore`` the value ``n_labels`` stays, too: voxels that nobody annotated.
    """
    n_values = n_labels + ignore
    kind = np.uint8 if n_values <= 256 else np.uint16
    return np.where((data >= 0) & (data < n_values), data, 0).astype(kind)


def _check(candidates: Sequence[Path]) -> None:
    if len(candidates) < LEAST_CANDIDATES:
        raise UsageError(
            f"{len(candidates)} label folder(s) were given; expected {LEAST_CANDIDATES} or more, since of two none is "
            "more reliable than the other."
        )
    for number, folder in enumerate(candidates):
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; give folders of label maps.")
        if folder.resolve() in [other.resolve() for other in candidates[:number]]:
            raise UsageError(f"label folder {folder} is given twice; a map always agrees with itself, so name it once.")


def _candidate_files(listing: DatasetListing, folders: Sequence[Path]) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    """Return the label maps of each case that has one in every folder, and the names of the other cases."""
    files = {name: [folder / f"{name}{listing.ending}" for folder in folders] for name in listing.images}
    complete = {name: paths for name, paths in files.items() if all(path.is_file() for path in paths)}
    return complete, tuple(sorted(files.keys() - complete.keys()))


def _score_cases(
    listing: DatasetListing,
    complete: Mapping[str, Sequence[Path]],
    target: Path,
    background: bool,
    cancel: Callable[[], bool],
) -> Generator[tuple[int, int], None, tuple[dict[str, CaseScore], dict[str, str]]]:
    """Score each case and write its chosen labels into ``target``; return scores, and sentences of what failed."""
    scores, failed = dict[str, CaseScore](), dict[str, str]()
    for done, (name, paths) in enumerate(complete.items()):
        yield done, len(complete)
        try:
            scores[name] = _score(listing, name, paths, target, background)
        except VoxTraceError as error:
            failed[name] = str(error)
        if cancel():
            raise Cancelled(f"stopped after {done + 1} of {len(complete)} cases; nothing was written.")
    if not scores:
        raise DatasetError(f"none of {len(complete)} cases could be scored; the first: {next(iter(failed.values()))}")
    return scores, failed


def _score(listing: DatasetListing, name: str, paths: Sequence[Path], target: Path, background: bool) -> CaseScore:
    """Score one case and write its chosen labels into ``target``."""
    geometry, n_labels = read_image(listing.images[name], len(listing.channels)).geometry, len(listing.labels)
    maps = [cleaned(_candidate(path, geometry), n_labels, ignore=listing.ignore) for path in paths]
    score = reliability_scores(pairwise_dice(maps, n_labels, background=background))
    kept = maps[score.chosen]
    score = replace(score, foreground_voxels=int(np.count_nonzero((kept > 0) & (kept < n_labels))))
    names = {value: label for value, label in listing.labels.items() if value}
    write(LabelMap(kept, geometry, names, name=name), target / f"{name}{listing.ending}")
    return score


def _candidate(path: Path, geometry: Geometry) -> Array:
    """Return a candidate's labels (Z, Y, X), as they are, on the image's grid."""
    volume = read(path)
    if not volume.geometry.is_close(geometry):
        raise GeometryError(
            f"{path} {volume.geometry.shape} does not lie on the grid of its image {geometry.shape}; "
            "resample the labels onto it first."
        )
    data: Array = volume.data[0]
    if not np.issubdtype(data.dtype, np.integer) and not np.array_equal(data, np.floor(data)):
        raise DatasetError(f"{path} holds fractions; expected whole numbers, a label for each voxel.")
    return data


def _mean_dice(one: Array, other: Array, n_labels: int, first: int) -> float:
    n_values = n_labels + 1  # the last one is ignored
    pairs = np.zeros(n_values * n_values, np.int64)
    for a, b in zip(one, other, strict=True):  # plane by plane, which keeps the large integers few
        pairs += np.bincount((a.astype(np.int64) * n_values + b).ravel(), minlength=pairs.size)
    table = pairs.reshape(n_values, n_values)[:n_labels, :n_labels]
    both, total = np.diag(table), table.sum(axis=0) + table.sum(axis=1)
    present = total[first:] > 0
    if not present.any():
        return float("nan")
    return float((2.0 * both[first:][present] / total[first:][present]).mean())


def _record(scoring: DatasetScores, file: Path) -> None:
    document = {
        "labels": [str(folder) for folder in scoring.candidates],
        "background": scoring.background,
        "cases": {name: asdict(score) for name, score in scoring.cases.items()},
    }
    with atomic_file(file) as temporary:
        temporary.write_text(json.dumps(document, indent=2), encoding="utf-8")
