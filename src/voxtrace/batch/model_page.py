"""A page of HTML with every model: a picture, what it outlines, how well, how fast, how large, under which licence.

Pictures are of phantoms, which show no patient, unless a scan is given for a model.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from voxtrace import palette, phantoms
from voxtrace.bundle import card, load
from voxtrace.errors import Cancelled
from voxtrace.film import FilmOptions, frames
from voxtrace.film.planes import hex_of
from voxtrace.fit.model_facts import model_facts
from voxtrace.inference import predict
from voxtrace.phantoms.named import UNSEEN, phantom_named
from voxtrace.volume import Triple, Volume

NO_PICTURE = "no picture: no made-up scan is like those of its training"
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
        The last step over the axial slice with most labelled voxels.
    seconds
        Wall time of the prediction on this machine.
    of
        What the scan is, in words.
    """

    png: bytes
    seconds: float
    of: str


def picture_of(folder: Path, record: Mapping[str, Any], scan: Volume | None, device: str) -> ModelPicture | None:
    """Return a model's answer on a scan, or on a phantom that it has not seen; None where there is neither."""
    phantom = phantom_named(record)
    if scan is None and phantom is None:
        return None
    volume: Volume = getattr(phantoms, str(phantom))(seed=UNSEEN).volume if scan is None else scan
    result = predict(load(folder), volume, device=device)
    file = io.BytesIO()
    frames(result.trace, volume, FilmOptions())[-1].save(file, "PNG")
    of = f"the scan {volume.name}" if scan is not None else f"a made-up scan ({phantom}, seed {UNSEEN})"
    return ModelPicture(file.getvalue(), result.seconds, of)


def model_page(sections: Iterable[str]) -> str:
    """Return the page of these sections; it needs no other file."""
    return f"{_HEAD}{''.join(sections)}</body></html>\n"


def model_sections(
    models: Mapping[str, Path],
    scans: Mapping[str, Volume],
    device: str = "auto",
    cancel: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[str, str]]:
    """Yield name and part of the page of each model as it is done.

    Parameters
    ----------
    models
        Folders by name.
    scans
        Scan by name of the model, in place of a phantom; it is pictured, so that it must be one that may be shown.
    cancel
        Called before each model; when it returns True, Cancelled is raised.
    """
    for name, folder in models.items():
        if cancel():
            raise Cancelled("stopped while picturing models; nothing was written.")
        record = card(folder)
        picture = picture_of(folder, record, scans.get(name), device)
        yield name, model_section(name, model_facts(folder, record), record, picture)


def model_section(name: str, facts: Mapping[str, str], record: Mapping[str, Any], picture: ModelPicture | None) -> str:
    """Return a model's part of the page; every word of the record is text and never markup."""
    seconds = f"{picture.seconds:.1f} s for the scan in the picture, on this machine" if picture else _measured(record)
    rows = "".join(
        f"<tr><th>{escape(title)}</th><td{_mark(title, record)}>{escape(fact)}</td></tr>"
        for title, fact in {**facts, "seconds": seconds}.items()
    )
    labels = f"<tr><th>labels</th><td>{_labels(record)}</td></tr>"
    told = f"<div><h2>{escape(name)}</h2><table>{labels}{rows}</table></div>"
    return f"<article>{_figure(name, picture)}{told}</article>\n"


def _figure(name: str, picture: ModelPicture | None) -> str:
    if picture is None:
        return f'<p class="none">{NO_PICTURE}</p>'
    data = base64.b64encode(picture.png).decode()
    said = f"{name}: its answer on {picture.of}"
    shown = f'<img alt="{escape(said)}" src="data:image/png;base64,{data}">'
    return f"<figure>{shown}<figcaption>{escape(said)}</figcaption></figure>"


def _measured(record: Mapping[str, Any]) -> str:
    run = record.get("provenance", {}).get("prediction")
    if not isinstance(run, Mapping) or "seconds" not in run:
        return "not measured"
    return f"{run['seconds']} s (median of {run.get('cases')} held-back cases, {run.get('device')})"


def _mark(title: str, record: Mapping[str, Any]) -> str:
    return ' class="demonstration"' if title == "for" and record.get("demonstration") else ""


def _labels(record: Mapping[str, Any]) -> str:
    names = {int(value): str(name) for value, name in record["plan"]["labels"].items() if int(value)}
    colours = palette.colours(names, names=names)
    return "".join(
        f'<span class="label">{_swatch(colours[value])}{escape(name)}</span>' for value, name in names.items()
    )


def _swatch(colour: Triple) -> str:
    return f'<span class="swatch" style="background:{hex_of(colour)}"></span>'
