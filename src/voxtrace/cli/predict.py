"""``voxtrace predict``: label maps and traces of one case or ten thousand."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from voxtrace.cli.arguments import AsJson, BundleNames, Device, Precision, Seed
from voxtrace.cli.failures import NOTHING_DONE, SOME_FAILED
from voxtrace.cli.interrupt import stop_on_interrupt
from voxtrace.cli.loading import uncollected
from voxtrace.cli.output import print_json, progress_bar, say, stdout_kept_for_json
from voxtrace.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from voxtrace.batch import CaseEvent, CaseInput, Job, Options, ReadAhead, Tally


def predict(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT…", help="Files, DICOM folders (a case each), or folders of these.")
    ],
    model: BundleNames,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for CASE.nii.gz, CASE.trace and ledger.jsonl.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the method; its own number if unset.")] = None,
    keep: Annotated[
        Literal["labels", "last", "all"],
        typer.Option(
            help="Keep the label map of every step in the trace, of the last one, or also what a method shows beside "
            "its answers (the noisy masks of diffusion)."
        ),
    ] = "labels",
    resume: Annotated[
        bool, typer.Option("--resume", help="Pass over cases done with the same bundle and options.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that are there already.")] = False,
    format: Annotated[
        Literal["nii.gz", "nii", "nrrd", "mha"], typer.Option(help="Format of the label maps.")
    ] = "nii.gz",
    runtime: Annotated[
        Literal["auto", "torch", "openvino", "winograd"],
        typer.Option(
            help="What runs the network: torch, openvino (compiled for this processor), winograd (float32 with fewer "
            "multiplications), or auto, which takes the fastest where there is no GPU and the run is long enough."
        ),
    ] = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    mirror: Annotated[
        bool | None,
        typer.Option("--mirror/--no-mirror", help="Average over mirror images; as the bundle says if unset."),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(min=0.0, max=0.95, help="Fraction of a window shared with the next; the plan's if unset."),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Windows at once; chosen for the memory if unset.")] = None,
    settle: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.99,
            help="Share of labels, e.g. 0.001: a window whose step changes no more computes no further steps. "
            "Every step is computed if unset.",
        ),
    ] = None,
    region: Annotated[
        Literal["body", "all"],
        typer.Option(help="Of a CT, leave air around the patient out, or segment the whole of every plane."),
    ] = "body",
    seed: Seed = 0,
    frame: Annotated[
        str | None,
        typer.Option(
            metavar="N|all",
            help="Of files with frames over time: the one to segment, from 0, or all, a case CASE_t000 for each.",
        ),
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Of DICOM folders: name, number or description of the series, or of that for each channel in order, "
            "repeated (`voxtrace inspect` lists them). Found by what they are if unset.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="An option of the method that training did not fix; may be repeated."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Segment volumes and record how each answer came about.

    Writes OUT/CASE.nii.gz on the input's own grid, OUT/CASE.trace and a line in OUT/ledger.jsonl for each case. Files
    named CASE_0000, CASE_0001, … are the channels of one case. A case that cannot be predicted is named, and the next
    one begins. Exit codes: 0 all done, 1 some cases failed, 2 wrong usage, 3 nothing could be done.
    """
    from voxtrace.batch import Options, reading_ahead

    options = Options(steps, keep, runtime, device, precision, mirror, overlap, batch, settle, region, seed)
    with stdout_kept_for_json(as_json), reading_ahead() as reader:
        found = partial(_cases, inputs, _frame(frame), series or ())
        job = _job(found, model, out, options, settings or (), f".{format}", resume, overwrite, reader)
        tally = _run(job, reader)
    if as_json:
        print_json(_document(job, tally))
    _leave(job, tally)


def _frame(text: str | None) -> int | Literal["all"] | None:
    """Return what ``--frame`` asks for."""
    if text is None:
        return None
    if text == "all":
        return "all"
    if not text.isdecimal():
        raise UsageError(f"--frame is {text!r}; expected a number counted from 0, or all.")
    return int(text)


def _cases(
    inputs: list[Path], frame: int | Literal["all"] | None, series: Sequence[str], channels: Sequence[str]
) -> tuple[CaseInput, ...]:
    from voxtrace.batch import find_cases

    return find_cases(inputs, channels, frame, series)


def _job(
    found: Callable[[Sequence[str]], tuple[CaseInput, ...]],
    models: list[str],
    out: Path,
    options: Options,
    settings: Sequence[str],
    suffix: str,
    resume: bool,
    overwrite: bool,
    reader: ReadAhead,
) -> Job:
    from voxtrace.batch import Job
    from voxtrace.bundle import card, load

    cases = found(card(models[0])["plan"]["channels"])
    if not resume:  # the first case may be passed over otherwise
        reader.begin(cases)
    with uncollected():  # torch comes with these; the first case is read meanwhile
        from voxtrace.cli.options import method_options
        from voxtrace.inference import agree
        from voxtrace.method import changed_after_training

        bundles = tuple(load(model) for model in models)
    agree(bundles)  # refused once, before the first case; so are the options of the method
    changed = method_options(type(bundles[0].method), settings, ())
    changed_after_training(bundles[0].method, **changed)
    return Job(bundles, cases, out, replace(options, options=changed), suffix, resume, overwrite)


def _run(job: Job, reader: ReadAhead) -> Tally:
    from voxtrace.batch import predict_cases

    with stop_on_interrupt() as cancel, progress_bar() as bar:
        events = predict_cases(job, cancel, reader)
        return _show(events, bar, bar.add_task("", total=None))


def _show(events: Generator[CaseEvent, None, Tally], bar: Bar, task: TaskID) -> Tally:
    """Drive the events to their end, showing each."""
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            tally: Tally = stop.value
            return tally
        where = f"[{event.number}/{event.total}] {event.case.name}"
        if event.progress is not None:
            description = f"{where} {event.progress.stage}"
            bar.update(task, description=description, completed=event.progress.done, total=event.progress.total)
        elif event.entry is not None and event.kind == "failed":
            say(f"{where}: failed. {event.entry.error}")
        elif event.entry is not None:
            say(f"{where}: {event.entry.steps} steps in {event.entry.time_s:.1f} s")
        elif event.kind == "skipped":
            say(f"{where}: done before")
        else:
            bar.reset(task, description=f"{where} reading", total=None)


def _document(job: Job, tally: Tally) -> dict[str, Any]:
    done = [(case, entry) for case in job.cases if (entry := tally.done.get(case.name))]
    return {
        "bundle": job.bundle_name,
        "out": str(job.out),
        "done": [
            {
                "case": case.name,
                "labels": str(job.labels_path(case)),
                "trace": str(job.trace_path(case)),
                "time_s": entry.time_s,
                "run": entry.run,
                "passport": list(entry.passport),
            }
            for case, entry in done
        ],
        "skipped": list(tally.skipped),
        "failed": [{"case": entry.case, "error": entry.error} for entry in tally.failed],
    }


def _leave(job: Job, tally: Tally) -> None:
    """Say how it went and leave with the exit code for it."""
    finished = len(tally.done) + len(tally.skipped)
    if len(job.cases) > 1 or finished:  # the sentence about a single case that failed says it all
        say(f"{finished} of {len(job.cases)} cases done in {job.out}.")
    if len(job.cases) > 1 and tally.failed:
        say(f"failed: {', '.join(entry.case for entry in tally.failed)}; {job.out / 'ledger.jsonl'} says why.")
    if tally.failed:
        raise typer.Exit(SOME_FAILED if finished else NOTHING_DONE)
