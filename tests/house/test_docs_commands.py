"""Each ``voxtrace`` line in a block for a shell is run, block by block, in a folder that has what the pages name."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from functools import reduce
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

import made_pages
from pages import (
    DOCS,
    PAGES,
    ROOT,
    RUN_WHOLE,
    blocks,
    command_lines,
    commands_in_sentences,
    lines,
    name_of,
    text_of,
    words_of,
)
from voxtrace.cli import app, main
from voxtrace.cli.method_options import method_options
from voxtrace.errors import VoxTraceError
from voxtrace.kernels import switches
from voxtrace.method import chosen
from voxtrace.methods import METHODS

# Lines that no test can run here, and why.
NOT_RUN = {
    "voxtrace coverage hippocampus-cv": "needs dozens of held-back cases: tests/cli/test_coverage_command.py",
    "voxtrace coverage fold_0 fold_1 fold_2 --level 0.8 --json": "the same",
    "voxtrace train Dataset004_Hippocampus --fold 0 --out hippocampus --devices 4": "needs four devices",
    "voxtrace models page docs/models.md --scan abdomen-ct-cdlunet=upper_abdomen_3mm_ct.nii.gz "
    "--labels abdomen-ct-cdlunet=upper_abdomen_3mm_labels.nii.gz "
    "--dataset Dataset004_Hippocampus --dataset Dataset027_ACDC --dataset Dataset110_LGG": (
        "needs the datasets of the shipped models: tests/cli/test_models_page.py"
    ),
    "voxtrace methods --method smoothed": "needs the package of the page: tests/cli/test_a_package_of_its_own.py",
}
# What else stands in such blocks, by its first word, and why it is not run here.
OTHER_PROGRAMS = {
    "make": "the targets of the Makefile, these tests among them",
    "pip": "tests/cli/test_a_package_of_its_own.py installs the package of the page",
    ".venv/bin/pytest": "one of these tests",
    ".venv/bin/pre-commit": "changes the repository that it is called in",
    "torchrun": "needs two machines",
    "python": "takes minutes to hours; the script and its options have to be there",
    "nvidia-cuda-mps-control": "needs an NVIDIA card",
}
# Blocks whose lines do not follow one another: each runs in a folder of its own. Page, and number of the block.
EITHER_OR = {
    ("docs/compare.md", 3),
    ("docs/evidence.md", 3),
    ("docs/options.md", 1),
    ("docs/options.md", 2),
    ("docs/scans.md", 2),
    ("docs/training.md", 2),
}
SHIPPED_FOR_A_HIPPOCAMPUS = {f"hippocampus-{method}" for method in ("recyclenet", "unet", "diffusion", "e2enet")}
OUTPUT_FLAGS = ("--out", "-o", "--csv", "--fix", "--tensorboard")
MOST_HELD_BACK = 2  # of the cases that a page predicts
REAL = "../shared/data"
UNPARSED = typer.BadParameter.__bases__  # what the parser raises, whichever click typer has

BLOCKS = [
    (name_of(page), number, block)
    for page in PAGES
    if name_of(page) != RUN_WHOLE
    for number, block in enumerate(blocks(page, "bash"), start=1)
]
WITH_COMMANDS = [found for found in BLOCKS if any(line.startswith("voxtrace ") for line in lines(found[2]))]


def outputs(given: list[str]) -> list[str]:
    """Return what a command writes: files and folders by the names that the line gives them."""
    found = [word for flag, word in pairwise(given) if flag in OUTPUT_FLAGS]
    plain = [word for before, word in pairwise(["", *given]) if word[0] != "-" and before[:1] != "-"]
    if given[0] == "export":
        found += plain[2:]
    elif given[0] == "film" or given[:2] == ["models", "page"]:
        found += plain[2:3]
    elif given[0] == "score":
        found += [f"{plain[1]}/scores.json", f"{plain[1]}/labelsChosen"]
    elif given[0] == "train" and "--out" not in given:
        method = given[given.index("--method") + 1] if "--method" in given else "recyclenet"
        found.append(f"{Path(plain[1]).stem}-{method}{'-cv' if '--cv' in given else ''}")
    return found


def shortened(given: list[str]) -> list[str]:
    """Return the words of a command with the least work to do."""
    if given[0] == "bench":
        return [*given, "--quick", "--repeats", "1", *(("--side", "32") if "cost" in given else ("--only", "ct300"))]
    if given[0] == "demo":
        return [*given, "--no-window"]
    if given[0] == "predict":  # an abdomen at 1 mm takes minutes
        here = [folder / "small-recyclenet" for folder in (Path.cwd(), *Path.cwd().parents)]
        small = next(str(folder) for folder in here if folder.is_dir())
        return [small if word in SHIPPED_FOR_A_HIPPOCAMPUS else word for word in given]
    if given[0] != "train":
        return given
    line = " ".join(given)
    line = re.sub(r"--iterations (\d+)", lambda found: f"--iterations {max(2, int(found[1]) // 500)}", line)
    line = re.sub(r"--minutes \d+", "--minutes 1", line)
    line = re.sub(r"--window \S+", "--window 8x32x32", line)
    if "--iterations" not in line and "--resume" not in line:
        line += " --iterations 2"
    if not re.search("--(plan|from|resume|fork|window|set)", line):
        line += " --window 8x32x32"
    return line.split()


def at_the_start(world: Path, block: str) -> None:
    """Take out of the folder what the block writes anew; put an interrupted run where the block goes on from one."""
    seen: set[str] = set()
    for line in lines(block):
        given = words_of(line) if line.startswith("voxtrace ") else []
        anew = outputs(given) if given and "--resume" not in given else []
        for name in {name for name in anew if name not in seen}:
            path = world / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        seen |= set(given) | {word.split("/")[0] for word in given}
    first = lines(block)[0]
    if "hippocampus.work" in first or ("train" in first and "--resume" in first):
        shutil.rmtree(world / "hippocampus", ignore_errors=True)
        shutil.copytree(world / "interrupted.work", world / "hippocampus.work")


def run_line(line: str, page: str, capfd: pytest.CaptureFixture[str]) -> None:
    given = shortened(words_of(line))
    with pytest.raises(SystemExit) as leaving:
        main(given)
    told = capfd.readouterr()
    assert not leaving.value.code, f"{page}: {line}\n{given}\n{told.err}"
    for name in outputs(words_of(line)):
        assert Path(name).exists(), f"{page}: {line} wrote no {name}"
        if given[0] == "train" and name in outputs(given)[:1]:
            assert (Path(name) / ("fold_0/bundle.json" if "--cv" in given else "bundle.json")).is_file()
        if given[0] == "predict":
            assert [*Path(name).glob("*.nii.gz"), *Path(name).glob("*.seg.dcm")], f"{page}: {line} wrote no labels"
    assert outputs(given) or told.out or told.err, f"{page}: {line} said nothing"


def assigned(line: str) -> dict[str, str]:
    """Return the variable that a line of a shell sets."""
    name = line.partition("=")[0]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    told = subprocess.run(
        ["bash", "-c", f'{line}; printf %s "${name}"'], capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    value = told.stdout.split() if name == "held_back" else [told.stdout]
    assert told.stdout, line
    return {f"${name}": " ".join(value[:MOST_HELD_BACK])}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return made_pages.whole(tmp_path_factory.mktemp("world"), patch)


@pytest.fixture
def work(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder to work in, with settings of its own."""
    monkeypatch.setattr(switches, "user_file", lambda: tmp_path / "kernels.json")
    monkeypatch.delenv("VOXTRACE_REAL_DATA", raising=False)
    shutil.copytree(world, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The method that docs/add-a-method.md adds, added as it says."""
    module = ModuleType("secondlook")
    monkeypatch.setitem(sys.modules, "secondlook", module)
    exec(compile(blocks(DOCS / "add-a-method.md", "python")[0], "secondlook", "exec", dont_inherit=True), vars(module))
    monkeypatch.setitem(METHODS, "secondlook", module.SecondLook)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("second_look")
@pytest.mark.parametrize(("page", "number", "block"), WITH_COMMANDS, ids=lambda value: str(value).split("\n")[0][:40])
def test_each_command_of_a_block_does_what_the_page_says(
    page: str,
    number: int,
    block: str,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    if REAL in block:
        (work.parent / "shared").mkdir()
        (work.parent / "shared" / "data").symlink_to(request.getfixturevalue("real_data"), target_is_directory=True)
    at_the_start(work, block)
    variables = {"/tmp/": f"{work}/"}
    for n, written in enumerate(lines(block)):
        line = reduce(lambda text, name: text.replace(name, variables[name]), variables, written)
        if (page, number) in EITHER_OR:
            shutil.copytree(work, work.parent / f"line_{n}", symlinks=True)
            monkeypatch.chdir(work.parent / f"line_{n}")
        if line.startswith("cd "):
            monkeypatch.chdir(line.removeprefix("cd "))
        elif re.match(r"\w+=", line):
            variables |= assigned(line)
        elif line.startswith("voxtrace ") and line not in NOT_RUN:
            run_line(line, page, capfd)


def test_each_line_of_a_block_is_run_or_listed_with_a_reason() -> None:
    every = [line for _, _, block in BLOCKS for line in lines(block)]
    assert set(NOT_RUN) <= set(every), "take off the list: " + ", ".join(set(NOT_RUN) - set(every))
    others = {line.split()[0] for line in every if not re.match(r"voxtrace |cd |\w+=", line)}
    assert others == set(OTHER_PROGRAMS)


@pytest.mark.parametrize(
    "line", [line for _, _, block in BLOCKS for line in lines(block) if line.startswith("python ")]
)
def test_scripts_of_the_pages_are_there_with_their_options(line: str) -> None:
    given = words_of(line)
    if given[0] == "-m":
        importlib.import_module(given[1])
        return
    source = text_of(ROOT / given[0])
    if "from voxtrace.cli" not in source and "typer" not in source:
        for flag in (word.removeprefix("--") for word in given if word.startswith("--")):
            assert re.search(rf'"(--)?{flag}"', source), f"{line}: no option --{flag}"


def parsed(line: str) -> tuple[str, dict[str, Any], list[str]]:
    """Return the command, its options, and what ``train`` leaves to the method; an unknown option raises."""
    command, words = typer.main.get_command(app), words_of(line)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    context = typer.Context(command, info_name=command.name, **command.context_settings)
    options, left, _ = command.make_parser(context).parse_args(words)
    return str(command.name), options, left


def refusal(line: str) -> str:
    """Return why a command is refused before anything is read; ``""`` where it is not, or ends in an option."""
    try:
        name, options, left = parsed(line)
    except UNPARSED as error:
        named_alone = "requires an argument" in str(error) and words_of(line)[-1] in str(error)
        return "" if named_alone else str(error)
    kind = METHODS.get(options.get("method", "" if "initial" in options else "recyclenet"))
    if name != "train" or kind is None:
        return ""
    try:
        chosen(kind(), **method_options(kind, options.get("settings", []), left))
    except VoxTraceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("page", "line"), sorted({*commands_in_sentences(), *(pair for pair in command_lines() if "$" not in pair[1])})
)
def test_no_command_of_the_pages_is_refused_for_its_options(page: str, line: str) -> None:
    """Those in cells of tables and in sentences, which are not run, too."""
    assert not refusal(line), f"{page}: {line}"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("voxtrace train … --schedule static --train-cycles 2", "train_cycles=2 does nothing"),
        ("voxtrace train … --method e2enet --sparsity much", "sparsity is 'much'"),
        ("voxtrace plan DATASET --mend COPY", "--mend"),
        ("voxtrace plan DATASET --fix", ""),
    ],
)
def test_a_refusal_is_seen_in_the_line_alone(line: str, told: str) -> None:
    assert (told in refusal(line)) if told else not refusal(line)
