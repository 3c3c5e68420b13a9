"""JSON of strangers is read strictly, and their words are shown without being obeyed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voxtrace.safe_text import json_text, parse_json, printable, read_json, well_formed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested deeper"),
        ("[" * 80 + "]" * 80, "nested deeper than 64"),
        ('{"a": ' * 70 + "1" + "}" * 70, "nested deeper than 64"),
        ('{"a": NaN}', "holds NaN"),
        ("[-Infinity]", "holds -Infinity"),
        ("1" * 5000, "5000 digits"),
        ("9223372036854775808", "more than 64 bits"),
        ("[1e999]", "too large"),
        ('{"a": 1', "Expecting"),
        (b"\xff\xfe", "utf-8"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_strict_json_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_json(text)


def test_json_for_readers_says_the_same_on_short_lines() -> None:
    value = {"a": [{"name": f"case {n}", "dice": [0.1 * n] * 3} for n in range(9)], "b": {}, "c": [], "d": "x" * 200}
    text = json_text(value)
    assert parse_json(text) == value
    assert text.splitlines()[2] == '  {"name": "case 0", "dice": [0.0, 0.0, 0.0]},'
    assert max(len(line) for line in text.splitlines() if "xxx" not in line) <= 120
    assert text.isascii()
    assert not json_text("ä", ascii_only=False).isascii()
    with pytest.raises(ValueError, match="JSON compliant"):
        json_text({"a": float("nan")})


def test_nan_is_taken_where_other_programs_write_it() -> None:
    assert parse_json("[NaN, 1e999]", allow_nan=True)[1] == float("inf")


def test_lone_surrogates_do_not_pass() -> None:
    found = parse_json('{"a\\ud800": ["\\udce9", {"b": "\\udfff"}], "c": "\\ud83d\\ude00"}')
    assert found == {"a\ufffd": ["%E9", {"b": "\ufffd"}], "c": "\U0001f600"}
    assert str(found).encode()


def test_ordinary_json_is_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": [1, -2.5, true, null, "\xc3\xbc"]}')
    assert read_json(tmp_path / "a.json") == {"a": [1, -2.5, True, None, "ü"]}
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path)


def test_bytes_of_names_are_shown_as_hexadecimal_digits() -> None:
    assert well_formed(os.fsencode("x").decode() + chr(0xDCE9)) == "x%E9"
    assert well_formed("größer 肝 😀") == "größer 肝 😀"


def test_a_terminal_is_not_ordered_about() -> None:
    assert printable("\x1b]0;title\x07\x9b31m\r\u202eabc\ttab\nline") == (
        "\\x1b]0;title\\x07\\x9b31m\\x0d\\u202eabc\ttab\nline"
    )
