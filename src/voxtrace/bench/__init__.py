"""Bench: whole processes compared with each other in one run, in turn, by wall time and peak memory.

::

    suite             the scenarios in a row, as one document
    scenarios/        what is compared: each file makes its inputs, runs its competitors and reports the outcome
    runner            competitors in turn, several rounds
    measure, memory   one process and its children: wall time, peak memory, a cap
    outcome, ratios   comparisons: two lists of measurements to one ratio with its spread
    results           what competitors wrote: label agreement, facts of traces
    inputs            phantoms as files
    models            the same weights for every competitor; published_widths: a Med-DANet of the published size
    peers/            scripts that run a peer; nnU-Net's runs in an interpreter of its own
    cost              time and memory against slices, labels and steps
    report            the tables of docs/benchmarks.md

Competitors are command lines, ``voxtrace`` among them: the bench does not import the engine.
"""

from voxtrace.bench.report import find_table, table, write_table
from voxtrace.bench.settings import BenchSettings
from voxtrace.bench.suite import SCENARIOS, chosen, run

__all__ = ["SCENARIOS", "BenchSettings", "chosen", "find_table", "run", "table", "write_table"]
