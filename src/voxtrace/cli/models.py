"""``voxtrace models``: list and picture shipped bundles; verify, measure or describe one; import those of nnU-Net."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from voxtrace.cli.arguments import (
    AboutFile,
    AsJson,
    DatasetFolder,
    Device,
    KeepSteps,
    LiveSettings,
    MatchVolumes,
    PictureFailures,
)
from voxtrace.cli.interrupt import stop_on_interrupt
from voxtrace.cli.output import echo, print_json, print_line, print_table, reserve_stdout_for_json
from voxtrace.errors import UsageError

MEASURED = (
    *("training_scans", "cost", "intervals", "expected", "predicted_dice"),
    *("calibration", "post_processing", "failures"),
)

Scans = Annotated[
    list[str] | None,
    typer.Option(
        "--scan",
        metavar="MODEL=FILE",
        help="Picture a model on this scan, which you may show, in place of a made-up one; may be repeated.",
    ),
]
References = Annotated[
    list[str] | None,
    typer.Option(
        "--labels",
        metavar="MODEL=FILE",
        help="Reference labels of a model's --scan, shown beside its answer: by the names that FILE or a .json of "
        "its name beside it has, else by the model's values; may be repeated.",
    ),
]
ShownDatasets = Annotated[
    list[Path] | None,
    typer.Option(
        "--dataset",
        help="Picture the models that were trained on this dataset on its first held-back case, which you may "
        "show, beside the reference; may be repeated.",
    ),
]

app = typer.Typer(help="List the shipped bundles, check one, or import a model of nnU-Net.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the bundles that come with the package; `voxtrace models page` pictures them.

    Seconds are the median of the held-back cases, GB the most that one is estimated to take.
    """
    from voxtrace.bundle import card, shipped
    from voxtrace.fit.model_facts import cost_words, dice_words, is_non_commercial, licence_words

    records = {name: card(path) for name, path in shipped().items()}
    if as_json:
        found = [{"name": name, "non_commercial": is_non_commercial(r), **r} for name, r in records.items()]
        print_json({"models": found})
        return
    rows = [
        (
            *(name, r["method"]["name"], _made_for(r), _listed(r["plan"]["channels"]), _labels(r), dice_words(r)),
            *(cost_words(r, "seconds"), cost_words(r, "gigabytes")),
        )
        for name, r in records.items()
    ]
    print_table(("name", "method", "made for", "channels", "labels", "Dice", "seconds", "GB"), rows)
    for name, record in records.items():
        if is_non_commercial(record):
            print_line(f"{name}: {licence_words(record)}")
    print_line("a page with a picture of each: voxtrace models page OUT.html; all of one: voxtrace inspect NAME")


@app.command()
def page(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The page to write: OUT.html, one file, or OUT.md.")],
    scans: Scans = None,
    references: References = None,
    datasets: ShownDatasets = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Write a page of the shipped bundles: picture, labels, training data, Dice, seconds, GB, size and licence.

    Each is run once on a made-up scan that it has not seen, the reference beside its answer. A model of real scans,
    which none of them is like, has a picture only with --scan or --dataset. Markdown has its pictures in a folder
    beside it, images/OUT.
    """
    from voxtrace.batch.model_page import datasets_by_model, shown_models
    from voxtrace.bundle import shipped
    from voxtrace.training import open_dataset

    if out.suffix.lower() not in (".html", ".htm", ".md"):
        raise UsageError(f"{out} is no page; expected a name ending in .html or .md.")
    models = shipped()
    from voxtrace.io import read

    given = {name: read(file) for name, file in _by_model("--scan", scans, models).items()}
    labels, shown = _references(references, given, models), []
    on = datasets_by_model(models, map(open_dataset, datasets or []))
    with reserve_stdout_for_json(as_json), stop_on_interrupt() as cancel:
        for model in shown_models(models, given, device, cancel, on, labels):
            shown.append(model)
            echo(f"{model.name} is done")
    _write_page(
        out,
        shown,
        [
            *_given("--scan", scans),
            *_given("--labels", references),
            *_given("--dataset", datasets),
        ],
    )
    if as_json:
        print_json({"page": str(out), "models": list(models)})
    else:
        print_line(f"the page lies in {out}")


def _given(option: str, values: Sequence[str | Path] | None) -> list[str]:
    """Return the words of an option as they were given, once for each value."""
    return [word for value in values or () for word in (option, str(value))]


def _write_page(out: Path, shown: list[Any], given: Sequence[str]) -> None:
    from voxtrace.atomic import atomic_file
    from voxtrace.batch.model_markdown import write_markdown
    from voxtrace.batch.model_page import model_page, model_section

    if out.suffix.lower() == ".md":
        words = shlex.join(["voxtrace", "models", "page", str(out), *given])
        write_markdown(shown, out, f"```bash\n{words}\n```\n\n")
        return
    with atomic_file(out) as temporary:
        temporary.write_text(model_page(map(model_section, shown)), encoding="utf-8")


def _by_model(option: str, words: list[str] | None, models: dict[str, Path]) -> dict[str, Path]:
    """Return the file of each model that was given one."""
    pairs = [word.partition("=") for word in words or ()]
    for name, _, file in pairs:
        if name not in models or not file:
            raise UsageError(f"{option} {name} is no MODEL=FILE; expected one of {', '.join(models)}, and a file.")
    return {name: Path(file) for name, _, file in pairs}


def _references(words: list[str] | None, scans: dict[str, Any], models: dict[str, Path]) -> dict[str, Any]:
    """Return the reference of each model's scan that was given one, with its names."""
    from voxtrace.cli.label_names import beside
    from voxtrace.io import read_labels

    files = _by_model("--labels", words, models)
    if alone := [name for name in files if name not in scans]:
        raise UsageError(f"--labels {alone[0]} has no --scan; give both of one model.")
    read = {name: read_labels(file) for name, file in files.items()}
    return {name: replace(one, names=one.names or beside(files[name])) for name, one in read.items()}


@app.command()
def verify(
    bundle: Annotated[str, typer.Argument(help="A bundle folder, or the name of a shipped bundle.")],
    as_json: AsJson = False,
) -> None:
    """Check that a bundle is complete and unaltered and that its weights fit its method."""
    from voxtrace.bundle import card
    from voxtrace.bundle import verify as verify_bundle

    verify_bundle(bundle)
    record = card(bundle)
    if as_json:
        print_json({"bundle": bundle, "verified": True, "digest": record["digest"]})
    else:
        print_line(f"{bundle} is complete and unaltered (SHA-256 {record['digest'][:16]}…).")


@app.command()
def measure(
    bundle: Annotated[str, typer.Argument(help="A bundle folder; it gets the measures.")],
    dataset: DatasetFolder,
    fold: Annotated[
        int | None, typer.Option(help="The fold it was trained on, from 0; as its card says if unset.", min=0)
    ] = None,
    labels: Annotated[str, typer.Option(help="Folder in DATASET with the reference labels.", show_default=False)] = "",
    device: Device = "auto",
    picture_failures: PictureFailures = False,
    keep_steps: KeepSteps = False,
    match_volumes: MatchVolumes = False,
    settings: LiveSettings = None,
    as_json: AsJson = False,
) -> None:
    """Measure a bundle on the dataset that it was trained on, and write what was found into its card.

    Of the training cases: ranges of spacing, size and intensities. On the held-back cases, as training does: Dice,
    surface distances and volumes, post-processing, temperature and calibration, the interval of each label's volume,
    what is usual for a trace, and how many steps are best. The weights stay as they are, but for the last bias
    with --match-volumes. Predictions begin then with the options that --set gives, and all is measured with them. A
    cross-validation that the bundle belongs to gets the pooled scores anew.
    """
    from voxtrace.bundle import annotate, card, find, load
    from voxtrace.cli.method_options import method_options
    from voxtrace.cli.show_training import show_training
    from voxtrace.training.cross_validation import pool_again
    from voxtrace.training.measuring import measure_on

    options = method_options(type(load(bundle).method), settings or (), ())
    asked = (picture_failures, keep_steps, match_volumes, options)
    with reserve_stdout_for_json(as_json), stop_on_interrupt() as cancel:
        found = show_training(measure_on(bundle, dataset, fold, labels, device, cancel, *asked))
    pictures = found.pictures if "failures" in found.entries else None
    annotate(bundle, found.entries, pictures, found.method, found.network)
    pool_again(find(bundle).parent)
    if as_json:
        told = {name: found.entries.get(name) for name in MEASURED}
        print_json({"bundle": bundle, "digest": card(bundle)["digest"], **told})
    else:
        echo(f"measured; see {find(bundle) / 'card.md'}")


@app.command()
def describe(
    bundle: Annotated[str, typer.Argument(help="A bundle folder; its card gets the words.")],
    about: AboutFile = None,
    channel: Annotated[
        str | None,
        typer.Option("--show-channel", help="The channel that pictures show: where a reader sees what is outlined."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write what only its maker can say into a bundle's card, in place of what was said before.

    FILE is TOML or JSON: names, each with a text. Without --about, the names are listed, with the items of CLAIM that
    each tells and what the bundle says; nothing is written. The weights stay as they are. Pictures of the worst cases
    show the channel once they are made again, by `voxtrace models measure --picture-failures`.
    """
    from voxtrace.bundle import annotate, card, find
    from voxtrace.fit import claim_items, read_about
    from voxtrace.fit.shown_channel import SHOWN_CHANNEL, check_shown_channel
    from voxtrace.training.cross_validation import pool_again

    changes: dict[str, Any] = {} if about is None else {"about": read_about(about) or None}
    if channel is not None:
        check_shown_channel(card(bundle), channel)
        changes[SHOWN_CHANNEL] = channel
    if changes:
        annotate(bundle, changes)
        pool_again(find(bundle).parent)  # the summary of a cross-validation names its bundles by their digests
    record = card(bundle)
    items = claim_items(record)
    told, apply = sum(bool(item.where) for item in items), sum(item.applies for item in items)
    if as_json:
        words = record.get("about", {})
        print_json({"bundle": bundle, "digest": record["digest"], "about": words, "told": told, "apply": apply})
        return
    if not changes:
        _print_names(record)
    echo(f"{told} of the {apply} items of CLAIM that apply are told; see {find(bundle) / 'card.md'}")


def _print_names(record: dict[str, Any]) -> None:
    from voxtrace.fit import ABOUT, about_of, words_of_items

    said, items = about_of(record), words_of_items()
    rows = [(name, title, ", ".join(map(str, items[name])), said.get(name, "")) for name, title in ABOUT.items()]
    print_table(("name", "what", "items of CLAIM", "said"), rows)


@app.command("import")
def import_nnunet(
    folder: Annotated[
        Path, typer.Argument(help="A trained nnU-Net v2 model, e.g. nnUNetTrainer__nnUNetPlans__3d_fullres.")
    ],
    out: Annotated[Path, typer.Option(help="Where the bundle goes; the folder of all bundles for several folds.")],
    fold: Annotated[str | None, typer.Option(help="One fold, or several as 0,1,2; left out, every one.")] = None,
    checkpoint: Annotated[Literal["final", "best"], typer.Option(help="Which checkpoint of each fold.")] = "final",
    as_json: AsJson = False,
) -> None:
    """Turn the folds of an nnU-Net v2 model into bundles; nothing in its files is executed."""
    from voxtrace.bundle import card
    from voxtrace.nnunet import import_model

    written = import_model(folder, out, fold=fold, which=checkpoint)
    if as_json:
        print_json({"bundles": [{"path": str(path), "digest": card(path)["digest"]} for path in written]})
        return
    for path in written:
        echo(f"{path} holds {card(path)['name']}; segment with: voxtrace predict SCAN -m {path} -o OUT")
    if len(written) > 1:
        echo(f"all {len(written)} together, averaged: voxtrace predict SCAN -m {out} -o OUT")


def _made_for(record: dict[str, Any]) -> str:
    return "made-up scans" if record.get("demonstration") else "patients"


def _labels(record: dict[str, dict[str, dict[str, str]]]) -> str:
    return _listed([name for value, name in record["plan"]["labels"].items() if int(value)])


def _listed(names: list[str] | dict[str, str]) -> str:
    return ", ".join(names)
