"""A page with every model, HTML or Markdown: a picture, what it outlines, how well, how fast, how large, which licence.

Pictures are of phantoms, which show no patient, unless a dataset or a scan is given for a model.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace import palette, phantoms
from voxtrace.bundle import Bundle, card, load
from voxtrace.errors import Cancelled, UsageError
from voxtrace.film.beside import beside
from voxtrace.film.planes import hex_of
from voxtrace.fit.model_facts import model_facts
from voxtrace.fit.shown_channel import shown_channel
from voxtrace.inference import predict
from voxtrace.metrics import dice, finite_mean, without_ignored
from voxtrace.phantoms.named import UNSEEN, phantom_named
from voxtrace.training.dataset import Dataset, fold
from voxtrace.training.learned import refuse_learned
from voxtrace.volume import Array, Case, LabelMap, Triple, Volume

NO_PICTURE = "no picture: no made-up scan is like those of its training, and neither its dataset nor a scan was given"
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Models of VoxTrace</title><style>
body { background: #14181d; color: #f0f2f5; font: 16px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em;
  padding: 0 1em }
article { display: flex; flex-wrap: wrap; gap: 1.5em; border-top: 1px solid #3a434e; padding: 1.4em 0 }
article > :first-child { flex: 0 0 22em; max-width: 100% } article > div { flex: 1 1 24em }
img { width: 100% } figcaption, .none { color: #b4bdc8; font-size: .85em } figure { margin: 0 }
h2 { margin: 0 0 .4em } table { border-collapse: collapse }
th { color: #b4bdc8; font-weight: normal; padding: .1em 1.2em .1em 0; text-align: left; vertical-align: top }
.swatch { border-radius: 3px; display: inline-block; height: .8em; margin: 0 .35em 0 0; width: .8em }
.label { margin-right: 1em; white-space: nowrap } .demonstration { color: #ffc46b }
</style></head><body><h1>Models</h1>
"""


@dataclass(frozen=True)
class ModelPicture:
    """A model's answer on a scan.

    Attributes
    ----------
    png
        The axial slice with most labelled voxels: the reference, where there is one, beside the answer.
    seconds
        Wall time of the prediction on this machine.
    of
        What the scan is, and what lies where, in words.
    """

    png: bytes
    seconds: float
    of: str


def picture_of(
    folder: Path,
    record: Mapping[str, Any],
    scan: Volume | None,
    device: str,
    dataset: Dataset | None = None,
    reference: LabelMap | None = None,
) -> ModelPicture | None:
    """Return a model's answer on a scan, its dataset's first held-back case or a phantom; None where there is none.

    A scan may have a ``reference`` with names, see :func:`matched_labels`.

    Raises
    ------
    DatasetError
        The model was trained on the case that is held back now.
    UsageError
        The reference has no label of the model.
    """
    model = load(folder)
    if scan is not None:
        if reference is None:
            return _pictured(model, scan, None, f"its answer on the scan {scan.name}", device)
        matched = matched_labels(reference, model.plan.labels, model.name)
        return _pictured(model, scan, matched, f"the scan {scan.name} with the labels {reference.name}", device, True)
    if dataset is not None:
        case = _first_held_back(model, record, dataset)
        licence = f" ({dataset.licence})" if dataset.licence else ""
        said = f"held-back case {case.name} of {dataset.name}{licence}, the first of its fold"
        return _pictured(model, case.volume, case.labels, said, device)
    if (phantom := phantom_named(record)) is None:
        return None
    case = getattr(phantoms, phantom)(seed=UNSEEN)
    return _pictured(model, case.volume, case.labels, f"a made-up scan ({phantom}, seed {UNSEEN})", device)


def matched_labels(reference: LabelMap, labels: Mapping[int, str], model: str) -> LabelMap:
    """Return a reference under a model's values: labels of its names, or its own values where it has no names.

    Raises
    ------
    UsageError
        It has none of the model's labels.
    """
    theirs = {name: value for value, name in reference.names.items() if value}
    names = {value: name for value, name in labels.items() if value}
    data = np.zeros_like(reference.data)
    for value, name in names.items():
        data[reference.data == (theirs.get(name, -1) if theirs else value)] = value
    if not data.any():
        raise UsageError(
            f"the labels {reference.name} have none of {', '.join(names.values())}, which {model} outlines; give a "
            "file with these names, in itself or in a .json of its name beside it, or with the model's values."
        )
    return LabelMap(data, reference.geometry, names, name=reference.name)


def _first_held_back(model: Bundle, record: Mapping[str, Any], dataset: Dataset) -> Case:
    """Return the first held-back case of the fold that a bundle was trained on, whatever its Dice is."""
    number = record.get("provenance", {}).get("fold")
    if number is None:
        raise UsageError(f"{model.name} was trained on every case of {dataset.name}; picture it with --scan.")
    _, held_back = fold(dataset, int(number))
    refuse_learned(model, held_back)
    case: Case = held_back[0]
    return case


def _pictured(
    model: Bundle, volume: Volume, reference: LabelMap | None, said: str, device: str, foreign: bool = False
) -> ModelPicture:
    """Return the picture; a ``foreign`` reference may lack labels that the scan shows, which are not compared then."""
    result = predict(model, volume, device=device)
    answer = np.asarray(result.labels.data)
    names = {value: name for value, name in model.plan.labels.items() if value}
    parts: list[Array] = [answer] if reference is None else [np.asarray(reference.data), answer]
    z = int(np.isin(parts[0], list(names)).sum(axis=(1, 2)).argmax())
    if reference is not None:
        made, true = without_ignored(result.labels, reference, model.plan.ignored)
        there = [value for value in names if not foreign or bool((true.data == value).any())]
        mean = finite_mean(dice(made, true, value, absent=np.nan) for value in there)
        of = f" over {len(there)} of {len(names)} labels, those of the reference" if len(there) < len(names) else ""
        said = f"{said}: the reference, and beside it its answer (mean Dice of this scan {mean:.3f}{of})"
    drawn = beside(volume, z, parts, palette.colours(names, names=names), shown_channel(model.record))
    return ModelPicture(drawn, result.seconds, said)


def datasets_by_model(models: Mapping[str, Path], datasets: Iterable[Dataset]) -> dict[str, Dataset]:
    """Return the dataset of each model that was trained on one of these, by the name in its card.

    Raises
    ------
    UsageError
        No model was trained on one of them.
    """
    trained = {name: str(card(folder).get("provenance", {}).get("dataset", "")) for name, folder in models.items()}
    found: dict[str, Dataset] = {}
    for dataset in datasets:
        mine = [name for name, on in trained.items() if on == dataset.name]
        if not mine:
            known = ", ".join(sorted(set(trained.values())))
            raise UsageError(f"no shipped model was trained on {dataset.name}; expected one of {known}.")
        found.update(dict.fromkeys(mine, dataset))
    return found


def model_page(sections: Iterable[str]) -> str:
    """Return the page of these sections; it needs no other file."""
    return f"{_HEAD}{''.join(sections)}</body></html>\n"


@dataclass(frozen=True)
class ShownModel:
    """What a page says of one model.

    Attributes
    ----------
    name
        Of the bundle.
    facts
        By title, see :func:`voxtrace.fit.model_facts.model_facts`.
    record
        Its card.
    picture
        Or None.
    """

    name: str
    facts: Mapping[str, str]
    record: Mapping[str, Any]
    picture: ModelPicture | None


def shown_models(
    models: Mapping[str, Path],
    scans: Mapping[str, Volume],
    device: str = "auto",
    cancel: Callable[[], bool] = lambda: False,
    datasets: Mapping[str, Dataset] | None = None,
    references: Mapping[str, LabelMap] | None = None,
) -> Iterator[ShownModel]:
    """Yield what a page says of each model as it is done.

    Parameters
    ----------
    models
        Folders by name.
    scans, datasets
        Scan or dataset by name of the model, in place of a phantom; they are pictured, so that they must be ones that
        may be shown. A scan goes before a dataset.
    references
        Label map of such a scan, by name of the model.
    cancel
        Called before each model; when it returns True, Cancelled is raised.
    """
    for name, folder in models.items():
        if cancel():
            raise Cancelled("stopped while picturing models; nothing was written.")
        record = card(folder)
        on, reference = (datasets or {}).get(name), (references or {}).get(name)
        picture = picture_of(folder, record, scans.get(name), device, on, reference)
        yield ShownModel(name, model_facts(folder, record), record, picture)


def model_section(shown: ShownModel) -> str:
    """Return a model's part of a page of HTML; every word of the record is text and never markup."""
    rows = "".join(
        f"<tr><th>{escape(title)}</th><td{_mark(title, shown.record)}>{escape(fact)}</td></tr>"
        for title, fact in all_facts(shown).items()
    )
    labels = f"<tr><th>labels</th><td>{_labels(shown.record)}</td></tr>"
    told = f"<div><h2>{escape(shown.name)}</h2><table>{labels}{rows}</table></div>"
    return f"<article>{_figure(shown.name, shown.picture)}{told}</article>\n"


def all_facts(shown: ShownModel) -> dict[str, str]:
    """Return the facts of a page by title, with what the picture took."""
    if shown.picture is None:
        return dict(shown.facts)
    return {**shown.facts, "seconds here": f"{shown.picture.seconds:.1f} s for the scan in the picture"}


def label_names(record: Mapping[str, Any]) -> dict[int, str]:
    """Return value -> name of what a model outlines."""
    return {int(value): str(name) for value, name in record["plan"]["labels"].items() if int(value)}


def _figure(name: str, picture: ModelPicture | None) -> str:
    if picture is None:
        return f'<p class="none">{NO_PICTURE}</p>'
    data = base64.b64encode(picture.png).decode()
    said = f"{name}: {picture.of}"
    shown = f'<img alt="{escape(said)}" src="data:image/png;base64,{data}">'
    return f"<figure>{shown}<figcaption>{escape(said)}</figcaption></figure>"


def _mark(title: str, record: Mapping[str, Any]) -> str:
    return ' class="demonstration"' if title == "for" and record.get("demonstration") else ""


def _labels(record: Mapping[str, Any]) -> str:
    names = label_names(record)
    colours = palette.colours(names, names=names)
    return "".join(
        f'<span class="label">{_swatch(colours[value])}{escape(name)}</span>' for value, name in names.items()
    )


def _swatch(colour: Triple) -> str:
    return f'<span class="swatch" style="background:{hex_of(colour)}"></span>'
