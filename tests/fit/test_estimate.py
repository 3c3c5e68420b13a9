"""Seconds and gigabytes before a run: from runs of this model, of others, or a table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxtrace import bundle
from voxtrace.fit import PredictionCost, ScanFacts, estimate, facts_of, machine_speed, remember_run
from voxtrace.phantoms import abdomen_ct
from voxtrace.volume import Geometry, Volume

RUN = {
    "windows": 8,
    "members": 1,
    "runtime": "torch",
    "device": "cpu",
    "precision": "float32",
    "seconds": {"planes": 0.0, "network": 6.0, "assess": 2.0, "blend": 0.0, "finish": 1.0},
}


@pytest.fixture(autouse=True)
def speeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing was run."""
    monkeypatch.setattr(machine_speed, "speed_file", lambda: tmp_path / "speed.json")
    return tmp_path / "speed.json"


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """A shipped model that takes seven cycles."""
    found = bundle.card("abdomen-phantom-recyclenet")
    return {**found, "cost": {**found["cost"], "steps": 7}}


def scan(shape: tuple[int, int, int] = (48, 96, 96), spacing_mm: tuple[float, float, float] = (5, 3, 3)) -> ScanFacts:
    values = np.random.default_rng(0).uniform(0, 100, (1, *shape)).astype(np.float32)
    return facts_of(Volume(values, Geometry.from_spacing(shape, spacing_mm)))


def test_windows_and_passes_are_counted_from_the_plan(record: dict[str, Any]) -> None:
    """48 × 96 × 96 voxels in windows of 24 × 48 × 48, half overlapping: 3 × 3 × 3; 7 cycles, no mirror images."""
    cost = PredictionCost.of(record, scan())
    assert (cost.windows, cost.passes, cost.voxels) == (27, 7, 7 * 48 * 96 * 96)
    assert cost.gflop == pytest.approx(27 * 7 * record["cost"]["gflop_per_window"])
    fewer = PredictionCost.of(record, scan(), {"steps": 2, "overlap": 0.0, "keep": "last"})
    assert (fewer.windows, fewer.passes, fewer.voxels) == (8, 2, 48 * 96 * 96)


def test_where_networks_are_chosen_between_the_mean_window_counts(record: dict[str, Any]) -> None:
    chosen = {**record, "cost": {**record["cost"], "gflop_of_choices": {"skip": 0.0}, "gflop_run_per_window": 0.25}}
    assert PredictionCost.of(chosen, scan()).gflop == pytest.approx(27 * 7 * 0.25)


def test_mirror_images_multiply_the_passes() -> None:
    mirrored = bundle.card("hippocampus-unet")
    assert PredictionCost.of(mirrored, scan((40, 56, 40), (1, 1, 1))).passes == 2
    assert PredictionCost.of(mirrored, scan((40, 56, 40), (1, 1, 1)), {"mirror": False}).passes == 1


def test_steps_of_one_pass_cost_nothing_more() -> None:
    assert PredictionCost.of(bundle.card("abdomen-phantom-e2enet"), scan()).passes == 1


def test_air_around_a_body_costs_nothing(record: dict[str, Any]) -> None:
    wide = np.full((1, 48, 200, 200), -1000, np.int16)
    wide[:, :, 80:120, 80:120] = 40
    facts = facts_of(Volume(wide, Geometry.from_spacing((48, 200, 200), (5, 3, 3)), modality="CT"))
    assert facts.body[0] == 48
    assert 40 <= facts.body[1] < 60
    whole = PredictionCost.of(record, facts, {"region": "all"})
    assert PredictionCost.of(record, facts).windows < whole.windows / 4


def test_a_machine_without_runs_gives_a_rough_guess(record: dict[str, Any]) -> None:
    found = estimate(record, scan())
    assert found is not None
    assert found.source == "not measured"
    assert "rough guess" in found.words
    assert found.seconds > 1


def test_a_run_of_the_same_model_is_repeated_in_the_estimate(record: dict[str, Any]) -> None:
    remember_run(record, scan(), {}, RUN, 11.0)
    same = estimate(record, scan())
    assert same is not None
    assert (same.source, same.seconds) == ("this model", pytest.approx(11.0))
    assert same.words.startswith("about 11 s, ")
    fewer = estimate(record, scan(), {"steps": 1, "keep": "last"})
    assert fewer is not None
    assert fewer.seconds == pytest.approx(2.0 + 8.0 / 7 + 1.0 / 7)  # fixed, network, voxels


def test_runs_of_other_models_scale_by_their_cost(record: dict[str, Any]) -> None:
    other = {**record, "digest": "other", "cost": {**record["cost"], "gflop_per_window": 1.0}}
    remember_run(other, scan(), {}, RUN, 9.0)
    found = estimate({**record, "cost": {**record["cost"], "gflop_per_window": 2.0}}, scan())
    assert found is not None
    assert (found.source, found.seconds) == ("other models", pytest.approx(8.0 * 2 + 1.0))


def test_a_run_elsewhere_tells_nothing_of_the_chosen_device(record: dict[str, Any]) -> None:
    remember_run(record, scan(), {}, {**RUN, "device": "cuda"}, 1.0)
    on_cpu = estimate(record, scan(), {"device": "cpu"})
    assert on_cpu is not None
    assert on_cpu.source == "not measured"


def test_a_bundle_without_cost_and_runs_has_no_estimate(record: dict[str, Any]) -> None:
    assert estimate({name: v for name, v in record.items() if name != "cost"}, scan()) is None


def test_a_damaged_file_of_speeds_counts_as_none(record: dict[str, Any], speeds: Path) -> None:
    speeds.write_text("{", "utf-8")
    found = estimate(record, scan())
    assert found is not None
    assert found.source == "not measured"
    remember_run(record, scan(), {}, RUN, 9.0)
    assert len(machine_speed.measured_runs()) == 1


def test_a_tiny_scan_does_not_teach_the_time_of_a_voxel(record: dict[str, Any]) -> None:
    remember_run(record, scan((8, 16, 16)), {}, RUN, 9.0)
    large = estimate(record, scan((48, 480, 480)))
    assert large is not None
    assert large.seconds < 9 + 8 * PredictionCost.of(record, scan((48, 480, 480))).windows + 5


def test_more_steps_that_are_kept_and_larger_scans_take_more_memory(record: dict[str, Any]) -> None:
    small, large = PredictionCost.of(record, scan()), PredictionCost.of(record, scan((96, 192, 192)))
    last = PredictionCost.of(record, scan((96, 192, 192)), {"keep": "last"})
    assert small.gigabytes < large.gigabytes > last.gigabytes


def test_a_prediction_is_remembered(speeds: Path) -> None:
    import voxtrace

    volume = abdomen_ct(9001, shape=(24, 48, 48)).volume
    voxtrace.predict(voxtrace.load("abdomen-phantom-cdlunet"), volume)
    (run,) = machine_speed.measured_runs()
    assert run.digest == bundle.card("abdomen-phantom-cdlunet")["digest"]
    assert run.seconds_per_pass > 0
    assert run.gflop_per_pass > 1


def test_the_package_needs_no_torch() -> None:
    code = "import sys, voxtrace.fit; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
