"""The pages are true: their Python runs, and the commands that they show exist."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer

import voxtrace
from voxtrace.phantoms import abdomen_ct

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def _blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _command_lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in _blocks(page, "bash"):
            for line in block.splitlines():
                if line.startswith("voxtrace "):
                    yield page.name, line


def _named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the scan that the pages speak of."""
    voxtrace.write(abdomen_ct(seed=1, shape=(24, 64, 64), spacing_mm=(8.0, 4.5, 4.5)).volume, tmp_path / "scan.nii.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "python")], ids=_named)
def test_the_python_of_each_page_runs(
    page: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ModuleType("page")  # one page, one session: later blocks may use what earlier ones made
    monkeypatch.setitem(sys.modules, "page", session)  # dataclasses look their module up
    for block in _blocks(page, "python"):
        exec(compile(block, _named(page), "exec", dont_inherit=True), vars(session))


@pytest.mark.parametrize(("page", "line"), list(_command_lines()))
def test_each_command_of_the_pages_exists(page: str, line: str) -> None:
    from voxtrace.cli import app

    command, words = typer.main.get_command(app), shlex.split(line, comments=True)[1:]
    while hasattr(command, "commands") and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    flags = {word for word in words if word.startswith("-")}
    assert flags <= known, f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{_named(page)} links to {target}, which is not there"


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert page.relative_to(ROOT / "docs").as_posix() in listed
