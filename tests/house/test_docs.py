"""The pages are true: Python and quick commands run, links lead somewhere, pictures can be made again."""

from __future__ import annotations

import fnmatch
import importlib
import json
import re
import shutil
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import typer

import made_pages
import voxtrace
from pages import (
    DOCS,
    PAGES,
    ROOT,
    RUN_WHOLE,
    blocks,
    command_lines,
    commands_in_other_blocks,
    name_of,
    prose_of,
    text_of,
    words_of,
)
from voxtrace.cli import main
from voxtrace.fit.about import read_about
from voxtrace.phantoms import abdomen_ct

SITE = sorted(DOCS.rglob("*.md"))
SHAPE, SPACING_MM = (24, 64, 64), (8.0, 4.5, 4.5)

# Commands that take a second or two. All lines, these too, are run in test_docs_commands.py, which is slow.
QUICK = {"inspect", "table", "film", "export", "evaluate", "compare", "plan", "doctor", "dataset", "models list"}
# What lines name that the folder here does not have, but that of test_docs_commands.py; and options that change more.
MISSING = {
    "/tmp/fold0", "Dataset004_Hippocampus_fixed", "Dataset137_BraTS", "HIPPOCAMPUS", "LGG", "case.trace",
    "contours.rtstruct.dcm", "fold_0", "hippocampus-cv", "hippocampus.work", "mended", "my-bundle",
}  # fmt: skip
CHANGES_THE_MACHINE = {"--disable", "--enable"}

LONGEST_WITHOUT_PICTURE = 1000  # words; about three screens
LARGEST_PICTURE_KB = 300
# Longer pages that have no picture yet.
WITHOUT_PICTURE: set[str] = set()


def _runs(line: str) -> bool:
    words = words_of(line)
    named = {part for word in words for part in (word, word.split("/")[0])}
    quick = words[0] in QUICK or " ".join(words[:2]) in QUICK
    return quick and not named & (MISSING | CHANGES_THE_MACHINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the scan that the pages speak of."""
    voxtrace.write(abdomen_ct(seed=1, shape=SHAPE, spacing_mm=SPACING_MM).volume, tmp_path / "scan.nii.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", [page for page in PAGES if name_of(page) != RUN_WHOLE and blocks(page, "python")], ids=name_of
)
def test_the_python_of_each_page_runs(
    page: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ModuleType("page")  # one page, one session: later blocks may use what earlier ones made
    monkeypatch.setitem(sys.modules, "page", session)  # dataclasses look their module up
    for block in blocks(page, "python"):
        exec(compile(block, name_of(page), "exec", dont_inherit=True), vars(session))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans, a DICOM series, results and a dataset, by the names that the pages use."""
    return made_pages.scans_and_results(tmp_path_factory.mktemp("prepared"))


@pytest.mark.parametrize(
    ("page", "line"), [pair for pair in command_lines() if pair[0] != RUN_WHOLE and _runs(pair[1])]
)
def test_each_quick_command_of_the_pages_runs(
    page: str,
    line: str,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    work = tmp_path / "work"
    shutil.copytree(prepared, work)
    monkeypatch.chdir(work)
    with pytest.raises(SystemExit) as leaving:
        main(words_of(line))
    assert not leaving.value.code, f"{page}: {line}\n{capfd.readouterr().err}"


def test_what_is_said_to_be_missing_is_named_by_a_command() -> None:
    lines = [words_of(line) for _, line in command_lines()]
    named = {part for words in lines for word in words for part in (word, word.split("/")[0])}
    assert named >= MISSING | CHANGES_THE_MACHINE, MISSING - named


@pytest.mark.parametrize(("page", "line"), [*command_lines(), *commands_in_other_blocks()])
def test_each_command_of_the_pages_exists(page: str, line: str) -> None:
    from voxtrace.cli import app

    command, words = typer.main.get_command(app), words_of(line)
    while hasattr(command, "commands") and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    flags = {word for word in words if word.startswith("-")}
    assert flags <= known, f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_of_other_languages_can_be_read(page: Path) -> None:
    """TOML and JSON parse; for a shell, for Windows and plain text are the only other kinds of block."""
    for block in blocks(page, "toml"):
        tomllib.loads(block)
    for block in blocks(page, "json"):
        json.loads(block)
    for block in blocks(page, "text"):
        if block.startswith('"'):  # a part of a JSON object
            json.loads("{" + block.strip().removesuffix(",") + "}")
    kinds = set(re.findall(r"^ *```(\w*)\n.*?^ *```$", text_of(page), re.MULTILINE | re.DOTALL))
    assert kinds <= {"python", "bash", "sh", "powershell", "text", "toml", "json"}


def test_what_is_said_about_a_bundle_can_be_read(tmp_path: Path) -> None:
    (said,) = blocks(DOCS / "bundles.md", "toml")
    (tmp_path / "about.toml").write_text(said, encoding="utf-8")
    assert read_about(tmp_path / "about.toml").keys() == tomllib.loads(said).keys()


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page, as mkdocs makes them of its headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose_of(page), flags=re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\s-]", "", plain.encode("ascii", "ignore").decode()).strip().lower()
        slug, number = re.sub(r"[-\s]+", "-", slug), 0
        while (name := f"{slug}_{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose_of(page)):
        if "://" in target:
            continue
        there = (page.parent / target) if target else page
        assert there.exists(), f"{name_of(page)} links to {target}, which is not there"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{name_of(page)} links to {target}#{anchor}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_out_of_the_pages_are_well_formed(page: Path) -> None:
    for target in re.findall(r"\]\((\w+://[^)\s]*)\)", prose_of(page)):
        assert re.fullmatch(r"https://[\w.-]+\.[a-z]{2,}(/[\w./%~+#?=&:;,@-]*)?", target), f"{name_of(page)}: {target}"


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in SITE:
        assert f": {page.relative_to(DOCS).as_posix()}\n" in listed, f"{page.name} is not in the nav of mkdocs.yml"


def _pictures(page: Path) -> set[Path]:
    """Return the pictures on a page."""
    targets = re.findall(r"!\[[^]]*\]\(([^)\s]+)\)", prose_of(page))
    return {(page.parent / target).resolve() for target in targets if "://" not in target}


def test_every_picture_is_there_used_and_made_by_a_command() -> None:
    files = {path for path in (DOCS / "images").rglob("*") if path.is_file()}
    used = {picture for page in PAGES for picture in _pictures(page)} | {DOCS / "images" / "icon.png"}
    assert used <= files, f"missing: {sorted(map(str, used - files))}"
    assert files <= used, f"on no page: {sorted(map(str, files - used))}"
    row = r"^\| (`images/.*?) \| `(python scripts/\w+\.py|voxtrace \w+)\b[^|]* \|$"
    rows = re.findall(row, text_of(DOCS / "pages.md"), re.MULTILINE)
    patterns = {pattern: command for names, command in rows for pattern in re.findall(r"`([^`]+)`", names)}
    for file in files:
        name = file.relative_to(DOCS).as_posix()
        makers = {command for pattern, command in patterns.items() if fnmatch.fnmatchcase(name, pattern)}
        assert len(makers) == 1, f"docs/pages.md has {len(makers)} commands for {name}"
        program, what = makers.pop().split()
        assert program == "voxtrace" or (ROOT / what).is_file()


def test_pictures_are_small() -> None:
    for file in (DOCS / "images").rglob("*.png"):
        assert file.stat().st_size <= 1000 * LARGEST_PICTURE_KB, f"{file.name}: {file.stat().st_size / 1000:.0f} kB"


@pytest.mark.parametrize("page", [page for page in SITE if _pictures(page)], ids=name_of)
def test_pages_name_the_command_of_their_pictures(page: Path) -> None:
    text = text_of(page)
    named = re.search(r"scripts/\w+\.py|(`|^)voxtrace \w+", text, re.MULTILINE)
    assert named, f"{name_of(page)} has pictures and names no command"


def test_long_pages_have_a_picture() -> None:
    long = {page for page in SITE if len(text_of(page).split()) > LONGEST_WITHOUT_PICTURE}
    bare = {page.relative_to(DOCS).as_posix() for page in long if not _pictures(page)}
    assert bare <= WITHOUT_PICTURE, (
        f"more than {LONGEST_WITHOUT_PICTURE} words and no picture: {bare - WITHOUT_PICTURE}"
    )
    assert bare >= WITHOUT_PICTURE, f"take off the list, they have a picture or are short: {WITHOUT_PICTURE - bare}"


def test_menus_that_pages_name_are_in_the_manifest() -> None:
    manifest = (ROOT / "napari.yaml").read_text(encoding="utf-8")
    entries = set(re.findall(r'^ +(?:display_name|title): "?(.*?)"?$', manifest, re.MULTILINE))
    for page in PAGES:
        prose = " ".join(prose_of(page).split())
        for menu in re.findall(r"\*((?:Plugins|File ▸ Open Sample) ▸ VoxTrace ▸ [^*]*)\*", prose):
            assert menu.split(" ▸ ")[-1] in entries, f"{name_of(page)}: no menu {menu}"


@pytest.mark.parametrize("page", ["which-model.md", "read-a-trace.md"])
def test_tables_of_models_are_those_of_their_cards(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    written = importlib.import_module("site_tables").written
    text = text_of(DOCS / page)
    assert text == written(page, text), "run: python scripts/site_tables.py"


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {voxtrace.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
