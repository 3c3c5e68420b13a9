"""Write docs/ledger.schema.json: the JSON Schema of a line of ``ledger.jsonl``, from the class that writes it."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from voxtrace.batch.ledger import Entry

FILE = Path(__file__).resolve().parents[1] / "docs" / "ledger.schema.json"


def schema() -> dict[str, Any]:
    """Return the schema; each property is described as in the class."""
    found = TypeAdapter(Entry).json_schema()
    texts = descriptions()
    properties = {name: {**_plain(value), "description": texts[name]} for name, value in found["properties"].items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of ledger.jsonl",
        "description": "Later versions may add properties; older ledgers lack some, but never case and status.",
        "type": "object",
        "required": found["required"],
        "properties": properties,
    }


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    return {name: given for name, given in value.items() if name not in ("title", "default")}


def descriptions() -> dict[str, str]:
    """Return what the docstring of the class says of each attribute."""
    text = inspect.getdoc(Entry) or ""
    lines = text.partition("----------\n")[2]
    found: dict[str, str] = {}
    for names, told in re.findall(r"^(\w[\w, ]*)\n((?:    .*\n?)+)", lines, re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), " ".join(told.split()))
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")
