from __future__ import annotations

import io
import json

import numpy as np
import pytest

from voxtrace.cli.output import echo, print_facts, print_json, print_table, reserve_stdout_for_json


def test_json_has_null_for_what_it_cannot_say(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), 1: [float("inf"), np.float32(0.5), np.arange(2)], "n": None})
    assert json.loads(capsys.readouterr().out) == {"a": None, "1": [None, 0.5, [0, 1]], "n": None}


def test_tables_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("label", "n"), [("liver", 7), ("aorta and spine", 10)])
    assert capsys.readouterr().out.splitlines() == ["label             n", "liver             7", "aorta and spine  10"]


def test_a_last_column_of_sentences_is_aligned_to_the_left(capsys: pytest.CaptureFixture[str]) -> None:
    long = "the file is cut short; copy or export it again from where it came"
    print_table(("case", "outlook", "why"), [("a", "will fail", long), ("b", "check", "thick slices")])
    assert capsys.readouterr().out.splitlines() == [
        "case    outlook  why",
        f"a     will fail  {long}",
        "b         check  thick slices",
    ]


def test_facts_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts({"a": 1.0, "longer": (1, 2)})
    assert capsys.readouterr().out.splitlines() == ["a       1", "longer  1, 2"]


def test_what_libraries_print_stays_out_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with reserve_stdout_for_json(True):
        print("chatter")  # noqa: T201
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "chatter\n")


def test_words_of_a_stranger_do_not_order_the_terminal_about(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts({"name": "\x1b[2Jliver\x07"})
    print_table(("label",), [("a\x9b31m\u202eb",)])
    echo("\x1b]0;title\x07")
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["name  \\x1b[2Jliver\\x07", "label", "a\\x9b31m\\u202eb"]
    assert captured.err == "\\x1b]0;title\\x07\n"


def test_a_byte_that_is_no_utf8_is_shown_and_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    print_json({name: [name, "\x9b"]})
    echo(name)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"caf%E9": ["caf%E9", "\x9b"]}
    assert "\x9b" not in captured.out
    assert captured.err == "caf%E9\n"


@pytest.mark.parametrize("code_page", ["ascii", "cp1252", "cp437"])
def test_letters_that_a_code_page_lacks_are_replaced(code_page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding=code_page, write_through=True))
    print_facts({"size": "2×2 肝"})
    print_json({"size": "2×2 肝"})
    shown = raw.getvalue().decode(code_page)
    assert shown.startswith("size  2")
    assert json.loads(shown[shown.index("{") :]) == {"size": "2×2 肝"}
