"""``voxtrace methods``: the published methods and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.output import print_json

if TYPE_CHECKING:
    from voxtrace.method import Method, OptionInfo


def methods(as_json: AsJson = False) -> None:
    """List the methods: what each is, where it was published, and the options `voxtrace train` takes for it."""
    from voxtrace.methods import METHODS

    documents = [_document(key, kind) for key, kind in METHODS.items()]
    if as_json:
        print_json({"methods": documents})
        return
    for document in documents:
        typer.echo(f"{document['name']}: {document['title']}\n  {document['source']}")
        typer.echo(f"  {document['parameters']:,} parameters on a plan of one channel, two labels, 64×64×64 voxels")
        for option in document["options"]:
            typer.echo(f"  --{option['name'].replace('_', '-')} {_values(option)}\n      {option['help']}")
        typer.echo()


def _document(key: str, kind: type[Method]) -> dict[str, Any]:
    made = kind()
    return {
        "name": key,
        "title": kind.title,
        "source": kind.source,
        "step_word": kind.step_word,
        "steps": made.steps,
        "facts": dict(kind.facts),
        "options": [_option(info) for info in kind.options()],
        "parameters": _parameters(made),
    }


def _option(info: OptionInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "type": getattr(info.kind, "__name__", str(info.kind)),
        "default": info.default,
        "help": info.help,
        "low": info.low,
        "high": info.high,
        "choices": list(info.choices),
    }


def _parameters(method: Method) -> int:
    """Return how many active parameters the method's network has on an example plan."""
    import torch

    from voxtrace.nn.flops import parameters
    from voxtrace.plan import Plan

    plan = method.adapt(Plan.example(window=(64, 64, 64)))
    with torch.device("meta"):  # shapes without memory
        network = method.build(plan)
    return parameters(network)


def _values(option: dict[str, Any]) -> str:
    allowed = "|".join(option["choices"]) or option["type"]
    ends = [option["low"], option["high"]]
    within = "" if ends == [None, None] else f" {ends[0]} to {ends[1]}" if None not in ends else ""
    return f"{allowed}{within} (default {option['default']})"
