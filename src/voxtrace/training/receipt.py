"""What fine-tuning changed: of the corrections, how many the new model makes itself, and which old cases got worse.

A correction is a voxel of a case that was added by hand (:mod:`voxtrace.training.add_case`) where the model before is
wrong by the corrected labels, segmenting the case anew as it does by default. Labels of both models are matched by
name. Voxels that nobody annotated do not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from voxtrace.bundle import Bundle
from voxtrace.errors import Cancelled, DatasetError
from voxtrace.inference import PredictOptions, segment
from voxtrace.metrics import dice, finite_mean, region_maps, without_ignored
from voxtrace.plan.regions import LabelRegion
from voxtrace.training.add_case import PROVENANCE
from voxtrace.training.card import ANONYMOUS, CASE_LISTS
from voxtrace.training.dataset import Dataset
from voxtrace.training.finetune import match_channels, match_labels
from voxtrace.training.identity import identify
from voxtrace.training.progress import TrainProgress
from voxtrace.volume import Array, Case, LabelMap, Volume

WORSE = 0.01  # a Dice that fell by more than this is told as worse


@dataclass(frozen=True)
class LearnedCorrection:
    """The corrections of one case.

    Attributes
    ----------
    name, held_back
        Of the case; whether it was held back, not trained on.
    corrected
        Voxels where the model before is wrong.
    learned
        Those of them that the model after has right.
    spoilt
        Voxels that the model before has right, and the model after wrong.
    """

    name: str
    held_back: bool
    corrected: int
    learned: int
    spoilt: int


@dataclass(frozen=True)
class OldCase:
    """Mean Dice of an old case over the labels, or regions, that both models know; NaN where none is drawn."""

    name: str
    before: float
    after: float

    @property
    def change(self) -> float:
        """After minus before; NaN where it is not known."""
        return self.after - self.before

    @property
    def is_worse(self) -> bool:
        """Whether the Dice fell by more than :data:`WORSE`."""
        return self.change < -WORSE


@dataclass(frozen=True)
class FineTuningChange:
    """What fine-tuning changed, on corrected cases and on old ones."""

    corrections: tuple[LearnedCorrection, ...]
    old: tuple[OldCase, ...]

    @property
    def corrected(self) -> int:
        """Voxels where the model before is wrong, of all corrected cases."""
        return sum(one.corrected for one in self.corrections)

    @property
    def learned(self) -> int:
        """Those of them that the model after has right."""
        return sum(one.learned for one in self.corrections)

    @property
    def spoilt(self) -> int:
        """Voxels of corrected cases that only the model before has right."""
        return sum(one.spoilt for one in self.corrections)

    @property
    def worse(self) -> tuple[OldCase, ...]:
        """The old cases that got worse, the worst first."""
        return tuple(sorted((one for one in self.old if one.is_worse), key=lambda one: one.change))

    @property
    def mean_dice(self) -> tuple[float, float] | None:
        """Mean Dice of the old cases before and after; None where it is not known."""
        known = [one for one in self.old if math.isfinite(one.change)]
        return (finite_mean(one.before for one in known), finite_mean(one.after for one in known)) if known else None


def corrected_names(dataset: Dataset) -> tuple[str, ...]:
    """Return the cases of a dataset that were added with a note where their labels come from, as ``add_case`` does."""
    folder = dataset.path if dataset.path.is_dir() else dataset.path.parent
    noted = {file.stem for file in (folder / PROVENANCE).glob("*.json")}
    return tuple(files.name for files in dataset.files if files.name in noted)


def changed_by_fine_tuning(
    before: Bundle,
    after: Bundle,
    dataset: Dataset,
    *,
    device: str = "auto",
    cancel: Callable[[], bool] = lambda: False,
) -> Generator[TrainProgress, None, FineTuningChange]:
    """Yield progress while cases are segmented by both models; return what fine-tuning on a dataset changed.

    Corrected are the cases of :func:`corrected_names`; old are the others that the model after held back.

    Raises
    ------
    DatasetError
        A file of a case cannot be read.
    PlanError
        The models have other channels.
    Cancelled
        It was asked to stop.
    """
    held, corrected = _held_back(after, dataset), corrected_names(dataset)
    old = [name for name in held if name not in corrected]
    task = _compared(before, after, dataset.cases((*corrected, *old)), len(corrected), device, cancel)
    return (yield from _collected(task, frozenset(held), len(corrected) + len(old)))


def changed_on_old_cases(
    before: Bundle,
    after: Bundle,
    dataset: Dataset,
    *,
    device: str = "auto",
    cancel: Callable[[], bool] = lambda: False,
) -> Generator[TrainProgress, None, FineTuningChange]:
    """Yield progress while both models segment the cases that the one before held back; return what changed on them.

    ``dataset`` is the one that the model before was trained on.

    Raises
    ------
    DatasetError
        None of the cases that the model before held back is in the dataset, or a file of a case cannot be read.
    PlanError
        The models have other channels.
    Cancelled
        It was asked to stop.
    """
    names = _held_back(before, dataset)
    if not names:
        raise DatasetError(
            f"{dataset.name} has none of the cases that the card of {before.name} lists as held back. Give the dataset "
            "that it was trained on."
        )
    task = _compared(before, after, dataset.cases(names), 0, device, cancel)
    return (yield from _collected(task, frozenset(names), len(names)))


def _held_back(bundle: Bundle, dataset: Dataset) -> list[str]:
    """Return the cases of a dataset that a model held back: by the names in its card, or without names by images."""
    made = bundle.card.get("provenance", {})
    rows = made.get(CASE_LISTS[1], ())
    if made.get(ANONYMOUS):
        images = {tuple(row["images"]) for row in rows}
        return [files.name for files in dataset.files if identify(files).images in images] if images else []
    known = {files.name for files in dataset.files}
    return [row["name"] for row in rows if row["name"] in known]


_Either = LearnedCorrection | OldCase


def _collected(
    task: Generator[_Either, None, None], held: frozenset[str], total: int
) -> Generator[TrainProgress, None, FineTuningChange]:
    done: list[_Either] = []
    for one in task:
        done.append(one)
        yield TrainProgress("receipt", len(done), total)
    corrections = [replace(one, held_back=one.name in held) for one in done if isinstance(one, LearnedCorrection)]
    return FineTuningChange(tuple(corrections), tuple(one for one in done if isinstance(one, OldCase)))


def _compared(
    before: Bundle, after: Bundle, cases: Sequence[Case], corrected: int, device: str, cancel: Callable[[], bool]
) -> Generator[_Either, None, None]:
    """Yield what changed on each case; the first ``corrected`` are corrected ones."""
    order = match_channels(before, after.plan.channels)
    common = match_labels(before.plan.labels, after.plan.labels)
    for number, case in enumerate(cases):
        if cancel():
            raise Cancelled("stopped while measuring what changed; the new model is kept.")
        old = _renumbered(_answer(before, _in_order(case.volume, order), device, cancel), common)
        new = _answer(after, case.volume, device, cancel)
        if number < corrected:
            yield _learned(case, old, new, after.plan.ignored)
        else:
            values, regions = [value for value in common if value], _common_regions(before, after)
            scores = (_mean_dice(one, case, values, regions, after.plan.ignored) for one in (old, new))
            yield OldCase(case.name, *scores)


def _in_order(volume: Volume, order: Sequence[int]) -> Volume:
    """Return a volume's channels as the model before has them; ``order`` as :func:`match_channels` returns it."""
    if tuple(order) == tuple(range(len(order))):
        return volume
    back = [list(order).index(channel) for channel in range(len(order))]
    channels = tuple(volume.channels[channel] for channel in back) if volume.channels else ()
    return replace(volume, data=volume.data[back], channels=channels)


def _answer(bundle: Bundle, volume: Volume, device: str, cancel: Callable[[], bool]) -> Array:
    """Return the labels (Z, Y, X) that a model gives by default."""
    task = segment(bundle, volume, PredictOptions(keep="last", device=device), cancel=cancel)
    while True:
        try:
            next(task)
        except StopIteration as stop:
            return np.asarray(stop.value.labels.data)


def _renumbered(labels: Array, common: Mapping[int, int]) -> Array:
    """Return labels of the model before with the new values; those that the new model does not know are background."""
    table = np.zeros(max(int(labels.max()), *common.values()) + 1, np.uint16)
    for new, old in common.items():
        table[old] = new
    return table[labels]


def _learned(case: Case, old: Array, new: Array, ignored: int | None) -> LearnedCorrection:
    true = np.asarray(case.labels.data)
    seen = np.ones(true.shape, bool) if ignored is None else true != ignored
    was_wrong, is_wrong = seen & (old != true), seen & (new != true)
    corrected, learned, spoilt = (
        int(np.count_nonzero(mask)) for mask in (was_wrong, was_wrong & ~is_wrong, is_wrong & ~was_wrong)
    )
    return LearnedCorrection(case.name, False, corrected, learned, spoilt)


def _common_regions(before: Bundle, after: Bundle) -> list[LabelRegion]:
    """Return the regions of the new model that the one before has, too, by name; none where both have labels."""
    known = {region.name.casefold() for region in before.plan.regions}
    return [region for region in after.plan.regions if region.name.casefold() in known]


def _mean_dice(
    labels: Array, case: Case, values: Sequence[int], regions: Sequence[LabelRegion], ignored: int | None
) -> float:
    """Return the mean Dice over regions, or where there are none over label values; NaN where none is drawn."""
    found, true = without_ignored(LabelMap(labels, case.labels.geometry), case.labels, ignored)
    if regions:
        pairs = zip(region_maps(found, regions), region_maps(true, regions), strict=True)
        return finite_mean(dice(one, other, 1, absent=float("nan")) for one, other in pairs)
    return finite_mean(dice(found, true, value, absent=float("nan")) for value in values)
