"""``voxtrace evaluate TRACE REFERENCE``: the Dice of each step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.cli.given_regions import GivenRegions
from voxtrace.cli.label_names import ignore_value
from voxtrace.cli.output import print_json, print_table, reserve_stdout_for_json
from voxtrace.errors import UsageError

if TYPE_CHECKING:
    from voxtrace.trace import Trace


def is_trace(path: Path) -> bool:
    """Return whether a path is a folder with a trace."""
    return (path / "trace.json").is_file()


def evaluate_trace(
    folder: Path, reference: Path, names: Mapping[int, str], absent: str, parts: GivenRegions, as_json: bool
) -> None:
    """Print the Dice of every step of a trace with one reference label map."""
    from voxtrace.io.child.guarded import read_labels
    from voxtrace.trace import Trace

    if not reference.is_file():
        raise UsageError(f"{reference} is no file; a trace is of one case, so give its reference label map.")
    with reserve_stdout_for_json(as_json):
        trace = Trace.load(folder)
        true = read_labels(reference)
        named = parts.names or {**trace.names, **true.names, **names}
        document = _document(trace, named, list(_steps(trace, true, names, absent, parts)))
    document |= {"trace": str(folder), "reference": str(reference), "absent": absent, **parts.to_json()}
    if as_json:
        print_json(document)
    else:
        _print(document)


def _steps(trace: Trace, true: Any, names: Mapping[int, str], absent: str, parts: GivenRegions) -> Any:
    from voxtrace.batch.step_dice import step_dice

    ignored = ignore_value(names) if parts.ignored is None else parts.ignored
    return step_dice(trace, true, ignored, 1.0 if absent == "one" else float("nan"), parts.regions)


def _document(trace: Trace, names: Mapping[int, str], steps: list[Any]) -> dict[str, Any]:
    return {
        "step_word": trace.step_word,
        "names": {str(value): names.get(value, f"label {value}") for value in steps[0].labels},
        "steps": [
            {"step": one.step, "dice": one.mean, "labels": {str(k): v for k, v in one.labels.items()}} for one in steps
        ],
    }


def _print(document: dict[str, Any]) -> None:
    names = document["names"]
    rows = [(str(one["step"]), one["dice"], *(one["labels"][k] for k in names)) for one in document["steps"]]
    columns = (document["step_word"], "mean Dice", *(f"{value} {name}" for value, name in names.items()))
    print_table(columns, rows)
