"""Write the tables of docs/which-model.md and docs/read-a-trace.md that repeat what the shipped models' cards say.

From the project's root::

    python scripts/site_tables.py
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxtrace import bundle
from voxtrace.fit.model_facts import dice_words, recorded_dice, step_dice

ROOT = Path(__file__).resolve().parents[1]
END = "<!-- end -->"


def begin(name: str) -> str:
    """Return the line before a table."""
    return f"<!-- {name}: written by scripts/site_tables.py -->"


def real_models(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of models for real scans, best Dice first within what they find."""
    rows = ["| model | finds | Dice [95 %], cases | method | licence |", "|---|---|---|---|---|"]
    for name, record in _chosen(records, demonstration=False):
        finds, licence = ", ".join(_labels(record)), str(record["licence"]).split(" (")[0]
        rows.append(f"| `{name}` | {finds} | {_dice(record)} | {_method(record)} | {licence} |")
    return "\n".join(rows)


def demonstrations(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of models of made-up scans."""
    rows = ["| model | finds, in made-up scans | Dice [95 %], cases | method |", "|---|---|---|---|"]
    for name, record in _chosen(records, demonstration=True):
        rows.append(f"| `{name}` | {', '.join(_labels(record))} | {_dice(record)} | {_method(record)} |")
    return "\n".join(rows)


def steps(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of mean Dice after each step, of the models with several."""
    curves = {name: step_dice(record) for name, record in sorted(records.items())}
    curves = {name: curve for name, curve in curves.items() if len(curve) > 1}
    most = max(map(len, curves.values()))
    rows = ["| model | " + " | ".join(f"step {k + 1}" for k in range(most)) + " |", "|---" * (most + 1) + "|"]
    for name, curve in curves.items():
        cells = [f"{dice:.3f}" for dice in curve] + [""] * (most - len(curve))
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _chosen(records: Mapping[str, Mapping[str, Any]], *, demonstration: bool) -> list[tuple[str, Mapping[str, Any]]]:
    found = [one for one in records.items() if bool(one[1].get("demonstration")) == demonstration]
    return sorted(found, key=lambda one: (_labels(one[1]), -recorded_dice(one[1])))


def _labels(record: Mapping[str, Any]) -> list[str]:
    return [name for value, name in sorted(record["plan"]["labels"].items(), key=lambda one: int(one[0])) if int(value)]


def _method(record: Mapping[str, Any]) -> str:
    name = record["method"]["name"]
    return f"[{name}](methods/{name}.md)"


def _dice(record: Mapping[str, Any]) -> str:
    return dice_words(record).replace(", n ", ", ")


TABLES = {"which-model.md": (real_models, demonstrations), "read-a-trace.md": (steps,)}


def written(page: str, text: str) -> str:
    """Return a page with its tables as the cards of the shipped models have them."""
    records = {name: bundle.card(folder) for name, folder in bundle.shipped().items()}
    for table in TABLES[page]:
        mark = begin(table.__name__)
        before, rest = text.split(mark, 1)
        text = f"{before}{mark}\n\n{table(records)}\n\n{END}{rest.split(END, 1)[1]}"
    return text


def main() -> None:
    """Write the tables."""
    for page in TABLES:
        path = ROOT / "docs" / page
        path.write_text(written(page, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
