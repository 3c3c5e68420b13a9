"""A folder -> its series: which images belong together, what each series is, and whether it can be opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from voxtrace.geometry import Grid
from voxtrace.io.dicom.discriminators import divide
from voxtrace.io.dicom.files import files_below
from voxtrace.io.dicom.headers import slices_of
from voxtrace.io.dicom.rounded_orientation import with_true_orientation
from voxtrace.io.dicom.slices import Slice
from voxtrace.io.dicom.validation import validate
from voxtrace.io.suffixes import folder_name
from voxtrace.passport import Passport

_SAME_ORIENTATION = 1e-3
_SAME_SPACING_MM = 1e-3
_FEW = 5  # images
_SCANTY = 4  # times fewer than the largest part of the same series


@dataclass(frozen=True)
class Series:
    """The images of one series, its names, and the findings in its headers.

    Attributes
    ----------
    slices
        In the order in which they were found.
    name
        What to call it in messages and file names: the folder's name, numbered where there are several series.
    part
        What distinguishes it from others of the same series UID: ``acquisition 2``, ``time 3 of 5``; else ``""``.
    passport
        What was found in the headers. A refused finding says why the series cannot be opened.
    """

    slices: tuple[Slice, ...] = field(repr=False)
    name: str
    part: str = ""
    passport: Passport = field(default_factory=Passport)

    @property
    def first(self) -> Slice:
        """One image, for what all have in common."""
        return self.slices[0]

    @property
    def usable(self) -> bool:
        """Whether nothing in the headers keeps it from being opened."""
        return self.passport.verdict != "refused"

    @property
    def number(self) -> str:
        """The series number, as text; ``""`` where there is none."""
        return self.first.number

    @property
    def uid(self) -> str:
        """The series instance UID."""
        return self.first.series

    @property
    def modality(self) -> str:
        """The kind of scan: ``CT``, ``MR``, ``PT``."""
        return self.first.modality

    @property
    def description(self) -> str:
        """The scanner's words for the series, and which part of it this is."""
        return ", ".join(filter(None, (self.first.description, self.part)))

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.slices)

    @property
    def rows(self) -> int:
        """Pixels down an image."""
        return self.first.size[0]

    @property
    def columns(self) -> int:
        """Pixels across an image."""
        return self.first.size[1]

    @property
    def pixel_spacing_mm(self) -> tuple[float, ...]:
        """Distance between rows and between columns in mm; empty where headers do not state it."""
        return self.first.pixel_spacing_mm

    @property
    def is_placed(self) -> bool:
        """Whether the headers say where every pixel lies."""
        return all(s.is_placed for s in self.slices)

    @cached_property
    def slice_distance_mm(self) -> float | None:
        """The median distance between neighbouring positions in mm; None for fewer than two."""
        if not self.is_placed:
            return None
        gaps = np.diff(sorted(s.depth_mm for s in self.slices))
        apart = gaps[gaps > 1e-2]
        return float(np.median(apart)) if len(apart) else None

    @property
    def orientation(self) -> str:
        """Where columns, rows and the stack run, as letters such as ``LPS``; ``""`` where headers do not state it."""
        if not self.is_placed or not self.first.is_square:
            return ""
        return Grid((1, 1, 1), (1.0, 1.0, 1.0), direction=tuple(self.first.axes.ravel())).axis_codes

    @property
    def title(self) -> str:
        """The series in a few words without the patient's name: ``11 MR T1post (22 images)``."""
        return self._called(self.description)

    @property
    def kind(self) -> str:
        """The same without the scanner's words, in which anything may stand: ``11 MR (22 images)``."""
        return self._called(self.part)

    def _called(self, words: str) -> str:
        images = f"({self.images} image{'s' if self.images != 1 else ''})"
        return " ".join(filter(None, (self.number, self.modality, words, images)))


def find_series(folder: Path) -> tuple[Series, ...]:
    """Return the series among the files of a folder and the folders in it, ordered by series number.

    Only headers are read, and pixels where several images are at the same position and no attribute distinguishes
    them. Files without a DICOM image are skipped; damaged ones are a series of their own that cannot be opened. A
    series is what shares series UID and number, orientation, size and pixel spacing; where several images are at the
    same position it is divided by the attribute that distinguishes them.
    """
    slices = [slice_ for path in files_below(folder) for slice_ in slices_of(path)]
    return series_among(slices, folder_name(folder))


def series_among(slices: Iterable[Slice], name: str) -> tuple[Series, ...]:
    """Return the series among slices; one takes the name, several the name and a number."""
    groups = sorted(_groups(slices), key=lambda group: (len(group[0].number), group[0].number, group[0].series))
    parts = [(part, found) for group in groups for part, found in _parts(group)]
    largest: dict[str, int] = {}
    for _, found in parts:
        largest[found[0].series] = max(largest.get(found[0].series, 0), len(found))
    names = [name] if len(parts) == 1 else [f"{name}_{i}" for i in range(1, len(parts) + 1)]
    return tuple(
        Series(tuple(found), called, part, validate(found, aside=_is_aside(found, largest[found[0].series])))
        for called, (part, found) in zip(names, parts, strict=True)
    )


def _parts(group: Sequence[Slice]) -> list[tuple[str, list[Slice]]]:
    if any(s.is_mosaic for s in group) or not all(s.is_placed for s in group):
        return [("", list(group))]
    return divide(with_true_orientation(group))


def _is_aside(slices: Sequence[Slice], largest: int) -> bool:
    """Return whether these are a few images beside a much larger part of the same series."""
    return len(slices) < _FEW and len(slices) * _SCANTY <= largest


def _groups(slices: Iterable[Slice]) -> list[list[Slice]]:
    # exact attributes first: comparing every slice with every group takes long for thousands of files
    by_uid: dict[tuple[object, ...], list[list[Slice]]] = {}
    for slice_ in slices:
        homes = by_uid.setdefault(_exact(slice_), [])
        home = next((group for group in homes if _alike(group[0], slice_)), None)
        if home is None:
            homes.append([slice_])
        else:
            home.append(slice_)
            homes.remove(home)
            homes.insert(0, home)  # neighbours in a folder mostly belong together
    return [group for homes in by_uid.values() for group in homes]


def _exact(slice_: Slice) -> tuple[object, ...]:
    return (
        slice_.series,
        slice_.number,
        slice_.size,
        slice_.samples,
        slice_.kind,
        slice_.is_placed,
        slice_.is_mosaic,
        "LOCALIZER" in slice_.image_type,
        slice_.is_unreadable,
    )


def _alike(one: Slice, other: Slice) -> bool:
    return _near(one.orientation, other.orientation, _SAME_ORIENTATION) and _near(
        one.pixel_spacing_mm, other.pixel_spacing_mm, _SAME_SPACING_MM
    )


def _near(one: Sequence[float], other: Sequence[float], tolerance: float) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))
