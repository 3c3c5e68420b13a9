"""``voxtrace bench``: VoxTrace compared with nnU-Net v2 and MONAI, and the cost of prediction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.interrupt import sigterm_as_interrupt
from voxtrace.cli.output import echo, print_json, print_line, reserve_stdout_for_json
from voxtrace.errors import UsageError

if TYPE_CHECKING:
    from voxtrace.bench import BenchSettings

app = typer.Typer(help="Compare with nnU-Net and MONAI in one run, or measure the cost of prediction.")

Repeats = Annotated[int, typer.Option(min=1, help="Rounds; each program runs once in a round.")]
Quick = Annotated[bool, typer.Option("--quick", help="Tiny inputs, to test the benchmark itself.")]
Work = Annotated[Path, typer.Option(help="Folder for inputs, models and outputs; inputs are kept.")]
Table = Annotated[Path | None, typer.Option(help="Page to write the table into, between its markers.")]
Cores = Annotated[int | None, typer.Option(min=1, help="Cores that every program may use; all if unset.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the synthetic scans.")]
FOLDER = Path("bench_output")


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    only: Annotated[str, typer.Option(help="Benchmarks, separated by commas; all if unset.")] = "",
    peer: Annotated[
        Path | None, typer.Option(help="A Python interpreter that has nnU-Net v2; left out if unset.")
    ] = None,
    real_data: Annotated[
        Path | None, typer.Option(envvar="VOXTRACE_REAL_DATA", help="Folder of real scans; left out if unset.")
    ] = None,
    repeats: Repeats = 3,
    quick: Quick = False,
    work: Work = FOLDER,
    table: Table = None,
    cores: Cores = None,
    seed: Seed = 3000,
    as_json: AsJson = False,
) -> None:
    """Run each program in turn as a process of its own; report ratios of wall time and peak memory.

    A ratio is that of the medians, with the smallest and the largest ratio within a round. It is reported only where
    both programs gave the same labels.
    """
    if context.invoked_subcommand:
        return
    from voxtrace import bench as benches

    settings = benches.BenchSettings(work.resolve(), repeats, quick, _interpreter(peer), real_data, seed, echo)
    with reserve_stdout_for_json(as_json), sigterm_as_interrupt():
        _stay_on(cores)
        works = benches.chosen([name.strip() for name in only.split(",") if name.strip()])
        document = _each(settings, works, table)
    _print(document, benches.table(document), as_json)


@app.command()
def cost(
    repeats: Repeats = 3,
    side: Annotated[int, typer.Option(min=16, help="Voxels along each side of a plane.")] = 128,
    quick: Quick = False,
    work: Work = FOLDER,
    table: Table = None,
    cores: Cores = None,
    seed: Seed = 3000,
    as_json: AsJson = False,
) -> None:
    """Measure time and memory of prediction against slices, labels and steps; each value is a process of its own."""
    from voxtrace.bench import BenchSettings
    from voxtrace.bench.cost import run_cost
    from voxtrace.bench.report import cost_table, find_table, write_table
    from voxtrace.bench.settings import cores as cores_used
    from voxtrace.bench.suite import own_versions

    settings = BenchSettings(work.resolve(), repeats, quick, seed=seed, echo=echo)
    if table is not None:
        find_table(table, "bench cost")
    with reserve_stdout_for_json(as_json), sigterm_as_interrupt():
        _stay_on(cores)
        points = run_cost(settings, side)
    document = {
        **_where(),
        "versions": own_versions(),
        "cores_used": cores_used(),
        "repeats": repeats,
        "quick": quick,
        "side": side,
        "points": [point.to_json() for point in points],
    }
    if table is not None:
        write_table(table, "bench cost", cost_table(document))
    _print(document, cost_table(document), as_json)


def _each(settings: BenchSettings, works: Sequence[str], page: Path | None) -> dict[str, Any]:
    """Run the benchmarks; each writes its table into the page as soon as it is done."""
    from voxtrace import bench as benches

    if page is not None:
        for name in works:
            benches.find_table(page, f"bench {name}")  # fails here, not after an hour of measuring
    document: dict[str, Any] = {}
    for name in works:
        fresh = {**_where(), **benches.run(settings, [name])}
        document = {**fresh, "works": {**document.get("works", {}), **fresh["works"]}}
        if page is not None:
            benches.write_table(page, f"bench {name}", benches.table(fresh))
    return document


def _print(document: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the document or its table."""
    if as_json:
        print_json(document)
    else:
        print_line(text)


def _where() -> dict[str, Any]:
    from voxtrace.cli.machine import memory_gb, processor

    about = {**processor(), "memory_gb": memory_gb()["total"]}
    return {"machine": about, "date": datetime.now(UTC).date().isoformat()}


def _interpreter(peer: Path | None) -> Path | None:
    """Return the absolute path of the interpreter; links are kept, since they name its environment."""
    return None if peer is None else Path.cwd() / peer


def _stay_on(cores: int | None) -> None:
    """Bind this process, and so every program it starts, to the first cores of those it may use."""
    if cores is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError("this system cannot bind processes to cores; leave out --cores.")
    mine = sorted(os.sched_getaffinity(0))
    if cores > len(mine):
        raise UsageError(f"{cores} cores were asked for, and {len(mine)} are there; ask for fewer.")
    os.sched_setaffinity(0, mine[:cores])
