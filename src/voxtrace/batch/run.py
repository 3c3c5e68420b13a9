"""Predict many cases alike: a generator of events, so that a command line, a window and a test can drive it.

A bad case is recorded and the next one begins. What ends the run is trouble that every case would meet (nothing can
be written any more) and a wish to stop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from voxtrace.atomic import remove_folder
from voxtrace.batch.cases import CaseInput
from voxtrace.batch.job import PredictJob, already_done
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.batch.prefetch import CasePrefetcher, prefetching
from voxtrace.errors import Cancelled, OutputError, VoxTraceError

if TYPE_CHECKING:
    from voxtrace.inference import Progress, Result
    from voxtrace.volume import Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseEvent:
    """Something that happened to case ``number`` (from 1) of ``total``.

    ``progress`` is set while the case runs, ``entry`` once it is done or failed.
    """

    kind: Literal["started", "running", "skipped", "done", "failed"]
    case: CaseInput
    number: int
    total: int
    progress: Progress | None = None
    entry: Entry | None = None


@dataclass(frozen=True)
class BatchSummary:
    """How a run ended: entries of the cases done, by name, names of those skipped, entries of those that failed."""

    done: Mapping[str, Entry] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    failed: tuple[Entry, ...] = ()

    def add(self, event: CaseEvent) -> BatchSummary:
        """Return the summary with one more event counted."""
        if event.kind == "failed" and event.entry is not None:
            return replace(self, failed=(*self.failed, event.entry))
        if event.kind == "done" and event.entry is not None:
            return replace(self, done={**self.done, event.case.name: event.entry})
        if event.kind == "skipped":
            return replace(self, skipped=(*self.skipped, event.case.name))
        return self


def predict_cases(
    job: PredictJob, cancel: Callable[[], bool] | None = None, reader: CasePrefetcher | None = None
) -> Generator[CaseEvent, None, BatchSummary]:
    """Predict every case of a job, yielding events, and return the summary.

    While a case is predicted the next one is read; ``reader`` may have begun with the first.

    Raises
    ------
    UsageError
        Before anything runs: an output would replace an input, or is there already.
    OutputError
        When nothing can be written any more; cases done before are kept.
    Cancelled
        When ``cancel`` says so; cases done before are kept.
    """
    ledger, template, summary = Ledger(job.out), job.entry(), BatchSummary()
    skipped = already_done(job)
    with prefetching() if reader is None else nullcontext(reader) as ahead:
        for number, case in enumerate(job.cases, start=1):
            here = CaseEvent("skipped", case, number, len(job.cases))
            if case not in skipped:
                later = islice((c for c in islice(job.cases, number, None) if c not in skipped), 1)
                source = _Source(ahead, tuple(later))
                here = yield from _account(job, here, source, ledger, replace(template, case=case.name), cancel)
            summary = summary.add(here)
            yield here
    return summary


class _Source(NamedTuple):
    """Where a case's volume comes from, and which case comes after it, if any."""

    reader: CasePrefetcher
    later: tuple[CaseInput, ...]

    def read(self, case: CaseInput) -> Volume:
        volume = self.reader.take(case)
        self.reader.begin(self.later)
        return volume


def _account(
    job: PredictJob,
    here: CaseEvent,
    source: _Source,
    ledger: Ledger,
    template: Entry,
    cancel: Callable[[], bool] | None,
) -> Generator[CaseEvent, None, CaseEvent]:
    """Predict one case with its entries in the ledger; return the event that closes it."""
    ledger.append(template)
    yield replace(here, kind="started")
    began = time.monotonic()
    try:
        result = yield from _predict(job, here, source, cancel)
        trace = result.trace
        entry = replace(
            _closed(template, began),
            status="done",
            steps=trace.n_steps,
            run=result.facts,
            passport=trace.passport.as_json(),
        )
    except Cancelled:
        raise
    except OutputError as error:
        with suppress(OutputError):
            ledger.append(replace(_closed(template, began), status="failed", error=str(error)))
        raise
    except Exception as error:  # one case's fault must not end the others'
        log.debug("case %s failed", here.case.name, exc_info=True)
        entry = replace(_closed(template, began), status="failed", error=_sentence(error))
    ledger.append(entry)
    return replace(here, kind="done" if entry.status == "done" else "failed", entry=entry)


def _predict(
    job: PredictJob, here: CaseEvent, source: _Source, cancel: Callable[[], bool] | None
) -> Generator[CaseEvent, None, Result]:
    from voxtrace.inference import segment

    volume = source.read(here.case)
    engine = segment(job.bundles, volume, job.options, store=job.trace_path(here.case), cancel=cancel)
    loading = False
    try:
        while True:
            progress = next(engine)
            if progress.stage == "segmenting" and progress.done and not loading:
                loading = True  # from here on compiled loops compute, which leave the interpreter to others
                source.reader.load_writers(job.labels_path(here.case))
            yield replace(here, kind="running", progress=progress)
    except StopIteration as stop:
        result: Result = stop.value
    finally:
        engine.close()
    _write_labels(result, job.labels_path(here.case), job.trace_path(here.case))
    return result


def _write_labels(result: Result, labels_path: Path, trace_path: Path) -> None:
    """Write the label map beside the trace that the engine wrote; both are there in the end, or neither."""
    from voxtrace.io import write

    try:
        write(result.labels, labels_path)
    except BaseException:
        remove_folder(trace_path)
        raise


def _closed(template: Entry, began: float) -> Entry:
    fresh = Entry(template.case, template.status)
    return replace(template, time_s=round(time.monotonic() - began, 3), time_utc=fresh.time_utc)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, VoxTraceError) else f"unexpected {type(error).__name__}: {text}"
