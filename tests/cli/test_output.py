from __future__ import annotations

import json

import numpy as np
import pytest

from voxtrace.cli.output import print_facts, print_json, print_table, reserve_stdout_for_json


def test_json_has_null_for_what_it_cannot_say(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), 1: [float("inf"), np.float32(0.5), np.arange(2)], "n": None})
    assert json.loads(capsys.readouterr().out) == {"a": None, "1": [None, 0.5, [0, 1]], "n": None}


def test_tables_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("label", "n"), [("liver", 7), ("aorta and spine", 10)])
    assert capsys.readouterr().out.splitlines() == ["label             n", "liver             7", "aorta and spine  10"]


def test_facts_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts({"a": 1.0, "longer": (1, 2)})
    assert capsys.readouterr().out.splitlines() == ["a       1", "longer  1, 2"]


def test_what_libraries_print_stays_out_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with reserve_stdout_for_json(True):
        print("chatter")  # noqa: T201
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "chatter\n")
