"""``voxtrace train``: from a dataset to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from voxtrace.cli.arguments import (
    AboutFile,
    AsJson,
    DatasetFolder,
    Device,
    KeepSteps,
    MatchVolumes,
    PictureFailures,
    Precision,
    Seed,
    Spacing,
    WindowSize,
    spacing_mm,
    window_voxels,
)
from voxtrace.cli.cross_validate import cross_validate
from voxtrace.cli.interrupt import stop_on_interrupt
from voxtrace.cli.output import echo, print_json, print_line, reserve_stdout_for_json
from voxtrace.cli.show_fit import warn_of_fit
from voxtrace.cli.show_training import show_training
from voxtrace.training.first_process import is_first_process
from voxtrace.training.request import TrainRequest

if TYPE_CHECKING:
    from voxtrace.bundle import Bundle

CONTEXT = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
}  # a method's options, which method_options.py reads

MethodKey = Annotated[
    str | None,
    typer.Option(help="Which method to train, see `voxtrace methods`; recyclenet, or the bundle's, if unset."),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Bundle folder; DATASET-METHOD here if unset.", show_default=False)
]
Fold = Annotated[
    int | None, typer.Option(min=0, help="Hold this fold back for validation; train on all cases if unset.")
]
CrossValidate = Annotated[
    bool,
    typer.Option(
        "--cv",
        help="Train every fold, one after another, into OUT/fold_0, …, with one plan and shared prepared cases, and "
        "pool the scores of all held-back cases; OUT is a bundle for -m. --resume goes on with the folds that are not "
        "finished. --minutes and --iterations are those of a fold.",
    ),
]
Iterations = Annotated[int | None, typer.Option(min=1, help="Optimiser updates; the plan's if unset.")]
Initial = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Fine-tune from a bundle: its plan and weights, with channels and labels matched by name, and its method "
        "unless --method says otherwise.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on with a run that was interrupted, with its plan and options; other cases are refused."
    ),
]
Name = Annotated[str, typer.Option(help="What the bundle is called; its folder's name if unset.", show_default=False)]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An option of the method; may be repeated.")
]
Rate = Annotated[
    float | None,
    typer.Option(
        min=1e-12,
        help="Learning rate in place of the method's; unset, the method's, and a tenth of it with --from, where the "
        "bundle knows a label of the dataset.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Processes that prepare windows; 0 uses this one, and unset up to 8 work beside a GPU.",
        show_default=False,
    ),
]
RateSchedule = Annotated[
    Literal["method", "constant"],
    typer.Option(
        help="How the rate goes: as the method has it, or constant with a fall in the last fifth; such a run can be "
        "made longer with --resume and more --iterations."
    ),
]
Average = Annotated[
    float, typer.Option(min=0, max=0.99999, help="Average the weights with this decay, e.g. 0.999; 0 does not.")
]
Weights = Annotated[
    Literal["last", "best"], typer.Option(help="Weights of the bundle: the last, or those of the best validation.")
]
Accumulate = Annotated[
    int, typer.Option(min=1, help="Spread the windows of an update over this many passes, which saves memory.")
]
Devices = Annotated[
    int, typer.Option(min=1, help="Devices of this machine that train together, each with --batch-size windows.")
]
Nodes = Annotated[int, typer.Option(min=1, help="Machines that train together; see the docs, or use torchrun.")]
CheckpointEvery = Annotated[
    float, typer.Option("--checkpoint-every", min=0.01, help="Minutes between two checkpoints.", metavar="MINUTES")
]
KeepEvery = Annotated[
    int, typer.Option(min=0, help="Iterations between two checkpoints that stay in OUT.work; 0 keeps the last.")
]
Preview = Annotated[
    str,
    typer.Option(
        metavar="CASE",
        help="Segment this case at every validation, into the trace OUT.preview over training time.",
        show_default=False,
    ),
]
TensorBoard = Annotated[
    Path | None, typer.Option("--tensorboard", help="Folder for TensorBoard's files.", show_default=False)
]
Fork = Annotated[
    Path | None,
    typer.Option(help="Go on, as a new run, from the state of the run in this OUT.work, or of a checkpoint in it."),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        min=0.01, help="Stop the updates after this time and write the bundle; the learning rate falls with the time."
    ),
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Windows in an update; the plan's if unset.")]
PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        help="A plan with folds that `voxtrace plan DATASET --out FILE` wrote; unset, the one in the dataset's cache, "
        "which every fold and method shares.",
        show_default=False,
    ),
]
Prepared = Annotated[
    Path | None,
    typer.Option(
        help="Folder in which prepared cases stay, for the runs of other folds and methods with the same plan; unset, "
        "they are made for this run and removed at its end.",
        show_default=False,
    ),
]
AnonymousNames = Annotated[
    bool,
    typer.Option(
        "--anonymous-names",
        help="Call the cases case_0001 and up in the bundle's card, which otherwise names them as their files.",
    ),
]
Labels = Annotated[
    str,
    typer.Option(
        help="Folder in DATASET with the labels to learn; labelsTr, and labelsChosen for cases it lacks, if unset.",
        show_default=False,
    ),
]


def train(
    context: typer.Context,
    dataset: DatasetFolder,
    method: MethodKey = None,
    out: Out = None,
    fold: Fold = None,
    cv: CrossValidate = False,
    iterations: Iterations = None,
    seed: Seed = 0,
    initial: Initial = None,
    resume: Resume = False,
    name: Name = "",
    settings: Settings = None,
    device: Device = "auto",
    precision: Precision = "auto",
    rate: Rate = None,
    minutes: Minutes = None,
    rate_schedule: RateSchedule = "method",
    average: Average = 0.0,
    weights: Weights = "last",
    accumulate: Accumulate = 1,
    devices: Devices = 1,
    nodes: Nodes = 1,
    checkpoint_minutes: CheckpointEvery = 5.0,
    keep_every: KeepEvery = 0,
    preview: Preview = "",
    tensorboard: TensorBoard = None,
    fork: Fork = None,
    workers: Workers = None,
    batch_size: BatchSize = None,
    labels: Labels = "",
    plan: PlanFile = None,
    window: WindowSize = None,
    spacing: Spacing = None,
    prepared: Prepared = None,
    anonymous_names: AnonymousNames = False,
    picture_failures: PictureFailures = False,
    keep_steps: KeepSteps = False,
    match_volumes: MatchVolumes = False,
    about: AboutFile = None,
    as_json: AsJson = False,
) -> None:
    """Train a method on a dataset and write a bundle.

    The options of the method may follow as flags of their own, for example --cycles 5; `voxtrace methods` lists them.
    Ctrl-C keeps a checkpoint beside the bundle, in OUT.work, and --resume goes on from there.
    """
    asked = dict(locals())  # by the names of TrainRequest's fields
    if asked.pop("cv"):
        cross_validate(_request(asked), _train, as_json)
        return
    with reserve_stdout_for_json(as_json):
        bundle = _train(_request(asked))
    if not is_first_process():
        return
    if as_json:
        print_json({"bundle": str(bundle.path), "digest": bundle.digest, "card": dict(bundle.card)})
    else:
        print_line(f"the bundle lies in {bundle.path}")


def _request(asked: dict[str, Any]) -> TrainRequest:
    """Return what was asked for by flags, by their names."""
    flags, settings = asked.pop("context").args, asked.pop("settings") or []
    del asked["as_json"]
    asked["window"], asked["spacing_mm"] = window_voxels(asked["window"]), spacing_mm(asked.pop("spacing"))
    return TrainRequest(**asked, options=_method_options(asked["method"], asked["initial"], settings, flags))


def _method_options(method: str | None, initial: str | None, settings: list[str], flags: list[str]) -> dict[str, Any]:
    """Return the method's options that were given, each in its declared type."""
    from voxtrace.cli.method_options import method_options
    from voxtrace.methods import method as make_method
    from voxtrace.training.setup import method_key

    return method_options(type(make_method(method_key(method, initial))), settings, flags)


def _train(request: TrainRequest) -> Bundle:
    from voxtrace.training import set_up

    with stop_on_interrupt() as cancel:
        setup = show_training(set_up(request, cancel))
        numbers = f"{len(setup.cases)} cases, {len(setup.validate)} held back"
        if any(n != len(setup.cases) for n in setup.cases_per_phase.values()):
            numbers += f" ({', '.join(f'{phase}: {n}' for phase, n in setup.cases_per_phase.items())}"
            numbers += f"; {setup.cases_left_out} left out)" if setup.cases_left_out else ")"
        if is_first_process():
            echo(f"training {setup.method.key} on {numbers}, into {setup.out}")
        if is_first_process() and (found := setup.fit_of_start()):
            warn_of_fit(found, str(request.initial))
        return show_training(setup.train(cancel))
