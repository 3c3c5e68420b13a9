"""The method of ``docs/add-a-method.md``, taken from the page, is a method like the others."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from cases import ball_dataset
from made import Run
from voxtrace.bundle import load
from voxtrace.method import Method
from voxtrace.methods import METHODS, method
from voxtrace.testing import PROMISES
from voxtrace.trace import Trace

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add-a-method.md"
NAME = "secondlook"


@pytest.fixture(autouse=True)
def second_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Method]:
    """Write the page's method to a file of its own and register it, as the page says."""
    block = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert block is not None
    file = tmp_path / f"{NAME}.py"
    file.write_text(block[1], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(NAME, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, NAME, module)
    spec.loader.exec_module(module)
    kind: type[Method] = module.SecondLook
    monkeypatch.setitem(METHODS, NAME, kind)
    return kind


@pytest.mark.numeric
@pytest.mark.parametrize("promise", PROMISES)
def test_it_keeps_the_promise_of_every_method(promise: str) -> None:
    PROMISES[promise](NAME)


def test_it_is_listed_with_its_options_and_its_cost(run: Run) -> None:
    (listed,) = run("methods", "--json", "--method", NAME, "--size", "16").json["methods"]
    assert [option["name"] for option in listed["options"]] == ["looks", "train_looks", "draw", "width"]
    assert listed["facts"] == {"changed": "fraction"}
    assert set(listed["parts"]) == {"glance", "correct"}


def test_it_trains_and_predicts_from_the_command_line(run: Run, tmp_path: Path) -> None:
    dataset, out = ball_dataset(tmp_path / "balls"), tmp_path / "bundle"
    small = ("--iterations", 4, "--batch-size", 2, "--device", "cpu", "--precision", "float32")
    words = ("--method", NAME, "--looks", 3, "--draw", "most", "--set", "width=4")
    assert run("train", dataset, *words, "--out", out, *small).code == 0
    assert load(out).method == method(NAME, looks=3, draw="most", width=4)

    scan = dataset / "imagesTr" / "ball_000_0000.nii.gz"
    told = run("predict", scan, "-m", out, "-o", tmp_path / "results", "--keep", "labels", "--set", "looks=5")
    assert told.code == 0, told.err
    (written,) = (tmp_path / "results").glob("*.trace")
    trace = Trace.load(written)
    assert trace.labels.shape[0] == 5
    assert trace.step_word == "look"
    assert trace.units["changed"] == "fraction"


def test_what_it_cannot_do_is_refused_in_a_sentence(run: Run, tmp_path: Path) -> None:
    dataset = ball_dataset(tmp_path / "balls")
    told = run("train", dataset, "--method", NAME, "--looks", 17, "--out", tmp_path / "bundle")
    assert told.code == 2
    assert "looks is 17; expected 1 to 16" in told.sentence


def test_its_options_return_from_a_bundle(second_look: type[Method]) -> None:
    record = json.loads(json.dumps(second_look(looks=5).to_json()))  # type: ignore[call-arg]
    assert method(record["name"], **record["options"]).steps == 5


def test_another_number_of_looks_is_the_same_method() -> None:
    made: Any = method(NAME)
    assert made.with_steps(7).looks == 7
