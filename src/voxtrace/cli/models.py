"""``voxtrace models``: the bundles that come with the package, and whether a bundle is sound."""

from __future__ import annotations

from typing import Annotated

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.output import print_json, print_table

app = typer.Typer(help="List the shipped bundles, or check one.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the bundles that come with the package."""
    from voxtrace.bundle import card, shipped

    records = {name: card(path) for name, path in shipped().items()}
    if as_json:
        print_json({"models": [{"name": name, **record} for name, record in records.items()]})
        return
    rows = [(name, r["method"]["name"], _listed(r["plan"]["channels"]), _labels(r)) for name, r in records.items()]
    print_table(("name", "method", "channels", "labels"), rows)


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
        typer.echo(f"{bundle} is complete and unaltered (SHA-256 {record['digest'][:16]}…).")


def _labels(record: dict[str, dict[str, dict[str, str]]]) -> str:
    return _listed([name for value, name in record["plan"]["labels"].items() if int(value)])


def _listed(names: list[str] | dict[str, str]) -> str:
    return ", ".join(names)
