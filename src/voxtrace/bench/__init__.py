"""Bench: whole processes against each other, in one run, in turn, with their wall time and peak memory.

::

    suite       the works in a row, as one document
    works/      what is compared: each file makes its inputs, runs its competitors, says what came out
    results     competitors in turn, several rounds
    measure     one process and its children: wall time, peak memory, a cap
    ratios      two lists of measurements to one ratio with its spread
    inputs      phantoms as files; models: the same weights for every competitor
    peers/      scripts that run a peer; the one of nnU-Net in an interpreter that has no voxtrace
    report      the table of docs/benchmarks.md

Competitors are command lines, ours among them, so nothing here knows the engine.
"""

from voxtrace.bench.report import find_table, table, write_table
from voxtrace.bench.settings import BenchSettings
from voxtrace.bench.suite import SCENARIOS, chosen, run

__all__ = ["SCENARIOS", "BenchSettings", "chosen", "find_table", "run", "table", "write_table"]
