"""``voxtrace coverage``: how often volume intervals of a cross-validation hold; ``inspect`` shows reliability."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import made
from made import Run
from voxtrace import bundle as bundles
from voxtrace.inference.fold_folder import load_members
from voxtrace.training.cross_validation import pool_again

FOLDS, CASES = 3, 30


def measured(folder: Path, seed: int) -> Path:
    """A bundle whose held-back cases have volumes with a bias of 5 % and an error of 10 %."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(CASES):
        predicted = float(np.exp(rng.normal(1.0, 0.3)))
        reference = predicted * float(np.exp(rng.normal(0.05, 0.1)))
        dice = {"label 1": 0.9, "label 2": None}
        row = {"name": f"case_{seed}_{number}", "dice": dice, "measures": {}, "features": {}}
        rows.append({**row, "predicted_ml": {"label 1": predicted}, "reference_ml": {"label 1": reference}})
    validation = {"cases": CASES, "per_case": rows, "dice": {"mean": 0.9, "ci95": None, "n": CASES}}
    rule = {name: {"n": CASES, "dice": d, "nsd": 0.9} for name, d in (("none", 0.9), ("largest", 0.9 + 0.01 * seed))}
    pieces = {"labels": {"label 1": "largest"} if seed else {}, "tried": {"label 1": rule}}
    made.bundle_folder(folder)
    return bundles.annotate(folder, {"metrics": {"validation": validation}, "post_processing": pieces})


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    folder = tmp_path / "cv"
    for number in range(FOLDS):
        measured(folder / f"fold_{number}", number)
    first = next(iter(bundles.card(folder / "fold_0")["plan"]["labels"].items()))
    assert first[0] == "0"
    return folder


def test_the_table_has_n_coverage_and_its_interval(run: Run, folds: Path) -> None:
    outcome = run("coverage", folds)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines] == ["label", "label", "all", "asked"]
    found = run("coverage", folds, "--json").json
    one = found["labels"]["label 1"]["left_out"]
    assert one["n"] + one["without_interval"] == FOLDS * CASES
    assert 0.8 < one["coverage"] < 0.98
    assert one["coverage"] == pytest.approx(one["covered"] / one["n"], abs=1e-4)
    assert run("coverage", *(folds / f"fold_{n}" for n in range(FOLDS)), "--json").json["labels"] == found["labels"]


def test_one_bundle_alone_and_bundles_without_volumes_are_refused(run: Run, folds: Path, tmp_path: Path) -> None:
    assert "give a folder of folds" in run("coverage", folds / "fold_0").err
    for number in range(2):
        made.bundle_folder(tmp_path / "old" / f"fold_{number}")
    outcome = run("coverage", tmp_path / "old")
    assert outcome.code == 2
    assert "`voxtrace models measure`" in outcome.err


def test_folds_together_have_the_interval_and_the_rules_of_all_their_cases(folds: Path) -> None:
    """The rule is not that of fold 0, and the interval comes from 90 cases."""
    summary = {"format": "voxtrace cross-validation", "folds": FOLDS, "dataset": "d", "dice": {}, "dice_per_label": {}}
    (folds / "cross_validation.json").write_text(json.dumps(summary))
    pool_again(folds)
    pooled = json.loads((folds / "cross_validation.json").read_text())
    assert pooled["interval_coverage"]["all"]["left_out"]["n"] > 80
    for member in load_members([folds]):
        assert member.card["intervals"] == pooled["intervals"]
        assert member.card["intervals"]["labels"]["1"]["cases"] == FOLDS * CASES
        assert member.card["post_processing"]["labels"] == {"label 1": "largest"}
    assert "intervals" not in load_members([folds / "fold_0"])[0].card


def test_inspect_prints_the_reliability_diagram(run: Run, folds: Path) -> None:
    bins = [[0, 0.0, 0.0]] * 14
    entry = {"temperature": 1.5, "cases": 2, "voxels": 10, "of": "", "ece_before": 0.25, "ece_after": 0.05}
    rows = {"reliability_before": [*bins, [10, 0.95, 0.7]], "reliability_after": [*bins, [10, 0.75, 0.7]]}
    bundles.annotate(folds / "fold_0", {"calibration": {**entry, **rows}})
    outcome = run("inspect", folds / "fold_0")
    assert outcome.code == 0
    assert any(line.split() == ["calibration", "temperature", "1.5"] for line in outcome.out.splitlines())
    [row] = [line for line in outcome.out.splitlines() if line.startswith("0.93 to 1.00")]
    assert row.split()[3:] == ["10", "0.950", "0.700", "10", "0.750", "0.700"]
    assert (folds / "fold_0" / "reliability.svg").is_file()
