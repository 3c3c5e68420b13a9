"""The form of the training panel: its values, what is known of dataset and output, and the request that follows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from voxtrace.errors import BundleError, UsageError
from voxtrace.fit import Fit
from voxtrace.inference.fold_folder import fold_summary, is_fold_folder, unfinished_folds
from voxtrace.plan import Shape, Triple
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.models.train_more import USUAL, TrainMore
from voxtrace.plugin.models.train_run import FoundRun
from voxtrace.training.begun import work_folder
from voxtrace.training.request import TrainRequest

LAYOUTS = {
    "raw": "nnU-Net's raw layout",
    "decathlon": "the Decathlon's layout",
    "listing": "listed in dataset.json",
    "brats": "BraTS names",
    "csv": "a CSV",
}
NO_DATASET = (
    "Choose a dataset: a folder (nnU-Net's raw layout, the Decathlon's, BraTS names, or what Correct added cases to), "
    "or a CSV with the columns image and label."
)
NO_OUT = "Choose where the new bundle should go: a folder that does not exist yet."


@dataclass(frozen=True)
class TrainForm:
    """The values of the form.

    Attributes
    ----------
    dataset, out
        Folder or CSV, and the folder of the new bundle.
    fold, every_fold
        Fold held back, None for none; or each in turn, where ``fold`` does not count.
    iterations, batch_size, extend
        0 means as planned; ``extend`` is how much longer a run gets that lies at ``out``.
    options
        Of the method.
    minutes
        None is no limit.
    window, spacing
        As typed, ZxYxX in voxels and mm; "" is as planned.
    plan
        File of a plan; "" takes the dataset's own.
    constant_rate
        Whether the learning rate stays constant, so that the run can be made longer later.
    more
        What is seldom changed.
    preview
        Case that is shown as it is learned, at every validation; "" is the first held-back one.
    """

    dataset: str = ""
    fold: int | None = 0
    iterations: int = 0
    out: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    minutes: float | None = None
    every_fold: bool = False
    window: str = ""
    spacing: str = ""
    batch_size: int = 0
    plan: str = ""
    constant_rate: bool = False
    preview: str = ""
    extend: int = 0
    more: TrainMore = USUAL


@dataclass(frozen=True)
class KnownDataset:
    """What is known of a dataset before anything runs.

    Attributes
    ----------
    dataset
        Its path.
    suggested, fits
        Folder of the bundle to start from, None if none fits, and the verdict on each bundle by its folder.
    problem
        Why it cannot be trained on, in the engine's words; "" where it can.
    layout, cases, folds
        Its layout, the names of its cases, and how many folds it has.
    """

    dataset: str
    suggested: Path | None = None
    fits: Mapping[Path, Fit] = field(default_factory=dict)
    problem: str = ""
    layout: str = ""
    cases: tuple[str, ...] = ()
    folds: int = 0

    @property
    def sentence(self) -> str:
        """What it is, in a line; "" where it is not known."""
        if not self.cases:
            return ""
        count = "1 case" if len(self.cases) == 1 else f"{len(self.cases)} cases"
        return f"{count} in {self.folds} folds, {LAYOUTS.get(self.layout, self.layout)}"


@dataclass(frozen=True)
class TrainStart:
    """What training can start from: a bundle's weights, or a method with random weights (``bundle`` None).

    ``before`` is the bundle's own method and its options, where it goes on as another one.
    """

    title: str
    method: str
    bundle: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)
    before: tuple[str, Mapping[str, Any]] | None = field(default=None, compare=False)


def resumable(out: str, every_fold: bool = False) -> bool:
    """Tell whether there is an unfinished run at an output folder, or, where asked for, a cross-validation."""
    return bool(out) and (is_fold_folder(Path(out)) if every_fold else work_folder(Path(out)).is_dir())


def start_word(form: TrainForm) -> str:
    """Return what the Start button says: Start, Resume, or Extend for a finished run that is made longer."""
    if resumable(form.out, form.every_fold):
        return "Resume"
    return "Extend" if form.extend and _is_bundle(form.out) else "Start"


def ready(form: TrainForm, known: KnownDataset) -> PanelState:
    """Return what is missing in a form, or that training can start."""
    if not form.dataset:
        return PanelState(NO_DATASET)
    if known.dataset != form.dataset:
        return PanelState("Looking at the dataset, and which models fit it …")
    if known.problem:
        return PanelState(known.problem, "error")
    try:
        _numbers(form)
    except UsageError as error:
        return PanelState(str(error), "error")
    if not form.out:
        return PanelState(NO_OUT)
    return _ready_at(form)


def _ready_at(form: TrainForm) -> PanelState:
    """Return whether training can start by what lies at the output."""
    word = start_word(form)
    if word == "Resume" and form.every_fold and (told := _folds_end(Path(form.out))) is not None:
        return told
    if word == "Resume":
        what = "are folds" if form.every_fold else "is an unfinished run"
        more = f", and for {form.extend:,} iterations more than it was to have" if form.extend else ""
        return PanelState(f"There {what}. Press Resume to continue where it stopped{more}.", can_start=True)
    if word == "Extend":
        return PanelState(f"Press Extend to train {form.extend:,} iterations more.", can_start=True)
    if _is_bundle(form.out):
        return PanelState(
            f"{form.out} is finished. Choose another folder, or a number of iterations to extend it by.", "warning"
        )
    if Path(form.out).exists():
        return PanelState(f"{form.out} exists already; choose a folder that does not exist yet.", "error")
    return PanelState("Ready. Press Start.", can_start=True)


def _folds_end(out: Path) -> PanelState | None:
    """Return that there is nothing to go on with in a folder of folds; None where there is."""
    try:
        finished = bool(fold_summary(out)) and not unfinished_folds(out)
    except BundleError as error:
        return PanelState(str(error), "error")
    return PanelState(f"Every fold in {out} is finished. Choose another folder.", "warning") if finished else None


def request_of(form: TrainForm, start: TrainStart, run: FoundRun) -> TrainRequest:
    """Return what a form asks for; ``run`` is what lies at its output.

    Raises
    ------
    UsageError
        Window or spacing are no numbers.
    """
    window, spacing_mm = _numbers(form)
    longer = run.iterations + form.extend if form.extend and run.iterations else None
    return TrainRequest(
        dataset=Path(form.dataset),
        fold=None if form.every_fold else form.fold,
        out=Path(form.out) if form.out else None,
        iterations=longer or form.iterations or None,
        batch_size=form.batch_size or None,
        initial=start.bundle,
        method=start.method if start.before or not start.bundle else None,
        options=form.options,
        minutes=form.minutes,
        window=window,
        spacing_mm=spacing_mm,
        plan=Path(form.plan) if form.plan else None,
        rate_schedule="constant" if form.constant_rate else "method",
        preview=form.preview,
        resume=start_word(form) != "Start",
        **asdict(form.more),
    )


def window_voxels(text: str) -> Shape | None:
    """Return voxels (Z, Y, X) as typed; None where nothing is.

    Raises
    ------
    UsageError
        They are not three whole numbers from 1 on, or one for a cube.

    Examples
    --------
    >>> window_voxels("32 × 128 × 128"), window_voxels("16"), window_voxels("")
    ((32, 128, 128), (16, 16, 16), None)
    """
    numbers = _three(text, r"[0-9]{1,5}")
    if numbers == () or (numbers and min(numbers) < 1):
        raise UsageError(f"The window {text!r} is no window; expected whole voxels z × y × x, such as 32 × 128 × 128.")
    return (int(numbers[0]), int(numbers[1]), int(numbers[2])) if numbers else None


def spacing_mm(text: str) -> Triple | None:
    """Return mm (Z, Y, X) as typed; None where nothing is.

    Raises
    ------
    UsageError
        They are not three positive numbers, or one for all axes.
    """
    numbers = _three(text, r"[0-9]{1,5}(\.[0-9]{1,9})?")
    if numbers == () or (numbers and min(numbers) <= 0):
        raise UsageError(f"The spacing {text!r} is no spacing; expected mm z × y × x, such as 3 × 0.8 × 0.8.")
    return (numbers[0], numbers[1], numbers[2]) if numbers else None


def _three(text: str, number: str) -> tuple[float, ...] | None:
    """Return three numbers; None where nothing is typed, () where it is something else."""
    if not text.strip():
        return None
    words = [word.strip() for word in re.split(r"[x×,]", text.strip().lower())]
    if len(words) not in (1, 3) or not all(re.fullmatch(number, word) for word in words):
        return ()
    return tuple(float(word) for word in words) * (3 if len(words) == 1 else 1)


def _numbers(form: TrainForm) -> tuple[Shape | None, Triple | None]:
    return window_voxels(form.window), spacing_mm(form.spacing)


def _is_bundle(out: str) -> bool:
    return bool(out) and (Path(out) / "bundle.json").is_file()
