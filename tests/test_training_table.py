"""scripts/train_table.py and scripts/compare_cards.py: which runs a table has, and how their cards are compared."""

from __future__ import annotations

import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


def script(name: str) -> ModuleType:
    """Import a script as a module."""
    if not (SCRIPTS / f"{name}.py").is_file():
        pytest.skip("the scripts do not lie beside the tests, as in an installed package")
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def training_table() -> ModuleType:
    return script("train_table")


@pytest.mark.parametrize("name", ["train_table.toml", "ablations.toml"])
def test_every_run_of_a_table_has_a_plan_and_a_name_of_its_own(training_table: ModuleType, name: str) -> None:
    table = tomllib.loads((SCRIPTS / name).read_text(encoding="utf-8"))
    runs = list(training_table.runs(table, ["*"]))

    assert len({run.name for run in runs}) == len(runs)
    assert {run.entry["plan"] for run in runs} == set(table["plan"])


def test_what_a_run_leaves_out_the_tables_default_says(training_table: ModuleType) -> None:
    default = {"plan": "p", "method": "unet", "seeds": [0, 1], "folds": [0]}
    table = {"default": default, "run": [{"name": "a"}, {"name": "b", "seeds": [2], "method": "e2enet"}]}

    found = [(run.name, run.entry["method"]) for run in training_table.runs(table, ["*"])]

    assert found == [("a-f0-s0", "unet"), ("a-f0-s1", "unet"), ("b-f0-s2", "e2enet")]


def test_a_run_is_taken_by_pattern_and_told_as_a_command(training_table: ModuleType, tmp_path: Path) -> None:
    entry = {"name": "a", "plan": "p", "method": "unet", "folds": [0, 3], "seeds": [0, 7], "set": ["width=8"]}

    runs = list(training_table.runs({"run": [entry]}, ["a-f3-*"]))
    words = runs[1].command(tmp_path / "data", tmp_path / "out", 2.5, "cpu", "float32")

    assert [run.name for run in runs] == ["a-f3-s0", "a-f3-s7"]
    assert words[words.index("--fold") + 1] == "3"
    assert words[words.index("--seed") + 1] == "7"
    assert words[words.index("--minutes") + 1] == "2.5"
    assert words[words.index("--set") + 1] == "width=8"
    assert "--resume" not in words


def test_an_interrupted_run_goes_on(training_table: ModuleType, tmp_path: Path) -> None:
    (run,) = training_table.runs({"run": [{"name": "a", "plan": "p", "method": "unet"}]}, ["*"])
    (tmp_path / "a-all-s0.work").mkdir()

    words = run.command(tmp_path, tmp_path, 1.0, "cpu", "auto")

    assert words[-1] == "--resume"
    assert "--fold" not in words


def bundle(
    folder: Path,
    dice: dict[str, float],
    without_rules: dict[str, float],
    steps: tuple[float, ...] = (0.8,),
    hd95_mm: dict[str, float | None] | None = None,
) -> None:
    """Write what a comparison reads of a bundle: Dice of a label in each case, and what no rule would give.

    NSD is Dice less 0.1; a distance of None is infinite.
    """
    far = hd95_mm or dict.fromkeys(dice, 1.0)
    rows = [
        {
            "name": case,
            "dice": {"organ": value},
            "predicted_ml": {"organ": 11.0},
            "reference_ml": {"organ": 10.0},
            "measures": {"organ": {"nsd": value - 0.1, "hd95_mm": far[case]}},
        }
        for case, value in dice.items()
    ]
    rules = [
        {
            "organ": [
                {
                    "rules": ["none"],
                    "dice": without_rules[case],
                    "measures": {"nsd": without_rules[case] - 0.1, "hd95_mm": far[case]},
                }
            ]
        }
        for case in dice
    ]
    found: dict[str, Any] = {
        "cases": len(rows),
        "dice": {"mean": 0.8, "ci95": [0.7, 0.9]},
        "measures": {name: {"mean": 0.8, "ci95": [0.7, 0.9]} for name in ("nsd", "hd95_mm")},
        "dice_per_step": list(steps),
        "per_case": rows,
        "by_rule": rules,
    }
    folder.mkdir()
    record = {"metrics": {"validation": found}, "provenance": {"iterations": 5, "seconds": 1.0, "minutes": 6.4}}
    (folder / "bundle.json").write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = script("compare_cards")
    monkeypatch.setattr(module, "card", lambda folder: json.loads((folder / "bundle.json").read_text("utf-8")))
    return module


def test_seeds_of_a_case_are_averaged_and_cases_are_paired_by_name(compare: ModuleType, tmp_path: Path) -> None:
    bundle(tmp_path / "m-f0-s0", {"x": 0.9, "y": 0.8}, {"x": 0.7, "y": 0.6})
    bundle(tmp_path / "m-f0-s1", {"x": 0.9, "y": 0.8}, {"x": 0.9, "y": 0.6})

    found = compare.Trained([tmp_path / "m-f0-s0", tmp_path / "m-f0-s1"])

    assert found.network == {("f0", "x"): pytest.approx(0.8), ("f0", "y"): pytest.approx(0.6)}
    assert found.processed == {("f0", "x"): pytest.approx(0.9), ("f0", "y"): pytest.approx(0.8)}
    assert found.volumes == {"organ": [(11.0, 10.0)] * 4}


def test_a_fold_counts_in_the_dice_of_a_step_by_its_cases(compare: ModuleType, tmp_path: Path) -> None:
    three, one = {"x": 0.9, "y": 0.9, "z": 0.9}, {"w": 0.5}
    bundle(tmp_path / "m-f0-s0", three, three, steps=(0.8, 0.9))
    bundle(tmp_path / "m-f1-s0", one, one, steps=(0.4, 0.5))

    found = compare.Trained([tmp_path / "m-f0-s0", tmp_path / "m-f1-s0"])

    assert found.per_step() == pytest.approx([0.7, 0.8])  # (3 · 0.8 + 0.4) / 4; the mean of the folds has 0.6


def test_two_frames_of_a_patient_are_one_subject(compare: ModuleType) -> None:
    frames = {("f0", "patient001_frame01"): 0.9, ("f0", "patient001_frame12"): 0.7, ("f0", "patient002_frame01"): 0.5}

    assert compare.by_subject(frames) == {
        ("f0", "patient001"): pytest.approx(0.8),
        ("f0", "patient002"): pytest.approx(0.5),
    }


def printed(
    compare: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> str:
    monkeypatch.setattr(sys, "argv", ["compare_cards", *words])
    compare.main()
    return capsys.readouterr().out


def test_subjects_are_counted_in_the_test_not_their_cases(
    compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"patient{number:03}_frame{frame:02}" for number in range(1, 10) for frame in (1, 12)]
    better = {name: 0.8 + 0.001 * index for index, name in enumerate(names)}
    bundle(tmp_path / "one-f0-s0", better, better)
    bundle(tmp_path / "two-f0-s0", dict.fromkeys(names, 0.7), dict.fromkeys(names, 0.7))

    said = printed(compare, monkeypatch, capsys, str(tmp_path), "one-*", "--against", "two-*")

    assert said.splitlines()[-1].endswith("p 0.0039, n 9 (18 cases of 9 subjects)")  # 2/2⁹, the least there is


def test_the_comparison_is_printed(
    compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle(tmp_path / "one-f0-s0", {"x": 0.9, "y": 0.8}, {"x": 0.9, "y": 0.8})
    bundle(tmp_path / "two-f0-s0", {"y": 0.7, "x": 0.8}, {"y": 0.7, "x": 0.8})

    said = printed(compare, monkeypatch, capsys, str(tmp_path), "one-*", "--against", "two-*")

    assert "difference +0.1000 [+0.1000, +0.1000]" in said
    assert said.endswith("n 2\n")
    assert "organ +10.0 %" in said
    assert "5 updates, 6.4 minutes" in said


def test_surfaces_are_compared_and_an_infinite_distance_is_left_out(
    compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = {"x": 0.9, "y": 0.8}, {"x": 0.8, "y": 0.6}
    bundle(tmp_path / "one-f0-s0", one, one, hd95_mm={"x": 3.0, "y": None})
    bundle(tmp_path / "two-f0-s0", two, two, hd95_mm={"x": 2.0, "y": 1.0})
    words = (str(tmp_path), "one-*", "--against", "two-*", "--measure")

    near = printed(compare, monkeypatch, capsys, *words, "nsd")
    far = printed(compare, monkeypatch, capsys, *words, "hd95")

    assert "difference +0.1500 [+0.1000, +0.2000]" in near
    assert "difference +1.0000 [+1.0000, +1.0000], p 1, n 1, 1 left out" in far
