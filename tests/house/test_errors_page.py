"""The page of errors quotes messages that the program has, word by word."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "errors.md"


@cache
def _texts() -> str:
    """Return every text of the source, one a line; values that are filled in stand as ``…``."""
    found = []
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(" ".join(text.split()) for text in found)


def _quoted() -> list[str]:
    """Return the messages of the tables whose first column is what is printed."""
    tables = re.findall(r"^\| printed \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    cells = [row.split(" | ")[0] for table in tables for row in table.splitlines()]
    return [quote for cell in cells for quote in re.findall(r"`([^`]+)`", cell)]


def test_the_page_quotes_messages() -> None:
    assert len(_quoted()) > 40


@pytest.mark.parametrize("quote", _quoted())
def test_each_quoted_message_is_in_the_source(quote: str) -> None:
    assert quote.strip() in _texts(), f"no text of the program has {quote!r}"


def test_a_message_that_nobody_prints_would_be_found() -> None:
    assert "this sentence is nowhere printed, as far as is known" not in _texts()
