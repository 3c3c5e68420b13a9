"""Small made-up cases and datasets that several tests train on."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar

from voxtrace.io import write
from voxtrace.plan import Plan
from voxtrace.testing.balls import ball as ball  # noqa: PLC0414

T = TypeVar("T")


def drain(task: Generator[Any, None, T]) -> T:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(task)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def small_plan(**changes: Any) -> Plan:
    """A plan for balls: window 16³, two labels, three narrow stages."""
    plan = Plan.example(labels=2, window=(16, 16, 16), base_width=4)
    return plan.model_copy(update={"batch_size": 2, "iterations": 12, "mirror_axes": (), **changes})


def ball_dataset(folder: Path, n: int = 5, channels: dict[str, str] | None = None) -> Path:
    """Write balls in nnU-Net's raw layout and return the folder."""
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    for case in map(ball, range(n)):
        write(case.volume, folder / "imagesTr" / f"{case.name}_0000.nii.gz")
        write(case.labels, folder / "labelsTr" / f"{case.name}.nii.gz")
    record = {
        "channel_names": channels or {"0": "MR"},
        "labels": {"background": 0, "ball": 1},
        "numTraining": n,
        "file_ending": ".nii.gz",
        "name": "Balls",
    }
    (folder / "dataset.json").write_text(json.dumps(record))
    return folder
