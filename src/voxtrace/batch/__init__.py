"""Many cases, one after the other: their names, what happened to each, and continuing after a failure."""

from voxtrace.batch.cases import CaseInput, find_cases
from voxtrace.batch.job import PredictJob
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.batch.predict_batch import BatchSummary, CaseEvent, predict_cases
from voxtrace.batch.prefetch import CasePrefetcher, prefetching
from voxtrace.batch.privacy import with_anonymous_names

__all__ = [
    "BatchSummary",
    "CaseEvent",
    "CaseInput",
    "CasePrefetcher",
    "Entry",
    "Ledger",
    "PredictJob",
    "find_cases",
    "predict_cases",
    "prefetching",
    "with_anonymous_names",
]
