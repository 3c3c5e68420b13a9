"""``dataset.json``: its structure is checked, and every refusal names the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.errors import DatasetError, PlanError
from voxtrace.io.suffixes import SUFFIXES, folder_name
from voxtrace.plan.regions import ORDER, LabelRegion, has_regions, parse_regions, value_names
from voxtrace.safe_text import brief, read_json

FILE = "dataset.json"
IGNORE = "ignore"  # nnU-Net's name of voxels that are not annotated
_LARGEST = 65535


@dataclass(frozen=True)
class DatasetRecord:
    """What ``dataset.json`` says; see :class:`~voxtrace.training.layouts.found.FoundDataset`."""

    file: Path
    raw: dict[str, Any]
    name: str
    channels: tuple[str, ...]
    declared: tuple[tuple[str, int], ...]
    ignore: int | None
    ending: str
    licence: str
    subjects: dict[str, str]
    regions: tuple[LabelRegion, ...] = ()

    @property
    def stated_cases(self) -> int | None:
        """The number of cases as the file states it; None where it states no number."""
        count = self.raw.get("numTraining")
        return count if isinstance(count, int) and not isinstance(count, bool) else None


@dataclass(frozen=True)
class DeclaredLabels:
    """(name, value) of each label, the value that is ignored or None, and the regions.

    With regions, values have the names that follow from these.
    """

    declared: tuple[tuple[str, int], ...]
    ignore: int | None
    regions: tuple[LabelRegion, ...] = ()


def read_declared(file: Path) -> DeclaredLabels:
    """Return what a ``dataset.json`` says of its labels alone.

    Raises
    ------
    DatasetError
        It is no JSON object, or its labels are not as expected.
    """
    return _labels(_object(file), file)


def read_record(file: Path) -> DatasetRecord:
    """Return what a ``dataset.json`` says.

    Raises
    ------
    DatasetError
        It is no JSON object, or channels, labels, file ending or subjects are not as expected.
    """
    raw = _object(file)
    labels = _labels(raw, file)
    ending = raw.get("file_ending", ".nii.gz")
    if ending not in SUFFIXES:
        raise DatasetError(f"{file} has the file_ending {str(ending)[:40]!r}; expected one of {', '.join(SUFFIXES)}.")
    subjects = raw.get("subjects", {})
    if not isinstance(subjects, dict) or not all(isinstance(one, str) for one in subjects.values()):
        raise DatasetError(f"{file}: subjects must map each case to a text, e.g. {{'case_1': 'patient_1'}}.")
    return DatasetRecord(
        file=file,
        raw=raw,
        name=str(raw.get("name") or folder_name(file.parent)),
        channels=_channels(raw.get("channel_names") or raw.get("modality"), file),
        declared=labels.declared,
        ignore=labels.ignore,
        ending=ending,
        licence=str(raw.get("licence") or raw.get("license") or ""),
        subjects=subjects,
        regions=labels.regions,
    )


def _object(file: Path) -> dict[str, Any]:
    try:
        record = read_json(file)
    except (ValueError, OSError) as error:
        raise DatasetError(f"{file} is not JSON ({error}); correct it.") from error
    if not isinstance(record, dict):
        raise DatasetError(f"{file} holds {type(record).__name__}; expected a JSON object.")
    return record


def _channels(channels: Any, file: Path) -> tuple[str, ...]:
    if not isinstance(channels, dict) or not channels:
        raise DatasetError(f"{file} names no channels; expected channel_names, e.g. {{'0': 'CT'}}.")
    if not all(str(key).isdecimal() and len(str(key)) < 5 for key in channels):
        raise DatasetError(f"{file} does not number its channels; expected {{'0': 'CT'}}.")
    if sorted(map(int, channels)) != list(range(len(channels))):
        raise DatasetError(
            f"{file} numbers its channels {', '.join(sorted(channels, key=int))}; expected 0, 1, 2 … without gaps."
        )
    if not all(isinstance(name, str) for name in channels.values()):
        raise DatasetError(f"{file} has channels that are no text; expected names, e.g. {{'0': 'CT'}}.")
    return tuple(channels[key] for key in sorted(channels, key=int))


def _labels(record: dict[str, Any], file: Path) -> DeclaredLabels:
    raw, regions = record.get("labels"), tuple[LabelRegion, ...]()
    if not isinstance(raw, dict) or not raw:
        raise DatasetError(f"{file} names no labels; expected e.g. {{'background': 0, 'liver': 1}}.")
    if has_regions(raw):
        try:
            regions = parse_regions(raw, record.get(ORDER))
        except PlanError as error:
            raise DatasetError(f"{file}: {error}") from error
        alone = {name: value for name, value in raw.items() if name.casefold() == IGNORE or _is_background(value)}
        raw = {**alone, **{name: value for value, name in value_names(regions).items()}}
    pairs = sorted((_pair(key, value, file) for key, value in raw.items()), key=lambda pair: pair[1])
    ignored = [value for name, value in pairs if name.casefold() == IGNORE]
    if len(ignored) > 1:
        raise DatasetError(f"{file} names {len(ignored)} values {IGNORE!r}; expected one at most.")
    declared = tuple(pair for pair in pairs if pair[0].casefold() != IGNORE)
    return DeclaredLabels(declared, next(iter(ignored), None), regions)


def _is_background(value: Any) -> bool:
    return value in (0, [0]) and not isinstance(value, bool)


def _pair(key: str, value: Any, file: Path) -> tuple[str, int]:
    """Return name and value of an entry: nnU-Net writes name: value, the Decathlon value: name."""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    label = brief(repr(key))
    name, number = (value, key) if key.isdecimal() and isinstance(value, str) else (key, value)
    whole = isinstance(number, int) and not isinstance(number, bool)
    if not whole and not (isinstance(number, str) and number.isdecimal()):
        raise DatasetError(
            f"{file}: the label {label} has the value {brief(repr(value))}; labels must be whole numbers."
        )
    if not 0 <= int(number) <= _LARGEST:
        raise DatasetError(
            f"{file}: the label {brief(repr(name))} has the value {brief(number)}; expected 0 to {_LARGEST}."
        )
    return name, int(number)
