"""``voxtrace score``: the most reliable of several label maps of a case, and the difficulty of the case."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.exit_codes import SOME_FAILED
from voxtrace.cli.interrupt import stop_on_interrupt
from voxtrace.cli.output import echo, print_json, print_line, print_table, progress_bar, reserve_stdout_for_json
from voxtrace.errors import UsageError

if TYPE_CHECKING:
    from voxtrace.training.reliability import DatasetScores

MANY = "--labels"


class ManyLabels(TyperCommand):
    """A command whose ``--labels`` takes any number of paths: ``--labels A B`` is ``--labels A --labels B``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments after putting ``--labels`` before each path that follows it."""
        return super().parse_args(ctx, spread(args, MANY))


def score(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Folder with dataset.json and imagesTr; labelsTr is not needed.")
    ],
    labels: Annotated[
        list[Path],
        typer.Option(
            MANY,
            metavar="DIR DIR DIR …",
            help="Three or more folders with CASE.nii.gz, one label map a case: paths from here, or names in DATASET. "
            "A name that is a folder in both is refused.",
        ),
    ],
    with_background: Annotated[
        bool, typer.Option("--with-background", help="Count the background as a label in Dice; it raises every score.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Score cases by how well three or more label maps of each agree, and keep the most reliable one.

    Values that dataset.json does not name become background. The reliability of a map is its mean Dice with the
    others; the kept map is the one of the highest, and its reliability is the case's difficulty. Written into DATASET,
    whole or not at all: scores.json, which training curricula read (a high difficulty score is an easy case), and
    labelsChosen, which training reads for cases without a file in labelsTr.
    """
    from voxtrace.training.reliability import score_dataset

    with reserve_stdout_for_json(as_json), stop_on_interrupt() as cancel:
        folders = [_folder(dataset, folder) for folder in labels]
        scoring = _show(score_dataset(dataset, folders, background=with_background, cancel=cancel))
    if as_json:
        print_json(_document(scoring))
    else:
        _print(scoring)
    _exit(scoring, dataset)


def spread(words: Sequence[str], flag: str) -> list[str]:
    """Return the words with ``flag`` repeated before each word that follows it, up to the next flag.

    Examples
    --------
    >>> spread(["set", "--labels", "a", "b", "--json"], "--labels")
    ['set', '--labels', 'a', '--labels', 'b', '--json']
    """
    found: list[str] = []
    inside = False
    for word in words:
        if inside and not word.startswith("-") and found[-1] != flag:
            found.append(flag)
        found.append(word)
        inside = word == flag or (inside and not word.startswith("-"))
    return found


def _folder(dataset: Path, given: Path) -> Path:
    """Return the folder of label maps that a path from here, or a name in the dataset, stands for."""
    inside = dataset / given
    if given.is_absolute() or not inside.is_dir():
        return given
    if given.is_dir() and not given.samefile(inside):
        raise UsageError(
            f"{given} is a folder here and one in {dataset}; give the whole path of the one that you mean, e.g. "
            f"{inside.absolute()}."
        )
    return inside


def _show(task: Generator[tuple[int, int], None, DatasetScores]) -> DatasetScores:
    """Run the scoring to its end behind a progress bar, and return its result."""
    with progress_bar() as bar:
        row = bar.add_task("scoring", total=None)
        while True:
            try:
                done, total = next(task)
            except StopIteration as stop:
                scoring: DatasetScores = stop.value
                return scoring
            bar.update(row, completed=done, total=total)


def _document(scoring: DatasetScores) -> dict[str, Any]:
    return {
        "labels": [str(folder) for folder in scoring.candidates],
        "background": scoring.background,
        "cases": {name: asdict(score) for name, score in scoring.cases.items()},
        "curriculum": _curriculum(scoring),
        "failed": [{"case": name, "error": error} for name, error in scoring.failed.items()],
        "missing": list(scoring.missing),
        "empty": _empty(scoring),
    }


def _print(scoring: DatasetScores) -> None:
    rows = [
        (
            name,
            str(scoring.candidates[s.chosen]),
            f"{s.difficulty:.4f}",
            f"{s.difficulty_min:.4f}",
            s.foreground_voxels,
        )
        for name, s in scoring.cases.items()
    ]
    # The kept map's reliability is the same number (eq. 2); the JSON has both.
    print_table(("case", "kept", "difficulty", "smallest Dice", "voxels"), rows)
    counts = _curriculum(scoring)
    print_line()
    print_line(
        f"{counts['easy']} easy (difficulty above {counts['easy_above']:g}), {counts['hard']} hard (above "
        f"{counts['hard_above']:g}), {counts['dropped']} left out of a curriculum (`voxtrace train --method cdlunet`)."
    )
    if empty := _empty(scoring):
        echo(f"{len(empty)} kept label maps are empty, and a curriculum never learns them: {', '.join(empty)}.")


def _curriculum(scoring: DatasetScores) -> dict[str, Any]:
    """Return how many cases the curriculum's default thresholds call easy and hard, and how many are left out."""
    from voxtrace.methods.cdlunet import CDLUNet, chosen

    method = CDLUNet()

    def count(above: float, most: float) -> int:
        scores = [
            {"difficulty": s.difficulty, "foreground_voxels": s.foreground_voxels} for s in scoring.cases.values()
        ]
        return sum(chosen(s, 0.0, key="difficulty", above=above, most=most) > 0 for s in scores)

    easy, hard = count(method.easy_above, 1.0), count(method.hard_above, method.easy_above)
    return {
        "easy_above": method.easy_above,
        "hard_above": method.hard_above,
        "easy": easy,
        "hard": hard,
        "dropped": len(scoring.cases) - easy - hard,
        "without_foreground": len(_empty(scoring)),
    }


def _empty(scoring: DatasetScores) -> list[str]:
    """Return the cases whose kept map has no foreground."""
    return [name for name, s in scoring.cases.items() if s.foreground_voxels == 0]


def _exit(scoring: DatasetScores, dataset: Path) -> None:
    """Print what was left out and which labels training will read, and exit with the code for it."""
    if scoring.missing:
        few = ", ".join(scoring.missing[:5]) + (", …" if len(scoring.missing) > 5 else "")
        echo(f"{len(scoring.missing)} cases lack a label map in some folder and were left out: {few}.")
    referenced = sum(any((dataset / "labelsTr").glob(f"{name}.*")) for name in scoring.cases)
    if referenced:
        echo(f"{referenced} scored cases have labels in labelsTr, which training prefers; see `train --labels`.")
    for name, error in scoring.failed.items():
        echo(f"{name}: failed. {error}")
    if scoring.failed:
        raise typer.Exit(SOME_FAILED)
