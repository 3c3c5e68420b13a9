"""Names of labels, as a dataset.json beside the label maps has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from voxtrace.errors import DatasetError, PlanError
from voxtrace.safe_text import read_json

IGNORE = "ignore"  # nnU-Net's name of voxels that nobody annotated


def names_for(file: Path | None, reference: Path) -> dict[int, str]:
    """Return label names from a dataset.json: the given one, or that in the folder of the references or above it."""
    nearby = (folder / "dataset.json" for folder in (reference, reference.resolve().parent))
    found = file or next((path for path in nearby if path.is_file()), None)
    if found is None:
        return {}
    from voxtrace.plan.regions import ORDER, has_regions, parse_regions, value_names

    try:
        record = read_json(found)
        labels = record["labels"]
        if has_regions(labels):
            kept = {int(value): name for name, value in labels.items() if name.casefold() == IGNORE}
            return kept | value_names(parse_regions(labels, record.get(ORDER)))
        return {int(value): str(name) for name, value in labels.items() if str(value).isdigit()}
    except PlanError as error:
        raise DatasetError(f"{found}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{found} names no labels; expected JSON with labels {{'liver': 1, …}}.") from error


def beside(labels: Path) -> dict[int, str]:
    """Return label names from a ``.json`` of the same name beside a label map, value -> name; {} without one."""
    stem = labels.name.removesuffix(".gz")
    file = labels.with_name(f"{stem.rpartition('.')[0] or stem}.json")
    if not file.is_file():
        return {}
    try:
        return {int(value): str(name) for value, name in read_json(file).items() if int(value)}
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f'{file} names no labels; expected JSON as {{"1": "liver", …}}.') from error


def ignore_value(names: Mapping[int, str]) -> int | None:
    """Return the value of voxels that nobody annotated; None where no label is called so."""
    return next((value for value, name in names.items() if name.casefold() == IGNORE), None)


def foreground(names: Mapping[int, str]) -> dict[int, str]:
    """Return the labels without background and ignore label."""
    return {value: name for value, name in names.items() if value and name.casefold() != IGNORE}
