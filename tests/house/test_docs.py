"""The pages are true: Python and quick commands run, links lead somewhere, pictures can be made again."""

from __future__ import annotations

import fnmatch
import importlib
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pydicom
import pytest
import typer

import voxtrace
from voxtrace.cli import main
from voxtrace.phantoms import abdomen_ct

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
SITE = sorted(DOCS.rglob("*.md"))
SHAPE, SPACING_MM = (24, 64, 64), (8.0, 4.5, 4.5)

# Commands that take a second or two. Of all others command and options are checked, and docs/pages.md says so.
QUICK = {"inspect", "table", "film", "export", "evaluate", "compare", "plan", "doctor", "dataset", "models list"}
# What lines name that the prepared folder does not have; and options that change more than the folder.
MISSING = {
    "/tmp/fold0", "Dataset004_Hippocampus_fixed", "Dataset137_BraTS", "LGG", "case.trace", "contours.rtstruct.dcm",
    "fold_0", "hippocampus-cv", "hippocampus.work", "mended", "my-bundle",
}  # fmt: skip
CHANGES_THE_MACHINE = {"--disable", "--enable"}

LONGEST_WITHOUT_PICTURE = 1000  # words; about three screens
LARGEST_PICTURE_KB = 300
# Longer pages that have no picture yet.
WITHOUT_PICTURE = {"performance.md", "security.md"}


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order; those of a tab are indented."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", _text(page), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def _prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```", "", _text(page), flags=re.MULTILINE | re.DOTALL)


RUN_WHOLE = "docs/train-tutorial.md"  # by test_tutorial.py, one block after another


def _command_lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in _blocks(page, "bash"):
            for line in block.splitlines():
                if line.startswith("voxtrace "):
                    yield _named(page), line


def _named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _words(line: str) -> list[str]:
    return shlex.split(line, comments=True)[1:]


def _runs(line: str) -> bool:
    words = _words(line)
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
    "page", [page for page in PAGES if _named(page) != RUN_WHOLE and _blocks(page, "python")], ids=_named
)
def test_the_python_of_each_page_runs(
    page: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ModuleType("page")  # one page, one session: later blocks may use what earlier ones made
    monkeypatch.setitem(sys.modules, "page", session)  # dataclasses look their module up
    for block in _blocks(page, "python"):
        exec(compile(block, _named(page), "exec", dont_inherit=True), vars(session))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans, a DICOM series, results and a dataset, by the names that the pages use."""
    out = tmp_path_factory.mktemp("prepared")
    _small_series(out / "dicom_folder")
    voxtrace.write(voxtrace.read(out / "dicom_folder"), out / "scan.nii.gz")
    with pytest.raises(SystemExit) as leaving:
        main(["predict", str(out / "scan.nii.gz"), "-m", "abdomen-phantom-cdlunet", "-o", str(out / "results"),
              "--keep", "labels"])  # fmt: skip
    assert not leaving.value.code
    shutil.copy(out / "results" / "scan.nii.gz", out / "labels.nii.gz")
    _dataset(out)
    shutil.copytree(out / "scans", out / "many_scans")
    shutil.copytree(out / "results" / "scan.trace", out / "demo_output" / "hippocampus_right.trace")
    shutil.copy(out / "scan.nii.gz", out / "demo_output" / "hippocampus_right.nii.gz")
    for copy in ("other_results", "other-results", "old-results", "new-results", "reference"):
        shutil.copytree(out / "results", out / copy)
    for name, copy in (("scan.nii.gz", "imagesTr/scan_0000.nii.gz"), ("labels.nii.gz", "labelsTr/scan.nii.gz")):
        shutil.copy(out / name, out / "Dataset004_Hippocampus" / copy)
    return out


def _small_series(out: Path) -> None:
    """Write the shipped DICOM series of a phantom at half its resolution."""
    out.mkdir()
    for path in sorted((ROOT / "sample_data" / "abdomen_phantom_dicom").iterdir()):
        image = pydicom.dcmread(path)
        pixels = image.pixel_array[::2, ::2]
        image.Rows, image.Columns = pixels.shape
        image.PixelSpacing = [2 * float(mm) for mm in image.PixelSpacing]
        image.set_pixel_data(pixels, image.PhotometricInterpretation, image.BitsStored)
        image.save_as(out / path.name)


def _dataset(out: Path) -> None:
    """Write three made-up cases as a dataset in nnU-Net's layout, and as two folders."""
    dataset = out / "Dataset004_Hippocampus"
    for name in (out / "scans", out / "labels", dataset / "imagesTr", dataset / "labelsTr"):
        name.mkdir(parents=True)
    names = {}
    for seed in (1, 2, 3):
        case = abdomen_ct(seed=seed, shape=SHAPE, spacing_mm=SPACING_MM)
        names = dict(case.labels.names)
        for scan, labels in (
            (out / "scans" / f"case_{seed}.nii.gz", out / "labels" / f"case_{seed}.nii.gz"),
            (dataset / "imagesTr" / f"case_{seed}_0000.nii.gz", dataset / "labelsTr" / f"case_{seed}.nii.gz"),
        ):
            voxtrace.write(case.volume, scan)
            voxtrace.write(case.labels, labels)
    labels_by_name = {"background": 0} | {name: value for value, name in names.items() if value}
    listed = {"channel_names": {"0": "CT"}, "labels": labels_by_name, "numTraining": 4, "file_ending": ".nii.gz"}
    (dataset / "dataset.json").write_text(json.dumps(listed), encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "line"), [pair for pair in _command_lines() if pair[0] != RUN_WHOLE and _runs(pair[1])]
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
        main(_words(line))
    assert not leaving.value.code, f"{page}: {line}\n{capfd.readouterr().err}"


def test_what_is_said_to_be_missing_is_named_by_a_command() -> None:
    lines = [_words(line) for _, line in _command_lines()]
    named = {part for words in lines for word in words for part in (word, word.split("/")[0])}
    assert named >= MISSING | CHANGES_THE_MACHINE, MISSING - named


@pytest.mark.parametrize(("page", "line"), list(_command_lines()))
def test_each_command_of_the_pages_exists(page: str, line: str) -> None:
    from voxtrace.cli import app

    command, words = typer.main.get_command(app), _words(line)
    while hasattr(command, "commands") and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    flags = {word for word in words if word.startswith("-")}
    assert flags <= known, f"{page}: {line}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page, as mkdocs makes them of its headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", _prose(page), flags=re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\s-]", "", plain.encode("ascii", "ignore").decode()).strip().lower()
        slug, number = re.sub(r"[-\s]+", "-", slug), 0
        while (name := f"{slug}_{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", _prose(page)):
        if "://" in target:
            continue
        there = (page.parent / target) if target else page
        assert there.exists(), f"{_named(page)} links to {target}, which is not there"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{_named(page)} links to {target}#{anchor}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_links_out_of_the_pages_are_well_formed(page: Path) -> None:
    for target in re.findall(r"\]\((\w+://[^)\s]*)\)", _prose(page)):
        assert re.fullmatch(r"https://[\w.-]+\.[a-z]{2,}(/[\w./%~+#?=&:;,@-]*)?", target), f"{_named(page)}: {target}"


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in SITE:
        assert f": {page.relative_to(DOCS).as_posix()}\n" in listed, f"{page.name} is not in the nav of mkdocs.yml"


def _pictures(page: Path) -> set[Path]:
    """Return the pictures on a page."""
    targets = re.findall(r"!\[[^]]*\]\(([^)\s]+)\)", _prose(page))
    return {(page.parent / target).resolve() for target in targets if "://" not in target}


def test_every_picture_is_there_used_and_made_by_a_command() -> None:
    files = {path for path in (DOCS / "images").rglob("*") if path.is_file()}
    used = {picture for page in PAGES for picture in _pictures(page)} | {DOCS / "images" / "icon.png"}
    assert used <= files, f"missing: {sorted(map(str, used - files))}"
    assert files <= used, f"on no page: {sorted(map(str, files - used))}"
    row = r"^\| (`images/.*?) \| `(python scripts/\w+\.py|voxtrace \w+)\b[^|]* \|$"
    rows = re.findall(row, _text(DOCS / "pages.md"), re.MULTILINE)
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


@pytest.mark.parametrize("page", [page for page in SITE if _pictures(page)], ids=_named)
def test_pages_name_the_command_of_their_pictures(page: Path) -> None:
    text = _text(page)
    named = re.search(r"scripts/\w+\.py|(`|^)voxtrace \w+", text, re.MULTILINE)
    assert named, f"{_named(page)} has pictures and names no command"


def test_long_pages_have_a_picture() -> None:
    long = {page for page in SITE if len(_text(page).split()) > LONGEST_WITHOUT_PICTURE}
    bare = {page.relative_to(DOCS).as_posix() for page in long if not _pictures(page)}
    assert bare <= WITHOUT_PICTURE, (
        f"more than {LONGEST_WITHOUT_PICTURE} words and no picture: {bare - WITHOUT_PICTURE}"
    )
    assert bare >= WITHOUT_PICTURE, f"take off the list, they have a picture or are short: {WITHOUT_PICTURE - bare}"


def test_menus_that_pages_name_are_in_the_manifest() -> None:
    manifest = (ROOT / "napari.yaml").read_text(encoding="utf-8")
    entries = set(re.findall(r'^ +(?:display_name|title): "?(.*?)"?$', manifest, re.MULTILINE))
    for page in PAGES:
        prose = " ".join(_prose(page).split())
        for menu in re.findall(r"\*((?:Plugins|File ▸ Open Sample) ▸ VoxTrace ▸ [^*]*)\*", prose):
            assert menu.split(" ▸ ")[-1] in entries, f"{_named(page)}: no menu {menu}"


@pytest.mark.parametrize("page", ["which-model.md", "read-a-trace.md"])
def test_tables_of_models_are_those_of_their_cards(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    written = importlib.import_module("site_tables").written
    text = _text(DOCS / page)
    assert text == written(page, text), "run: python scripts/site_tables.py"


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {voxtrace.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
