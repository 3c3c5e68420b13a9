"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from voxtrace.errors import UsageError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
BundleNames = Annotated[
    list[str],
    typer.Option(
        "--model",
        "-m",
        help="A bundle folder, a folder of folds, or the name of a shipped bundle. The probabilities of folds, and of "
        "several models where it is repeated, are averaged.",
    ),
]
Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:1, …")]
Precision = Annotated[str, typer.Option(help="Numbers to compute in: auto, float32, bfloat16, …")]
Seed = Annotated[int, typer.Option(help="Start of the random numbers; the same seed gives the same result.", min=0)]
PictureFailures = Annotated[
    bool,
    typer.Option(
        "--picture-failures",
        help="Keep pictures of the three worst held-back cases beside the bundle's card. They show slices of scans, "
        "which are patient data; names and Dice stand in the card in any case.",
    ),
]
KeepSteps = Annotated[
    bool,
    typer.Option(
        "--keep-steps",
        help="Predict with as many steps as the method is asked for. Otherwise a method that may stop at any step "
        "takes the one that is best on the held-back cases, where it is above the last by more than 0.0005 of Dice.",
    ),
]
LiveSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="An option of the method that training did not fix; may be repeated."
    ),
]
MatchVolumes = Annotated[
    bool,
    typer.Option(
        "--match-volumes",
        help="Add an offset to the last bias of each label, so that its total volume over the held-back cases is that "
        "of the references. The card says so, and what it is worth on halves of them. The cases are segmented "
        "three to six times more.",
    ),
]
AboutFile = Annotated[
    Path | None,
    typer.Option(
        "--about",
        metavar="FILE",
        help="TOML or JSON with what only you can say in the card: population, ethics, reference standard, annotators, "
        "funding and more; `voxtrace models describe` lists the names.",
        show_default=False,
    ),
]
Timepoint = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        help="Of files with several time points: the one to segment, from 0, or all, a case CASE_t000 for each.",
    ),
]
SeriesNames = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Of DICOM folders: name, number or description of the series, or of that for each channel in order, "
        "repeated (`voxtrace inspect` lists them). Found by the series' descriptions if unset.",
    ),
]
DatasetFolder = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET",
        help="Folder of a dataset (nnU-Net's raw layout, the Decathlon's, BraTS names), or a CSV with image and label.",
    ),
]
WindowSize = Annotated[
    str | None,
    typer.Option("--window", metavar="ZxYxX", help="Voxels of a window in place of the planned ones, e.g. 32x128x128."),
]
Spacing = Annotated[
    str | None,
    typer.Option("--spacing", metavar="ZxYxX", help="Spacing in mm in place of the planned one, e.g. 3x0.8x0.8."),
]


def timepoint(text: str | None) -> int | Literal["all"] | None:
    """Return the time point of ``--frame``, from 0, or ``"all"``; None where it is not given.

    Raises
    ------
    UsageError
        It is neither.
    """
    if text is None or text == "all":
        return "all" if text else None
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"--frame is {text!r}; expected a number counted from 0, or all.")
    return int(text)


def window_voxels(text: str | None) -> tuple[int, int, int] | None:
    """Return voxels (Z, Y, X) of ``--window``; None where it is not given.

    Raises
    ------
    UsageError
        It is not three whole numbers from 1 on, or one for a cube.
    """
    if text is None:
        return None
    numbers = _three(text, r"[0-9]{1,5}")
    if numbers is None or min(numbers) < 1:
        raise UsageError(f"--window {text!r} is no window; expected whole voxels ZxYxX, such as 32x128x128.")
    z, y, x = numbers
    return int(z), int(y), int(x)


def spacing_mm(text: str | None) -> tuple[float, float, float] | None:
    """Return mm (Z, Y, X) of ``--spacing``; None where it is not given.

    Raises
    ------
    UsageError
        It is not three positive numbers, or one for all axes.
    """
    if text is None:
        return None
    numbers = _three(text, r"[0-9]{1,5}(\.[0-9]{1,9})?")
    if numbers is None or min(numbers) <= 0:
        raise UsageError(f"--spacing {text!r} is no spacing; expected mm ZxYxX, such as 3x0.8x0.8.")
    return numbers


def _three(text: str, number: str) -> tuple[float, float, float] | None:
    words = [word.strip() for word in re.split(r"[x×,]", text.strip().lower())]
    if len(words) not in (1, 3) or not all(re.fullmatch(number, word) for word in words):
        return None
    z, y, x = [float(word) for word in words] * (3 if len(words) == 1 else 1)
    return z, y, x
