from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voxtrace.bench.report import cost_table, table, write_table
from voxtrace.bench.scenarios.ct300 import unproven
from voxtrace.errors import InputError

RATIO = {"of_medians": 10.5, "low": 9.8, "high": 11.2}
ROW = {
    "quantity": "time",
    "unit": "s",
    "about": "",
    "ours": "voxtrace",
    "against": "nnU-Net",
    "ours_median": 20.0,
    "against_median": 210.0,
    "ratio": RATIO,
    "withheld": "",
}
WHERE: dict[str, Any] = {
    "machine": {"name": "Some Processor", "cores": 2, "instructions": ["avx2"], "memory_gb": 16.0},
    "date": "2026-11-21",
    "versions": {"torch": "2.13.0"},
    "cores_used": 2,
    "repeats": 3,
    "quick": False,
}


def document(**row: object) -> dict[str, Any]:
    work = {"title": "CT", "comparisons": [{**ROW, **row}], "facts": {"mean_dice": {"voxtrace": 0.9}}, "left_out": []}
    return {**WHERE, "works": {"ct300": work}}


def test_a_row_shows_both_medians_and_the_ratio_with_its_spread() -> None:
    assert "| CT | time | nnU-Net: 210 s | voxtrace: 20.0 s | **10.50** [9.80, 11.20] |" in table(document())
    assert "* CT: mean dice: voxtrace 0.9" in table(document())


def test_a_withheld_ratio_says_why() -> None:
    row = next(line for line in table(document(ratio=None, withheld="labels differ")).splitlines() if "time" in line)
    assert row.endswith("| labels differ |")


def test_the_machine_stands_above_the_table() -> None:
    first = table(document()).splitlines()[0]
    assert "Some Processor, 2 of 2 cores, 16.0 GB of memory, instructions avx2; 2026-11-21; 3 rounds." in first


def test_tiny_inputs_are_called_no_measurement() -> None:
    assert "nothing here is a measurement" in table({**document(), "quick": True})


def test_cost_is_told_by_value() -> None:
    point = {"varies": "labels", "value": 14, "seconds": [3.0, 1.0, 2.0], "peak_mb": [400.0, 500.0, 450.0]}
    assert "| labels | 14 | 2.00 [1.00, 3.00] | 500 |" in cost_table({**WHERE, "points": [point]})


def test_a_table_replaces_what_stands_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n")
    write_table(page, "bench", "| new |\n")
    assert page.read_text() == "before\n<!-- bench: begin -->\n\n| new |\n\n<!-- bench: end -->\nafter\n"


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(InputError, match="has no lines"):
        write_table(page, "bench", "| new |")
    with pytest.raises(InputError, match="cannot be read"):
        write_table(tmp_path / "missing.md", "bench", "| new |")


def test_adaptive_windows_prove_nothing_where_the_network_finds_nothing() -> None:
    assert unproven(0.9, 0.895) == ""
    assert unproven(0.9, 0.87) == "adaptive windows lose 0.030 of mean Dice"
    assert unproven(0.0, 0.0) == "the network finds too little (mean Dice 0.00 with all windows)"
