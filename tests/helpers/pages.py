"""The pages of the documentation, and the blocks and commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
RUN_WHOLE = "docs/train-tutorial.md"  # by test_tutorial.py, one block after another


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order; those of a tab are indented."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text_of(page), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def prose_of(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def lines(block: str) -> list[str]:
    """Return the lines of a block for a shell; those that a backslash continues are one."""
    return [line.rstrip() for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def command_lines() -> Iterator[tuple[str, str]]:
    """Yield page and line of every ``voxtrace`` command in a block for a shell."""
    for page in PAGES:
        for block in blocks(page, "bash"):
            yield from ((name_of(page), line) for line in lines(block) if line.startswith("voxtrace "))


def commands_in_other_blocks() -> Iterator[tuple[str, str]]:
    """Yield page and command of ``voxtrace`` commands in other blocks: for Windows, a scheduler, an installation."""
    for page in PAGES:
        for language in ("sh", "powershell", "text"):
            for line in "".join(blocks(page, language)).splitlines():
                found = re.finditer(r"(?:^|&& |; |[/\\])(voxtrace [^<>;&]*?)(?= 2>|;|$)", line)
                yield from ((name_of(page), match[1]) for match in found)


def commands_in_sentences() -> Iterator[tuple[str, str]]:
    """Yield page and command of ``voxtrace`` commands in tables and sentences; ``…`` stands for some words."""
    for page in PAGES:
        for found in re.finditer(r"`(voxtrace [^`]+)`", prose_of(page)):
            yield name_of(page), " ".join(found[1].split())


def words_of(line: str) -> list[str]:
    """Return what follows the program's name in a line."""
    return shlex.split(line, comments=True)[1:]
