"""A folder of images and a folder of labels become the CSV that :mod:`voxtrace.training.layouts.table` reads."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voxtrace.errors import DatasetError
from voxtrace.io.suffixes import is_zarr, stem_of, suffix_of
from voxtrace.safe_text import well_formed

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>[0-9]{4})")
_LABEL_WORD = re.compile(r"[-_. ](labels?|seg|segmentation|mask|gt)$", re.I)
_IMAGE_WORD = re.compile(r"[-_. ](image|img|ct|mr|mri)$", re.I)


@dataclass(frozen=True)
class FilePairs:
    """Images and labels that belong together.

    Attributes
    ----------
    images
        Case -> its channels in order, the same number for each.
    labels
        Case -> its label map.
    alone
        Images without labels and labels without images; they are in no case.
    """

    images: Mapping[str, tuple[Path, ...]]
    labels: Mapping[str, Path]
    alone: tuple[Path, ...] = ()

    def as_csv(self, beside: Path) -> str:
        """Return the CSV, with paths relative to the folder ``beside``, in which it will lie.

        Raises
        ------
        DatasetError
            A name cannot stand in a CSV: it is no UTF-8, has a line end, or begins or ends with a space.
        """
        channels = len(next(iter(self.images.values())))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["case", "image", *(f"image{n}" for n in range(2, channels + 1)), "label"])
        for case, images in self.images.items():
            _check_readable(case, (*images, self.labels[case]))
            writer.writerow([case, *(_relative(path, beside) for path in (*images, self.labels[case]))])
        return text.getvalue()


def pair_files(images: Path, labels: Path) -> FilePairs:
    """Return the pairs of two folders, which may be one, by the names of their files.

    A case is called as its label map, without a word such as ``_seg``; its image has that name, with or without a word
    such as ``_image``, and ``_0000``, ``_0001`` … for its channels.

    Raises
    ------
    DatasetError
        A folder is missing, nothing fits together, two files claim one place, or cases differ in channels.
    """
    one_folder = images.resolve() == labels.resolve()
    label_files = [path for path in _volumes(labels) if not one_folder or _is_label(path)]
    label_of = _unique({path: (_case(stem_of(path)), 0) for path in label_files})
    image_of = _unique({path: _numbered(path) for path in _volumes(images) if path not in set(label_files)})
    cases = sorted({case for case, _ in image_of} & {case for case, _ in label_of})
    if not cases:
        raise DatasetError(
            f"no image in {images} has a label map in {labels} by its name; expected CASE.nii.gz in both, or "
            "CASE_0000.nii.gz and CASE_seg.nii.gz."
        )
    found = {case: tuple(image_of[place] for place in sorted(image_of) if place[0] == case) for case in cases}
    _check_channels(found)
    alone = [path for place, path in {**label_of, **image_of}.items() if place[0] not in found]
    return FilePairs(found, {case: label_of[case, 0] for case in cases}, tuple(sorted(alone)))


def _volumes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder; give a folder of images and a folder of label maps.")
    inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    return [path for path in inside if is_zarr(path) or (path.is_file() and suffix_of(path))]


def _is_label(path: Path) -> bool:
    return _LABEL_WORD.search(stem_of(path)) is not None


def _case(stem: str) -> str:
    """Return a file's name without the word at its end that says what the file is."""
    found = _LABEL_WORD.search(stem) or _IMAGE_WORD.search(stem)
    return stem[: found.start()] if found else stem


def _numbered(path: Path) -> tuple[str, int]:
    stem = stem_of(path)
    if found := _CHANNEL.fullmatch(stem):
        return _case(found["case"]), int(found["channel"])
    return _case(stem), 0


def _unique(places: Mapping[Path, tuple[str, int]]) -> dict[tuple[str, int], Path]:
    found: dict[tuple[str, int], Path] = {}
    for path, place in places.items():
        if place in found:
            raise DatasetError(f"{found[place]} and {path.name} both are case {place[0]}; rename or remove one.")
        found[place] = path
    return found


def _check_channels(images: Mapping[str, tuple[Path, ...]]) -> None:
    numbers = {case: [_numbered(path)[1] for path in paths] for case, paths in images.items()}
    first, expected = next(iter(numbers.items()))
    for case, given in numbers.items():
        if given != list(range(len(given))):
            raise DatasetError(f"case {case} has the channels {given}; expected 0 to {len(given) - 1}, none missing.")
        if given != expected:
            raise DatasetError(
                f"case {case} has {len(given)} channels, {first} has {len(expected)}; give each case the same."
            )


def _check_readable(case: str, paths: Iterable[Path]) -> None:
    for text in (case, *map(str, paths)):
        if well_formed(text) != text or len(text.splitlines()) != 1 or text != text.strip():
            raise DatasetError(
                f"{text} cannot stand in a CSV: it is no UTF-8, has a line end, or a space at an end; rename it."
            )


def _relative(path: Path, beside: Path) -> str:
    """Return a path as it stands in the CSV: relative where it can be, with / on every system.

    A file that is a link keeps its own name: what it points to may be called after its checksum.
    """
    here = path.parent.resolve() / path.name
    try:
        return Path(os.path.relpath(here, beside.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return here.as_posix()
