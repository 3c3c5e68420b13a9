"""Many cases, one after the other: what they are called, what happened to each, and going on after a fault."""

from voxtrace.batch.ahead import ReadAhead, reading_ahead
from voxtrace.batch.cases import CaseInput, find_cases
from voxtrace.batch.job import Job, Options
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.batch.run import CaseEvent, Tally, predict_cases

__all__ = [
    "CaseEvent",
    "CaseInput",
    "Entry",
    "Job",
    "Ledger",
    "Options",
    "ReadAhead",
    "Tally",
    "find_cases",
    "predict_cases",
    "reading_ahead",
]
