"""Names, channels, labels and image files of a dataset folder; label files need not exist."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.errors import DatasetError
from voxtrace.io.suffixes import SUFFIXES
from voxtrace.safe_text import read_json


@dataclass(frozen=True)
class DatasetListing:
    """Names and image files of a dataset in nnU-Net's raw layout.

    Attributes
    ----------
    name
        From ``dataset.json``, else the folder's name.
    channels
        A name for each input channel, e.g. ``("CT",)``.
    labels
        Label value -> name, background included.
    ending
        Of every image and label file, e.g. ``.nii.gz``.
    images
        Case -> its files, one a channel, in order; sorted by case.
    licence
        As ``dataset.json`` states it.
    """

    name: str
    channels: tuple[str, ...]
    labels: dict[int, str]
    ending: str
    images: dict[str, tuple[Path, ...]]
    licence: str


def read_listing(folder: Path) -> DatasetListing:
    """Return names, channels, labels and image files of a dataset folder, whether or not it has label files.

    Raises
    ------
    DatasetError
        The folder lacks ``dataset.json`` or cases, a channel is missing, or labels are regions.
    """
    record = _record(folder)
    channels = record.get("channel_names") or record.get("modality")
    if not isinstance(channels, dict) or not channels:
        raise DatasetError(f"{folder / 'dataset.json'} names no channels; expected channel_names, e.g. {{'0': 'CT'}}.")
    if not all(str(key).isdigit() and len(str(key)) < 5 for key in channels):
        raise DatasetError(f"{folder / 'dataset.json'} does not number its channels; expected {{'0': 'CT'}}.")
    ending = str(record.get("file_ending", ".nii.gz"))
    if ending not in SUFFIXES:
        raise DatasetError(
            f"{folder / 'dataset.json'} has the file_ending {ending[:40]!r}; expected one of {', '.join(SUFFIXES)}."
        )
    return DatasetListing(
        name=str(record.get("name") or folder.name),
        channels=tuple(str(channels[key]) for key in sorted(channels, key=int)),
        labels=_labels(record, folder),
        ending=ending,
        images=_images(folder, ending, len(channels)),
        licence=str(record.get("licence") or record.get("license") or ""),
    )


def _record(folder: Path) -> dict[str, Any]:
    file = folder / "dataset.json"
    if not file.is_file():
        raise DatasetError(
            f"{folder} has no dataset.json; expected nnU-Net's raw layout: dataset.json, imagesTr, labelsTr."
        )
    try:
        record = read_json(file)
    except ValueError as error:
        raise DatasetError(f"{file} is not JSON ({error}); correct it.") from error
    if not isinstance(record, dict):
        raise DatasetError(f"{file} holds {type(record).__name__}; expected a JSON object.")
    return record


def _labels(record: dict[str, Any], folder: Path) -> dict[int, str]:
    raw = record.get("labels")
    if not isinstance(raw, dict) or not raw:
        raise DatasetError(f"{folder / 'dataset.json'} names no labels; expected e.g. {{'background': 0, 'liver': 1}}.")
    try:
        pairs = [(int(k), str(v)) if str(k).isdigit() else (int(v), str(k)) for k, v in raw.items()]
    except (TypeError, ValueError) as error:
        raise DatasetError(
            f"{folder / 'dataset.json'}: labels must be whole numbers, not regions ({error})."
        ) from error
    labels = dict(sorted(pairs))
    if sorted(labels) != list(range(len(labels))):
        raise DatasetError(
            f"{folder / 'dataset.json'}: label values {sorted(labels)} are not 0, 1, 2 …; renumber them."
        )
    return labels


def _images(folder: Path, ending: str, n_channels: int) -> dict[str, tuple[Path, ...]]:
    first = f"_0000{ending}"
    names = sorted(f.name.removesuffix(first) for f in (folder / "imagesTr").glob(f"*{first}"))
    if not names:
        raise DatasetError(f"{folder / 'imagesTr'} holds no *{first}; expected one file a case and channel.")
    files = {name: tuple(folder / "imagesTr" / f"{name}_{c:04d}{ending}" for c in range(n_channels)) for name in names}
    for name, images in files.items():
        for path in images:
            if not path.is_file():
                raise DatasetError(f"case {name}: {path} is missing; add it or remove the case.")
    return files
