"""``voxtrace predict``: label maps and traces of one case or ten thousand."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from voxtrace.cli.arguments import AsJson, BundleNames, LiveSettings, SeriesNames, Timepoint, timepoint
from voxtrace.cli.exit_codes import NOTHING_DONE, SOME_FAILED
from voxtrace.cli.gc_pause import gc_paused
from voxtrace.cli.interrupt import stop_on_interrupt
from voxtrace.cli.option_flags import with_option_flags
from voxtrace.cli.output import echo, print_json, progress_bar, reserve_stdout_for_json
from voxtrace.cli.show_answer import answer_lines
from voxtrace.cli.show_fit import warn_of_fit
from voxtrace.errors import Cancelled
from voxtrace.inference.options import KEEP_EVERY_STEP, PredictOptions

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from voxtrace.batch import BatchSummary, CaseEvent, CasePrefetcher, PredictJob

Inputs = Annotated[
    list[Path], typer.Argument(metavar="INPUT…", help="Files, DICOM folders (a case each), or folders of these.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for CASE.nii.gz, CASE.trace and ledger.jsonl.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Skip cases already completed with the same bundle and options.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist already.")]
Suffix = Annotated[
    Literal["nii.gz", "nii", "nrrd", "mha", "seg.nrrd", "seg.dcm"],
    typer.Option(help="Format of the label maps; seg.dcm, DICOM-SEG, of scans that are DICOM alone."),
]
AnonymousNames = Annotated[
    bool,
    typer.Option(
        "--anonymous-names",
        help="Call the cases case_0001, case_0002, … in all outputs and messages; OUT.names.csv, beside the output "
        "folder, says which is which.",
    ),
]


@dataclass(frozen=True)
class PredictRequest:
    """What the command line asks for; ``settings`` are options of the method, as ``name=value``."""

    inputs: tuple[Path, ...]
    models: tuple[str, ...]
    out: Path
    options: PredictOptions
    settings: tuple[str, ...]
    suffix: str
    resume: bool
    overwrite: bool
    timepoint: int | Literal["all"] | None
    series: tuple[str, ...]
    anonymous: bool = False


@with_option_flags
def predict(
    inputs: Inputs,
    model: BundleNames,
    out: Out,
    options: PredictOptions = KEEP_EVERY_STEP,
    settings: LiveSettings = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    format: Suffix = "nii.gz",
    frame: Timepoint = None,
    series: SeriesNames = None,
    anonymous_names: AnonymousNames = False,
    as_json: AsJson = False,
) -> None:
    """Segment volumes and record how each segmentation came about.

    Writes OUT/CASE.nii.gz on the input's own grid, OUT/CASE.trace and a line in OUT/ledger.jsonl for each case. Files
    named CASE_0000, CASE_0001, … are the channels of one case. A case that cannot be predicted is named, and the next
    one begins. Where the model does not fit a scan, or is to be checked on it, the reasons are printed and stand in the
    ledger. Exit codes: 0 all done, 1 some cases failed, 2 wrong usage, 3 nothing could be done.
    """
    from voxtrace.batch import prefetching

    request = PredictRequest(
        inputs=tuple(inputs),
        models=tuple(model),
        out=out,
        options=options,
        settings=tuple(settings or ()),
        suffix=f".{format}",
        resume=resume,
        overwrite=overwrite,
        timepoint=timepoint(frame),
        series=tuple(series or ()),
        anonymous=anonymous_names,
    )
    with reserve_stdout_for_json(as_json), prefetching() as prefetcher:
        job = _job(request, prefetcher)
        summary = _run(job, prefetcher)
    if as_json:
        print_json(_document(job, summary))
    _exit(job, summary)


def _job(request: PredictRequest, prefetcher: CasePrefetcher) -> PredictJob:
    """Return the job, its bundles loaded; the first case is read meanwhile.

    Whatever is wrong with the request as a whole is refused here, before the first case.
    """
    from voxtrace.batch import PredictJob, find_cases, with_anonymous_names
    from voxtrace.bundle import card
    from voxtrace.inference.fold_folder import left_out, load_members, member_paths

    # the card is JSON and read without torch, so that reading the first case can begin
    channels = card(member_paths(request.models)[0])["plan"]["channels"]
    cases = find_cases(request.inputs, channels, request.timepoint, request.series)
    if request.anonymous:
        cases = with_anonymous_names(cases, request.out)
    if not request.resume:  # with --resume the first case may be one that is skipped
        prefetcher.begin(cases)
    with gc_paused():  # torch is imported here
        from voxtrace.cli.method_options import method_options
        from voxtrace.inference import check_bundles, chosen_method

        bundles = load_members(request.models, votes=request.options.members)
    check_bundles(bundles, request.options)
    if told := left_out(bundles):
        echo(told)
    changed = method_options(type(bundles[0].method), request.settings, ())
    options = replace(request.options, method_options=changed)
    # raises if the method does not have these options or this number of steps
    chosen_method(bundles[0], options)
    return PredictJob(bundles, cases, request.out, options, request.suffix, request.resume, request.overwrite)


def _run(job: PredictJob, prefetcher: CasePrefetcher) -> BatchSummary:
    from voxtrace.batch import predict_cases

    with stop_on_interrupt() as cancel, progress_bar() as bar:
        events = predict_cases(job, cancel, prefetcher)
        return _show(job, events, bar, bar.add_task("", total=None))


def _show(job: PredictJob, events: Generator[CaseEvent, None, BatchSummary], bar: Bar, task: TaskID) -> BatchSummary:
    """Run the job to its end, show every event, and return the summary; say what is done where it is stopped."""
    from voxtrace.batch import BatchSummary

    summary = BatchSummary()
    try:
        while True:
            event = next(events)
            summary = summary.add(event)
            _show_event(event, bar, task)
    except StopIteration as stop:
        whole: BatchSummary = stop.value
        return whole
    except (Cancelled, KeyboardInterrupt) as stop:
        events.close()  # removes what is half written
        raise Cancelled(_stopped(job, summary, str(stop))) from stop


def _stopped(job: PredictJob, summary: BatchSummary, where: str) -> str:
    finished, total = len(summary.done) + len(summary.skipped), len(job.cases)
    failed = f", {len(summary.failed)} failed" if summary.failed else ""
    done = f"{finished} of {total} cases are done in {job.out}{failed}; the same command with --resume does the rest."
    return f"{where.rstrip('.') or 'stopped'}. {done}"


def _show_event(event: CaseEvent, bar: Bar, task: TaskID) -> None:
    where = f"[{event.number}/{event.total}] {event.case.name}"
    if event.fit is not None:
        warn_of_fit(event.fit, where)
    elif event.progress is not None:
        description = f"{where} {event.progress.stage}"
        bar.update(task, description=description, completed=event.progress.done, total=event.progress.total)
    elif event.entry is not None and event.kind == "failed":
        echo(f"{where}: failed. {event.entry.error}")
    elif event.entry is not None:
        dice = event.entry.predicted_dice.get("dice")
        told = (
            ""
            if dice is None
            else "; Dice {:.2f} expected, {:.2f} to {:.2f}".format(dice, *event.entry.predicted_dice["interval"])
        )
        echo(f"{where}: {event.entry.steps} steps in {event.entry.time_s:.1f} s{told}")
        for line in answer_lines(event.entry):
            echo(f"  {line}")
    elif event.kind == "skipped":
        echo(f"{where}: skipped, already completed")
    else:
        bar.reset(task, description=f"{where} reading", total=None)


def _document(job: PredictJob, summary: BatchSummary) -> dict[str, Any]:
    done = [(case, entry) for case in job.cases if (entry := summary.done.get(case.name))]
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
                "fit": entry.fit,
                "demonstration": entry.demonstration,
                "volumes_ml": entry.volumes_ml,
                "intervals_ml": entry.intervals_ml,
                "usual": entry.usual,
                "expected_dice": entry.expected_dice,
                "predicted_dice": entry.predicted_dice,
            }
            for case, entry in done
        ],
        "skipped": list(summary.skipped),
        "failed": [{"case": entry.case, "error": entry.error} for entry in summary.failed],
    }


def _exit(job: PredictJob, summary: BatchSummary) -> None:
    """Print how many cases are done, and exit with the code for it."""
    finished = len(summary.done) + len(summary.skipped)
    if len(job.cases) > 1 or finished:  # a single failed case has been reported already
        echo(f"{finished} of {len(job.cases)} cases done in {job.out}.")
    # every failure was reported when it happened; with many cases they are listed again at the end
    if len(job.cases) > 1 and summary.failed:
        failed = ", ".join(entry.case for entry in summary.failed)
        echo(f"failed: {failed}; see {job.out / 'ledger.jsonl'} for the reasons.")
    if summary.failed:
        raise typer.Exit(SOME_FAILED if finished else NOTHING_DONE)
