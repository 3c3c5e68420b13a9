"""Predict many cases with the same options: a generator of events for the command line, the window and tests.

A case that fails is recorded and the next one begins. The run ends early only when nothing can be written any more, or
when it is cancelled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voxtrace.atomic import remove_folder
from voxtrace.batch.cases import CaseInput
from voxtrace.batch.job import PredictJob, already_done
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.batch.prefetch import CasePrefetcher, prefetching
from voxtrace.batch.trust import trust_of
from voxtrace.bundle import verdict
from voxtrace.errors import Cancelled, OutputError, VoxTraceError

if TYPE_CHECKING:
    from voxtrace.fit import Fit
    from voxtrace.inference import Progress, Result
    from voxtrace.volume import Volume

FEATURES = ("entropy", "changed_fraction")  # of a row of a trace's summary, for the ledger

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseEvent:
    """Something that happened to case ``number`` (from 1) of ``total``.

    ``progress`` is set while the case runs, ``entry`` once it is done or failed. One event of kind ``running``, before
    the first with progress, has ``fit``: whether the model fits the scan.
    """

    kind: Literal["started", "running", "skipped", "done", "failed"]
    case: CaseInput
    number: int
    total: int
    progress: Progress | None = None
    entry: Entry | None = None
    fit: Fit | None = None


@dataclass(frozen=True)
class BatchSummary:
    """Results of a run: entries of completed cases by name, names of skipped cases, entries of failed cases."""

    done: Mapping[str, Entry] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    failed: tuple[Entry, ...] = ()

    def add(self, event: CaseEvent) -> BatchSummary:
        """Return the summary with one more event."""
        if event.kind == "failed" and event.entry is not None:
            return replace(self, failed=(*self.failed, event.entry))
        if event.kind == "done" and event.entry is not None:
            return replace(self, done={**self.done, event.case.name: event.entry})
        if event.kind == "skipped":
            return replace(self, skipped=(*self.skipped, event.case.name))
        return self


def predict_cases(
    job: PredictJob, cancel: Callable[[], bool] | None = None, prefetcher: CasePrefetcher | None = None
) -> Generator[CaseEvent, None, BatchSummary]:
    """Predict every case of a job, yield events, and return the summary.

    While a case is predicted the next one is read; ``prefetcher`` may have begun with the first.

    Raises
    ------
    UsageError
        Before anything runs: an output would replace an input, or exists already.
    OutputError
        Nothing can be written any more; completed cases are kept.
    Cancelled
        ``cancel`` returned true; completed cases are kept.
    """
    skipped, summary = already_done(job), BatchSummary()
    with prefetching() if prefetcher is None else nullcontext(prefetcher) as reading:
        batch = _Batch(job, Ledger(job.out), reading, cancel)
        for number, case in enumerate(job.cases, start=1):
            here = CaseEvent("skipped", case, number, len(job.cases))
            if case not in skipped:
                # the next case that is not skipped, or none
                later = islice((c for c in islice(job.cases, number, None) if c not in skipped), 1)
                here = yield from batch.predict(here, tuple(later))
            summary = summary.add(here)
            yield here
    return summary


@dataclass(frozen=True)
class _Batch:
    """What all cases of a job share."""

    job: PredictJob
    ledger: Ledger
    prefetcher: CasePrefetcher
    cancel: Callable[[], bool] | None

    def predict(self, here: CaseEvent, later: Sequence[CaseInput]) -> Generator[CaseEvent, None, CaseEvent]:
        """Predict one case, write its entries into the ledger, and return its last event.

        ``later`` holds the case to read meanwhile, if any.
        """
        inputs = [str(path.absolute()) for path in here.case.paths]
        template = replace(self.job.entry(), case=here.case.name, inputs=inputs)
        self.ledger.append(template)
        yield replace(here, kind="started")
        began = time.monotonic()
        try:
            volume = self.prefetcher.take(here.case)
            found = verdict(self.job.bundles, volume)
            template = replace(template, fit=found.to_json())
            yield replace(here, kind="running", fit=found)
            result = yield from self._segment(here, volume, later)
            entry = _done(_timed(template, began), result, self.job.bundles[0].record, found)
        except Cancelled:
            raise
        except OutputError as error:
            # the disk may be full for the ledger, too
            with suppress(OutputError):
                self.ledger.append(replace(_timed(template, began), status="failed", error=str(error)))
            raise
        except Exception as error:  # a failure of one case must not end the run
            log.debug("case %s failed", here.case.name, exc_info=True)
            entry = replace(_timed(template, began), status="failed", error=_sentence(error))
        self.ledger.append(entry)
        return replace(here, kind="done" if entry.status == "done" else "failed", entry=entry)

    def _segment(
        self, here: CaseEvent, volume: Volume, later: Sequence[CaseInput]
    ) -> Generator[CaseEvent, None, Result]:
        """Segment one case and write its outputs."""
        from voxtrace.inference import segment

        self.prefetcher.begin(later)
        labels_path, trace_path = self.job.labels_path(here.case), self.job.trace_path(here.case)
        engine = segment(self.job.bundles, volume, self.job.options, store=trace_path, cancel=self.cancel)
        loading = False
        try:
            while True:
                progress = next(engine)
                if progress.stage == "segmenting" and progress.done and not loading:
                    loading = True  # compiled loops run now and release the interpreter lock
                    self.prefetcher.load_writers(labels_path)
                yield replace(here, kind="running", progress=progress)
        except StopIteration as stop:
            result: Result = stop.value
        finally:
            # closes the engine's generator when this one is closed early, so that no partial trace stays
            engine.close()
        _write_labels(result, labels_path, trace_path)
        return result


def _write_labels(result: Result, labels_path: Path, trace_path: Path) -> None:
    """Write the label map beside the trace that the engine wrote; if that fails, remove the trace."""
    from voxtrace.io import write

    try:
        write(result.labels, labels_path)
    except BaseException:
        remove_folder(trace_path)
        raise


def _done(timed: Entry, result: Result, record: Mapping[str, Any], found: Fit) -> Entry:
    trace = result.trace
    last = trace.summary()[-1]
    volumes = {trace.names[value]: round(ml, 4) for value, ml in last.get("volume_ml", {}).items()}
    features = {name: float(last[name]) for name in FEATURES if last.get(name) is not None}
    return replace(
        timed,
        status="done",
        steps=trace.n_steps,
        run=result.facts,
        passport=trace.passport.as_json(),
        volumes_ml=volumes,
        features=features,
        demonstration=trace.provenance.demonstration,
        **trust_of(record, trace, found),
    )


def _timed(template: Entry, began: float) -> Entry:
    """Return an entry with the seconds since ``began`` and the time of now."""
    fresh = Entry(template.case, template.status)
    return replace(template, time_s=round(time.monotonic() - began, 3), time_utc=fresh.time_utc)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, VoxTraceError) else f"unexpected {type(error).__name__}: {text}"
