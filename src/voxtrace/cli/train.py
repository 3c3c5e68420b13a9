"""``voxtrace train``: from a dataset to a bundle."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson, DatasetFolder, Device, Precision, Seed
from voxtrace.cli.interrupt import stop_on_interrupt
from voxtrace.cli.output import echo, print_json, progress_bar, stdout_kept_for_json

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from voxtrace.bundle import Bundle
    from voxtrace.method import Method
    from voxtrace.plan import Plan
    from voxtrace.training import Dataset, TrainProgress
    from voxtrace.volume import Case

DEFAULT_METHOD = "recyclenet"
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}  # a method's options, which options.py reads


@dataclass(frozen=True)
class Request:
    """What to train, as asked for; None stands for "not said"."""

    dataset: Path
    method: str | None
    out: Path | None
    fold: int | None
    iterations: int | None
    batch_size: int | None
    initial: str | None
    settings: Sequence[str]
    flags: Sequence[str]
    device: str
    labels: str = ""


def train(
    context: typer.Context,
    dataset: DatasetFolder,
    method: Annotated[
        str | None,
        typer.Option(
            help=f"Which method to train, see `voxtrace methods`; {DEFAULT_METHOD}, or the bundle's, if unset."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Bundle folder; DATASET-METHOD here if unset.", show_default=False),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(min=0, help="Hold this fold back for validation; train on all cases if unset.")
    ] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Optimiser updates; the plan's if unset.")] = None,
    seed: Seed = 0,
    initial: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Fine-tune from a bundle: its plan and weights, and its method unless --method says otherwise.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    name: Annotated[str | None, typer.Option(help="What the bundle is called; its folder's name if unset.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An option of the method; may be repeated.")
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare windows; 0 uses this one.")] = 0,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Windows in an update; the plan's if unset.")] = None,
    labels: Annotated[
        str,
        typer.Option(
            help="Folder in DATASET with the labels to learn; labelsTr, and labelsChosen for cases it lacks, if unset.",
            show_default=False,
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Train a method on a dataset and write a bundle.

    The options of the method may follow as flags of their own, for example --cycles 5; `voxtrace methods` lists them.
    Ctrl-C keeps a checkpoint beside the bundle, in OUT.work, and --resume goes on from there.
    """
    request = Request(
        dataset, method, out, fold, iterations, batch_size, initial, settings or (), context.args, device, labels
    )
    recipe = {"seed": seed, "precision": precision, "workers": workers, "resume": resume}
    with stdout_kept_for_json(as_json):
        bundle = _train(request, recipe, name)
    if as_json:
        print_json({"bundle": str(bundle.path), "digest": bundle.digest, "card": dict(bundle.card)})
    else:
        typer.echo(f"the bundle lies in {bundle.path}")


def _train(request: Request, recipe: dict[str, Any], name: str | None) -> Bundle:
    from voxtrace.training import fold, open_dataset
    from voxtrace.training import train as run

    dataset = open_dataset(request.dataset, request.labels)
    everything = dataset.cases([files.name for files in dataset.files])
    cases, held_back = (everything, ()) if request.fold is None else fold(dataset, request.fold)
    method, plan, initial = _decide(request, dataset, cases)
    out = request.out or Path(f"{_file_name(dataset.name)}-{method.key}")
    provenance = {"dataset": dataset.name, "fold": request.fold, "dataset_licence": dataset.licence}
    about: dict[str, Any] = {"provenance": provenance, **({"name": name} if name else {})}
    if dataset.licence:
        about["licence"] = f"{dataset.licence} (the training data's)"
    echo(f"training {method.key} on {len(cases)} cases, {len(held_back)} held back, into {out}")
    with stop_on_interrupt() as cancel:
        task = run(
            method,
            plan,
            cases,
            out=out,
            validate=held_back,
            initial=initial,
            about=about,
            cancel=cancel,
            device=request.device,
            **recipe,
        )
        return _show(task)


def _decide(request: Request, dataset: Dataset, cases: Sequence[Case]) -> tuple[Method, Plan, Bundle | None]:
    """Return method, plan, and the bundle to start from if there is one."""
    from voxtrace.bundle import load
    from voxtrace.cli.method_options import method_options
    from voxtrace.cli.plan import make_plan
    from voxtrace.method import changed
    from voxtrace.methods import method as make_method
    from voxtrace.training.finetune import finetune_plan

    initial = load(request.initial) if request.initial else None
    if initial and request.method in (None, initial.method.key):
        method = initial.method
    else:
        method = make_method(request.method or DEFAULT_METHOD)  # another method may take the weights that fit
    method = changed(method, **method_options(type(method), request.settings, request.flags))
    if initial:
        plan = finetune_plan(initial, dataset, iterations=request.iterations)
    else:
        _, plan = make_plan(dataset, cases, request.device, None, request.iterations)
    if request.batch_size:
        plan = plan.model_copy(update={"batch_size": request.batch_size})
    return method, plan, initial


def _show(task: Generator[TrainProgress, None, Bundle]) -> Bundle:
    """Drive the training to its end behind a progress bar."""
    with progress_bar("facts") as bar:
        phases: dict[str, Any] = {}
        dice = None
        while True:
            try:
                progress = next(task)
            except StopIteration as stop:
                bundle: Bundle = stop.value
                return bundle
            dice = progress.validation_dice or dice
            _update(bar, phases, progress, dice)


def _update(bar: Bar, phases: dict[str, Any], progress: TrainProgress, dice: float | None) -> None:
    if progress.phase not in phases:
        phases[progress.phase] = bar.add_task(progress.phase, total=progress.total, facts="")
    loss = f"loss {sum(progress.loss.values()):.3f}  rate {progress.rate:.2g}" if progress.loss else ""
    facts = f"{loss}  Dice {dice:.3f}" if dice is not None else loss
    bar.update(phases[progress.phase], completed=progress.iteration, total=progress.total, facts=facts)
    if progress.validation_dice is not None:
        echo(f"{progress.phase} {progress.iteration}/{progress.total}: {facts}")


def _file_name(name: str) -> str:
    """Return a dataset's name with nothing in it that a file name must not have."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "dataset"
