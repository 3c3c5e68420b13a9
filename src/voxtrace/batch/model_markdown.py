"""The page of models as Markdown, with its pictures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from voxtrace.atomic import atomic_file
from voxtrace.batch.model_page import NO_PICTURE, ShownModel, label_names

_HEAD = """# Models

What comes with the package, written by `voxtrace models page`. Each picture shows a scan that the model has not seen:
the reference on the left, the answer on the right, on the slice with most labelled voxels. Dice is the mean over all
held-back cases with its 95 % interval. No model is a medical device, and one for made-up scans says nothing of a
patient's.

"""
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|&])")


def write_markdown(shown: Sequence[ShownModel], out: Path, note: str = "") -> list[Path]:
    """Write the page, and a picture of each model into ``images/<stem of the page>`` beside it; return all files.

    Parameters
    ----------
    shown
        The models in their order.
    out
        The page.
    note
        A paragraph of Markdown after the first one, such as the command that makes the page.
    """
    folder = out.parent / "images" / out.stem
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for one in shown:
        if one.picture is not None:
            with atomic_file(folder / f"{one.name}.png") as temporary:
                temporary.write_bytes(one.picture.png)
            written.append(folder / f"{one.name}.png")
    sections = "\n".join(markdown_section(one, quote(f"images/{out.stem}/{one.name}.png")) for one in shown)
    with atomic_file(out) as temporary:
        temporary.write_text(f"{_HEAD}{note}{sections}", encoding="utf-8")
    return [out, *written]


def markdown_section(shown: ShownModel, image: str) -> str:
    """Return a model's part of the page; every word of the record is text and never markup."""
    said = NO_PICTURE if shown.picture is None else shown.picture.of
    facts = {"labels": ", ".join(label_names(shown.record).values()), **shown.facts}
    rows = "\n".join(f"| {_text(title)} | {_text(fact)} |" for title, fact in facts.items())
    picture = "" if shown.picture is None else f"![{_text(shown.name)}]({image})\n\n"
    return f"## {_text(shown.name)}\n\n{picture}*{_text(said)}*\n\n| | |\n|---|---|\n{rows}\n"


def _text(words: str) -> str:
    """Return words on one line in which Markdown and HTML find nothing to obey."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split()))
