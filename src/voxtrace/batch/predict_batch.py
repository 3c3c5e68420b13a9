"""Predict many cases with the same options: a generator of events for the command line, the window and tests.

A case that fails is recorded and the next one begins. Cases that a killed run had in hand come last, each by itself,
and are given up when that happens again and again. The run ends early only when nothing can be written any more, or
when it is cancelled.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Container, Generator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voxtrace.atomic import remove_folder
from voxtrace.batch.cases import CaseInput
from voxtrace.batch.job import PredictJob, already_done, refuse_input_folder
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.batch.prefetch import CasePrefetcher, prefetching
from voxtrace.batch.privacy import for_record, hide_names, renamed
from voxtrace.batch.run_lock import RunLock, remove_leftovers, run_lock
from voxtrace.batch.sources import describe_sources, same_sources
from voxtrace.batch.trust import trust_of
from voxtrace.bundle import verdict
from voxtrace.errors import Cancelled, OutputError, ReadBackError, VoxTraceError
from voxtrace.inference.fold_folder import joint_record

if TYPE_CHECKING:
    from voxtrace.fit import Fit
    from voxtrace.inference import Progress, Result
    from voxtrace.volume import Volume

MOST_KILLED = 3  # runs, until a case that they had in hand is given up
_OF_A_NAME = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL)
FEATURES = ("entropy", "changed_fraction", "entropy_per_found")  # of a row of a trace's summary, for the ledger

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

    def ordered(self, cases: Sequence[CaseInput]) -> BatchSummary:
        """Return the summary with its cases in this order."""
        place = {case.name: number for number, case in enumerate(cases)}
        return BatchSummary(
            {name: self.done[name] for name in sorted(self.done, key=place.__getitem__)},
            tuple(sorted(self.skipped, key=place.__getitem__)),
            tuple(sorted(self.failed, key=lambda entry: place[entry.case])),
        )

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
        Nothing can be written any more, completed cases are kept; or another run writes into the folder.
    Cancelled
        ``cancel`` returned true; completed cases are kept.
    """
    refuse_input_folder(job)
    with run_lock(job.out) as lock, prefetching() if prefetcher is None else nullcontext(prefetcher) as reading:
        skipped, ledger = already_done(job), Ledger(job.out)
        latest = ledger.latest()
        remove_leftovers(job.out, job.output_names(latest))
        batch = _Batch(job, ledger, reading, cancel, lock, latest)
        summary = yield from batch.run(skipped)
    return summary


def in_order(cases: Sequence[CaseInput], killed: Mapping[str, int]) -> tuple[CaseInput, ...]:
    """Return the cases with those last that a killed run had in hand: one of them may kill this run, too."""
    return tuple(sorted(cases, key=lambda case: killed.get(case.name, 0)))


@dataclass(frozen=True)
class _Batch:
    """What all cases of a job share."""

    job: PredictJob
    ledger: Ledger
    prefetcher: CasePrefetcher
    cancel: Callable[[], bool] | None
    lock: RunLock
    before: Mapping[str, Entry]

    def run(self, skipped: Container[CaseInput]) -> Generator[CaseEvent, None, BatchSummary]:
        """Predict the cases that are not skipped, and return the summary in the order of the job."""
        cases, summary = in_order(self.job.cases, self.lock.killed), BatchSummary()
        for number, case in enumerate(cases, start=1):
            here = CaseEvent("skipped", case, number, len(cases))
            if case not in skipped:
                later = islice((c for c in islice(cases, number, None) if c not in skipped), 1)
                here = yield from self._one(here, tuple(later))
                self.lock.clear(case.name)
            summary = summary.add(here)
            yield here
        return summary.ordered(self.job.cases)

    def _one(self, here: CaseEvent, later: Sequence[CaseInput]) -> Generator[CaseEvent, None, CaseEvent]:
        """Predict one case, or give it up where several runs were killed while they had it in hand."""
        killed = self._killed(here.case)
        if killed >= MOST_KILLED and self.job.resume and not self.job.overwrite:
            return self._given_up(here, killed)
        # no case is read in advance that may have killed a run, and none beside one
        if killed or any(self.lock.killed.get(case.name) for case in later):
            later = ()
        self.lock.hold(case.name for case in (here.case, *later))
        return (yield from self.predict(here, later))

    def _killed(self, case: CaseInput) -> int:
        """Return how many runs were killed while they had a case in hand."""
        last = self.before.get(case.name)
        before = last.killed if last is not None and last.killed and same_sources(last.files, case) else 0
        return max(before, self.lock.killed.get(case.name, 0))

    def _given_up(self, here: CaseEvent, killed: int) -> CaseEvent:
        error = (
            f"{killed} runs were killed while they read or predicted this case, which may be damaged or need more "
            "memory than there is; it was not tried again. Add --overwrite to try it once more."
        )
        template = replace(self.job.entry(), case=here.case.name, inputs=_inputs(here.case))
        sources = describe_sources(here.case)
        entry = replace(template, status="failed", error=error, killed=killed, files=sources, choice=here.case.choice())
        self.ledger.append(entry)
        return replace(here, kind="failed", entry=entry)

    def predict(self, here: CaseEvent, later: Sequence[CaseInput]) -> Generator[CaseEvent, None, CaseEvent]:
        """Predict one case, write its entries into the ledger, and return its last event.

        ``later`` holds the case to read meanwhile, if any.
        """
        template = replace(self.job.entry(), case=here.case.name, inputs=_inputs(here.case))
        self.ledger.append(template)
        yield replace(here, kind="started")
        began = time.monotonic()
        try:
            volume = self.prefetcher.take(here.case)
            if here.case.anonymous:
                volume = renamed(volume, here.case)
            found = verdict(self.job.bundles, volume)
            template = replace(template, fit=found.to_json())
            yield replace(here, kind="running", fit=found)
            result = yield from self._segment(here, volume, later)
            del volume  # writing turns the labels over, for which the scan's memory serves
            _write_labels(result, self.job.labels_path(here.case), self.job.trace_path(here.case))
            entry = _done(_timed(template, began), result, joint_record(self.job.bundles), found)
            entry = replace(entry, files=self.prefetcher.sources(), choice=here.case.choice())
        except Cancelled:
            raise
        except OutputError as error:
            entry = replace(_timed(template, began), status="failed", error=_sentence(error))
            if not _of_one_case(error):
                # the disk may be full for the ledger, too
                with suppress(OutputError):
                    self.ledger.append(replace(entry, error=hide_names(entry.error, here.case)))
                raise
        except Exception as error:  # a failure of one case must not end the run
            log.debug("case %s failed", here.case.name, exc_info=True)
            entry = replace(_timed(template, began), status="failed", error=_sentence(error))
        self.ledger.append(replace(entry, error=for_record(entry.error, here.case)))
        told = for_record if here.case.anonymous else hide_names  # the words of a series may name a patient, too
        entry = replace(entry, error=told(entry.error, here.case))
        return replace(here, kind="done" if entry.status == "done" else "failed", entry=entry)

    def _segment(
        self, here: CaseEvent, volume: Volume, later: Sequence[CaseInput]
    ) -> Generator[CaseEvent, None, Result]:
        """Segment one case, and write its trace meanwhile."""
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
        return result


def _inputs(case: CaseInput) -> list[str]:
    return [] if case.anonymous else [str(path.absolute()) for path in case.paths]


def _of_one_case(error: OutputError) -> bool:
    """Return whether another case may be written all the same: only what the system refuses meets every case.

    A name that the disk cannot have, and what was read back wrong, are faults of one case.
    """
    cause = error.__cause__
    if isinstance(error, ReadBackError) or not isinstance(cause, OSError) or cause.errno is None:
        return True
    return cause.errno in _OF_A_NAME


def _write_labels(result: Result, labels_path: Path, trace_path: Path) -> None:
    """Write the label map beside the trace that the engine wrote; if that fails, remove the trace."""
    from voxtrace.io.export import Algorithm, ExportOptions, export_all
    from voxtrace.trace.places import spent_gflop

    trace = result.trace
    made_by = Algorithm.of(trace.provenance, trace.n_steps, trace.step_word, spent_gflop(trace))
    try:
        export_all(result.labels, labels_path, ExportOptions(algorithm=made_by))
    except BaseException:
        remove_folder(trace_path)
        raise


def _done(timed: Entry, result: Result, record: Mapping[str, Any], found: Fit) -> Entry:
    trace = result.trace
    last = trace.summary()[-1]
    volumes = {trace.names[value]: round(ml, 4) for value, ml in last.get("volume_ml", {}).items()}
    volumes |= {name: round(ml, 4) for name, ml in last.get("region_ml", {}).items()}
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
