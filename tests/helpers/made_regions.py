"""Balls within balls: regions that overlap, as a dataset and a plan have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cases import small_plan
from voxtrace.io import write
from voxtrace.plan import Plan
from voxtrace.plan.regions import LabelRegion, parse_regions, value_names
from voxtrace.volume import Case, Geometry, LabelMap, Volume

LABELS: dict[str, Any] = {"background": 0, "whole tumour": [1, 2, 3], "tumour core": [2, 3], "enhancing": 3}
ORDER = [1, 2, 3]
NAMES = {1: "whole tumour without tumour core", 2: "tumour core without enhancing", 3: "enhancing"}
REGIONS: tuple[LabelRegion, ...] = parse_regions(LABELS, ORDER)


def region_plan(regions: tuple[LabelRegion, ...] = REGIONS, **changes: Any) -> Plan:
    """A small plan with regions."""
    labels = {0: "background", **value_names(regions)}
    return Plan.model_validate(
        small_plan(**changes).model_dump() | {"labels": labels, "regions": [region.model_dump() for region in regions]}
    )


def nested(seed: int, size: int = 16) -> Case:
    """Balls of radius 6, 4 and 2 mm around one centre, the brighter the smaller, in noise."""
    rng = np.random.default_rng(seed)
    centre = size / 2 + rng.uniform(-1, 1, 3)
    distance = np.sqrt(((np.indices((size, size, size)) - centre.reshape(3, 1, 1, 1)) ** 2).sum(0))
    labels = sum((distance < radius).astype(np.uint8) for radius in (6, 4, 2))
    geometry = Geometry.from_spacing((size, size, size), (1.0, 1.0, 1.0))
    image = (2.0 * labels + rng.normal(0, 0.3, labels.shape)).astype(np.float32)[None]
    return Case(f"nested_{seed:03d}", Volume(image, geometry), LabelMap(labels, geometry))


def nested_dataset(folder: Path, n: int = 5, labels: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write such cases in nnU-Net's raw layout, with ``dataset.json`` as it has regions; return the folder."""
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    for case in map(nested, range(n)):
        write(case.volume, folder / "imagesTr" / f"{case.name}_0000.nii.gz")
        write(case.labels, folder / "labelsTr" / f"{case.name}.nii.gz")
    record = {
        "channel_names": {"0": "MR"},
        "labels": labels or LABELS,
        "regions_class_order": ORDER,
        "numTraining": n,
        "file_ending": ".nii.gz",
        "name": "Nested",
    }
    (folder / "dataset.json").write_text(json.dumps(record | changes))
    return folder
