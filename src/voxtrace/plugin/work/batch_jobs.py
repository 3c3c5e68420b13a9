"""Jobs of the batch dock: predict many cases as the command line does, and read an output folder."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from voxtrace.batch.ledger import Ledger
from voxtrace.errors import ReadError
from voxtrace.inference.fold_folder import load_members, member_paths
from voxtrace.plugin.models.batch import BatchProgress, BatchRequest, CaseRow, row_of
from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.work.events import Cancel
from voxtrace.plugin.work.torch_import import importing_torch

if TYPE_CHECKING:
    from voxtrace.batch import BatchSummary, CaseEvent, CaseInput

Stage = JobStage | BatchProgress


def predict(request: BatchRequest, cancel: Cancel) -> Generator[Stage, None, BatchSummary]:
    """Predict every case with the code of ``voxtrace predict --resume``; return the summary."""
    from voxtrace.batch import PredictJob, find_cases, predict_cases
    from voxtrace.bundle import card

    yield JobStage("Looking for cases …")
    cases = find_cases(request.inputs, card(member_paths((request.bundle,))[0])["plan"]["channels"])
    yield BatchProgress(0, len(cases), "Loading the model …", rows=tuple(_waiting(case) for case in cases))
    with importing_torch():
        bundles = load_members((request.bundle,))
    job = PredictJob(bundles, cases, request.out, resume=True)
    run = predict_cases(job, cancel)
    try:
        while True:
            try:
                event = next(run)
            except StopIteration as end:
                summary: BatchSummary = end.value
                return summary
            yield progress_of(event, Ledger(request.out))
    finally:
        run.close()


def _waiting(case: CaseInput) -> CaseRow:
    return CaseRow(case.name, inputs=case.paths)


def progress_of(event: CaseEvent, ledger: Ledger) -> BatchProgress:
    """Return an event of a run for the dock, with the row that changed."""
    name, stage = event.case.name, "reading"
    rows: tuple[CaseRow, ...] = ()
    fraction = 0.0
    if event.progress is not None:
        stage = event.progress.stage
        fraction = event.progress.done / event.progress.total if event.progress.total else 0.0
    elif event.entry is not None:
        rows, stage, fraction = (row_of(event.entry),), event.kind, 1.0
    elif event.kind == "skipped":
        rows, stage, fraction = _known(ledger, name), "done before", 1.0
    else:
        rows = (CaseRow(name, "running", inputs=event.case.paths),)
    return BatchProgress(event.number, event.total, f"{name}: {stage}", fraction, rows)


def _known(ledger: Ledger, name: str) -> tuple[CaseRow, ...]:
    entry = ledger.latest().get(name)
    return () if entry is None else (row_of(entry),)


def read_folder(out: Path) -> tuple[CaseRow, ...]:
    """Return a row for each case in an output folder's ledger.

    Raises
    ------
    ReadError
        There is no ledger.
    """
    ledger = Ledger(out)
    if not ledger.path.is_file():
        raise ReadError(f"{out} has no {ledger.path.name}; choose a folder that voxtrace predict wrote.")
    return tuple(row_of(entry) for entry in ledger.latest().values())
