"""Bench: whole processes against each other, in one run, in turn, with their wall time and peak memory.

::

    suite       the works in a row, as one document
    works/      what is compared: each file makes its inputs, runs its contenders, says what came out
    contest     contenders in turn, several rounds
    measure     one process and its children: wall time, peak memory, a cap
    ratios      two lists of measurements to one ratio with its spread
    inputs      phantoms as files; models: the same weights for every contender
    peers/      scripts that run a peer; the one of nnU-Net in an interpreter that has no voxtrace
    report      the table of docs/benchmarks.md

Contenders are command lines, ours among them, so nothing here knows the engine.
"""

from voxtrace.bench.report import find_table, table, write_table
from voxtrace.bench.settings import Settings
from voxtrace.bench.suite import WORKS, chosen, run

__all__ = ["WORKS", "Settings", "chosen", "find_table", "run", "table", "write_table"]
