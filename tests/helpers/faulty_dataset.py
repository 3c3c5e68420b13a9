"""A dataset with ten faults planted in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from voxtrace.io import read, read_labels, write
from voxtrace.volume import Geometry, Grid, LabelMap

# kind of fault -> what --fix does about it
PLANTED = {
    "damaged": "leave out",
    "grid": "copy header",
    "label values": "leave out",
    "no labels": "leave out",
    "labels without image": "not copied",
    "duplicate": "leave out",
    "two names": "rename",
    "drawn nowhere": "renumber",
    "hidden file": "not copied",
}


def second_channel(folder: Path) -> None:
    """Give every case of a dataset a second channel, twice as bright as the first."""
    for first in (folder / "imagesTr").glob("*_0000.nii.gz"):
        volume = read(first)
        write(replace(volume, data=volume.data * 2), first.with_name(first.name.replace("_0000", "_0001")))
    record = json.loads((folder / "dataset.json").read_text())
    record["channel_names"] = {"0": "T1", "1": "T2"}
    (folder / "dataset.json").write_text(json.dumps(record))


def plant_faults(folder: Path) -> dict[str, tuple[str, str]]:
    """Plant ten faults in a dataset of at least eight cases; return kind -> (case, what --fix does)."""
    images, labels = folder / "imagesTr", folder / "labelsTr"
    names = sorted(file.name.removesuffix(".nii.gz") for file in labels.glob("*.nii.gz"))
    broken = images / f"{names[0]}_0000.nii.gz"
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    _move_origin(labels / f"{names[1]}.nii.gz")
    _draw_strange_value(labels / f"{names[2]}.nii.gz")
    (labels / f"{names[3]}.nii.gz").unlink()
    shutil.copyfile(labels / f"{names[4]}.nii.gz", labels / "orphan.nii.gz")
    (images / f"._{names[4]}_0000.nii.gz").write_bytes(b"\x00\x05\x16\x07")
    for file in images.glob(f"{names[4]}_*"):
        shutil.copyfile(file, images / file.name.replace(names[4], names[5]))
    shutil.copyfile(labels / f"{names[4]}.nii.gz", labels / f"{names[5]}.nii.gz")
    record = json.loads((folder / "dataset.json").read_text())
    last = max(record["labels"].values())
    record["labels"] |= {"again": last, "never": last + 1}
    (folder / "dataset.json").write_text(json.dumps(record))
    cases = {"damaged": 0, "grid": 1, "label values": 2, "no labels": 3, "duplicate": 5}
    planted = {kind: (names[cases[kind]] if kind in cases else "", mending) for kind, mending in PLANTED.items()}
    if len(record["channel_names"]) > 1:
        (images / f"{names[6]}_0001.nii.gz").unlink()
        return planted | {"missing channel": (names[6], "leave out")}
    (folder / "splits_final.json").write_text(json.dumps([{"train": names, "val": names[6:7]}]))
    return planted | {"folds": ("", "not copied")}


def _move_origin(file: Path) -> None:
    found = read_labels(file)
    grid = found.geometry.grid
    x, y, z = grid.origin_mm
    moved = Grid(grid.size, grid.spacing_mm, (x, y + 5.0, z), grid.direction)
    write(LabelMap(found.data, Geometry.from_grid(moved)), file)


def _draw_strange_value(file: Path) -> None:
    found = read_labels(file)
    data = found.data.copy()
    data[0, 0, :3] = 77
    write(replace(found, data=data), file)
