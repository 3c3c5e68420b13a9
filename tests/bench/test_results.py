"""What competitors say of themselves in their traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voxtrace.bench.measure import Measured
from voxtrace.bench.results import count_values, mean_steps, sum_fact


@pytest.fixture
def run(tmp_path: Path) -> Measured:
    """Two cases of three steps; of three windows one ran all steps, one two, one half of its mirror images the last."""
    computed = {"one": [[1, 1], [1, 1], [1, 0]], "other": [[1], [1], [0.5]]}
    for name, steps in computed.items():
        (tmp_path / name).mkdir()
        facts = {"computed": steps, "cost": [[None if ran == 0 else 2.0 for ran in step] for step in steps]}
        (tmp_path / name / "trace.json").write_text(json.dumps({"facts": facts}))
    output = json.dumps({"done": [{"trace": str(tmp_path / name)} for name in computed]})
    return Measured(1.0, 1.0, 1, output)


def test_steps_taken_are_averaged_over_the_windows_of_all_cases(run: Measured) -> None:
    assert mean_steps(run) == pytest.approx((3 + 2 + 2.5) / 3)


def test_a_fact_is_summed_where_it_is_known(run: Measured) -> None:
    assert sum_fact(run, "cost") == 2.0 * (5 + 3)


def test_values_of_a_fact_are_counted(run: Measured) -> None:
    """Nine values: seven times a window ran, once it did not, once half of its mirror images did."""
    assert count_values(run, "computed") == {1: 7, 0: 1, 0.5: 1}
