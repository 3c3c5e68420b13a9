"""Regions for ``--regions``: as a dataset.json or a bundle has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.errors import UsageError

if TYPE_CHECKING:
    from voxtrace.plan.regions import LabelRegion

DATASET = "dataset.json"


@dataclass(frozen=True)
class GivenRegions:
    """Regions to score in place of labels, and the value of voxels that nobody annotated; none where none are asked."""

    regions: tuple[LabelRegion, ...] = ()
    ignored: int | None = None

    @property
    def names(self) -> dict[int, str]:
        """Number, from 1, -> name."""
        return {number: region.name for number, region in enumerate(self.regions, 1)}

    def to_json(self) -> dict[str, Any]:
        """Return ``{"regions": {number: {name, values}}}``; {} where there are none."""
        told = {str(n): {"name": r.name, "values": list(r.values)} for n, r in enumerate(self.regions, 1)}
        return {"regions": told} if told else {}


def given_regions(path: Path | None) -> GivenRegions:
    """Return the regions of a dataset.json, the folder of one, a bundle, or a folder of folds; none for None.

    Raises
    ------
    UsageError
        There is neither, or it has no regions.
    DatasetError
        The dataset.json has another structure.
    BundleError
        The bundle is damaged.
    """
    if path is None:
        return GivenRegions()
    file = path / DATASET if (path / DATASET).is_file() else path
    found = _of_dataset(file) if file.is_file() else _of_bundle(path)
    if not found.regions:
        from voxtrace.plan.regions import EXAMPLE

        raise UsageError(f"{path} has no regions; expected labels such as {EXAMPLE}, or leave --regions out.")
    return found


def _of_dataset(file: Path) -> GivenRegions:
    from voxtrace.training.layouts.record import read_declared

    labels = read_declared(file)
    return GivenRegions(labels.regions, labels.ignore)


def _of_bundle(path: Path) -> GivenRegions:
    from voxtrace.bundle import card
    from voxtrace.inference.fold_folder import fold_paths, is_fold_folder
    from voxtrace.plan import Plan

    record: Mapping[str, Any] = card(fold_paths(path)[0] if is_fold_folder(path) else path)
    plan = Plan.model_validate(record["plan"])
    return GivenRegions(plan.regions, plan.ignored)
