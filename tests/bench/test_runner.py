from __future__ import annotations

import sys
from pathlib import Path

import pytest

from voxtrace.bench.measure import Measured
from voxtrace.bench.outcome import compare_time_and_memory
from voxtrace.bench.runner import Competitor, RoundResults, run_rounds

NOTE = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"


def competitor(name: str, diary: Path, out: Path) -> Competitor:
    return Competitor(name, [sys.executable, "-c", NOTE, str(diary), name], out / name, out / name)


def took(seconds: float, peak_mb: float) -> Measured:
    return Measured(seconds, peak_mb, 1, "")


def test_contenders_take_turns_and_each_begins_a_round(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    results = run_rounds([competitor(name, diary, tmp_path) for name in "ab"], 3, lambda _: None)
    assert diary.read_text() == "abbaab"
    assert [len(runs) for runs in results.runs.values()] == [3, 3]


def test_a_contender_starts_with_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "labels.nii.gz").write_text("of an earlier run")
    competitor("a", tmp_path / "diary", tmp_path).run()
    assert list((tmp_path / "a").iterdir()) == []


def test_ratios_come_from_the_measured_numbers() -> None:
    results = RoundResults({"ours": [took(2, 100), took(4, 100)], "theirs": [took(20, 800), took(40, 600)]})
    time, memory = compare_time_and_memory(results, "ours", "theirs")
    assert time.to_json()["ratio"] == {"of_medians": 10.0, "low": 10.0, "high": 10.0}
    assert memory.to_json()["ratio"] == {"of_medians": 7.0, "low": 6.0, "high": 8.0}


@pytest.mark.parametrize("reason", ["labels agree in 90.0 % of voxels only"])
def test_no_ratio_is_told_between_different_answers(reason: str) -> None:
    results = RoundResults({"ours": [took(2, 100)], "theirs": [took(20, 800)]})
    for comparison in compare_time_and_memory(results, "ours", "theirs", reason):
        assert comparison.to_json()["ratio"] is None
        assert comparison.to_json()["withheld"] == reason
