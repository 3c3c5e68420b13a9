"""``voxtrace plan``: what a dataset looks like, and the plan that follows from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson, DatasetFolder, Device
from voxtrace.cli.output import print_facts, print_json, print_line, progress_bar, reserve_stdout_for_json

if TYPE_CHECKING:
    from collections.abc import Generator

    from voxtrace.plan import Plan
    from voxtrace.training import Fingerprint, TrainProgress


def plan(
    dataset: DatasetFolder,
    device: Device = "auto",
    memory_gb: Annotated[
        float | None, typer.Option(min=1.0, help="Memory of the device to plan for; its own if unset.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read every training case of a dataset once and print its fingerprint and the plan for a device."""
    from voxtrace.training import open_dataset
    from voxtrace.training.setup import plan_cases

    with reserve_stdout_for_json(as_json):
        opened = open_dataset(dataset)
        cases = opened.cases([files.name for files in opened.files])
        found, made = _show(plan_cases(opened, cases, device=device, memory_gb=memory_gb))
    document = {"dataset": opened.name, "fingerprint": _fingerprint(found), "plan": json.loads(made.model_dump_json())}
    if as_json:
        print_json(document)
        return
    print_line(f"{opened.name}\n")
    print_facts(document["fingerprint"])
    print_line()
    print_facts(document["plan"])


def _show(task: Generator[TrainProgress, None, tuple[Fingerprint, Plan]]) -> tuple[Fingerprint, Plan]:
    """Read the cases behind a progress bar; return their fingerprint and the plan."""
    with progress_bar() as bar:
        row = bar.add_task("reading cases", total=None)
        while True:
            try:
                progress = next(task)
            except StopIteration as stop:
                planned: tuple[Fingerprint, Plan] = stop.value
                return planned
            bar.update(row, completed=progress.iteration, total=progress.total)


def _fingerprint(found: Fingerprint) -> dict[str, Any]:
    import numpy as np

    shapes = np.asarray(found.shapes)
    return {
        "cases": len(found.shapes),
        "median_shape": [int(n) for n in np.median(shapes, axis=0)],
        "smallest_shape": shapes.min(axis=0).tolist(),
        "largest_shape": shapes.max(axis=0).tolist(),
        "median_spacing_mm": list(found.median_spacing_mm),
        "foreground": [
            dict(zip(("percentile_0_5", "percentile_99_5", "mean", "std"), stats, strict=True))
            for stats in found.foreground
        ],
        "zero_fraction": found.zero_fraction,
    }
