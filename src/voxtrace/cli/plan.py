"""``voxtrace plan``: what a dataset looks like, and the plan that follows from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson, DatasetFolder, Device
from voxtrace.cli.output import print_facts, print_json, progress_bar, reserve_stdout_for_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voxtrace.plan import Plan
    from voxtrace.training import Dataset, Fingerprint
    from voxtrace.volume import Case


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

    with reserve_stdout_for_json(as_json):
        opened = open_dataset(dataset)
        cases = opened.cases([files.name for files in opened.files])
        found, made = make_plan(opened, cases, device, memory_gb)
    document = {"dataset": opened.name, "fingerprint": _fingerprint(found), "plan": json.loads(made.model_dump_json())}
    if as_json:
        print_json(document)
        return
    typer.echo(f"{opened.name}\n")
    print_facts(document["fingerprint"])
    typer.echo()
    print_facts(document["plan"])


def make_plan(
    dataset: Dataset, cases: Sequence[Case], device: str, memory_gb: float | None, iterations: int | None = None
) -> tuple[Fingerprint, Plan]:
    """Return the fingerprint of cases and the plan for a device."""
    from voxtrace.training import fingerprint, plan_dataset
    from voxtrace.training.machine import training_device

    kind, memory = training_device(device, memory_gb)
    found = fingerprint(_shown(cases))
    return found, plan_dataset(dataset, found, device=kind, memory_gb=memory, iterations=iterations)


def _shown(cases: Sequence[Case]) -> Iterator[Case]:
    """Yield the cases behind a progress bar."""
    with progress_bar() as bar:
        yield from bar.track(cases, description="reading cases", total=len(cases))


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
