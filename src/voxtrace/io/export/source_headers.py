"""Headers of source images: read without pixels, completed where de-identification removed values, positions in mm."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.dicom import open_dicom
from voxtrace.volume import Array

if TYPE_CHECKING:
    from pydicom import Dataset

# Every SEG and RTSTRUCT must carry these, if only empty.
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_GENERATED = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")


@dataclass(frozen=True)
class ImagePlanePosition:
    """Where one image, or one frame of an image, lies; DICOM's (L, P, S) in mm.

    ``orientation`` (6) runs along a row, then down a column; ``spacing_mm`` is between rows, then between columns;
    ``size`` is (rows, columns).
    """

    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    size: tuple[int, int]
    thickness_mm: float | None = None

    @property
    def normal(self) -> Array:
        """The unit vector across the plane."""
        return np.cross(self.orientation[:3], self.orientation[3:])


def read_header(path: Path) -> Dataset:
    """Return the header of a DICOM file, without pixels.

    Raises
    ------
    ReadError
        When the file is gone or is not DICOM.
    """
    try:
        return open_dicom(path)
    except (ReadError, OSError) as error:
        raise ReadError(
            f"{path} cannot be read as DICOM; the images that were segmented must still be where they were. "
            "Say where they are with --source."
        ) from error


def frame_count(header: Dataset) -> int:
    """Return how many images a file holds."""
    return int(header.get("NumberOfFrames") or 1)


def is_multiframe(header: Dataset) -> bool:
    """Return whether a file describes its images frame by frame (enhanced CT, MR, PET)."""
    return bool(header.get("PerFrameFunctionalGroupsSequence"))


def plane_position_of(header: Dataset, frame: int = 0) -> ImagePlanePosition | None:
    """Return where a frame (counted from 0) lies; None when the header does not say."""
    position = _macro(header, frame, "PlanePositionSequence").get("ImagePositionPatient")
    orientation = _macro(header, frame, "PlaneOrientationSequence").get("ImageOrientationPatient")
    measures = _macro(header, frame, "PixelMeasuresSequence")
    spacing = measures.get("PixelSpacing")
    if position is None or orientation is None or spacing is None or header.get("Rows") is None:
        return None
    thickness = measures.get("SliceThickness")
    return ImagePlanePosition(
        tuple(map(float, position)),
        tuple(map(float, orientation)),
        tuple(map(float, spacing)),
        (int(header.Rows), int(header.Columns)),
        float(thickness) if thickness else None,
    )


def complete(headers: Sequence[Dataset]) -> tuple[str, ...]:
    """Fill what the headers of one series lack, in place, and return a sentence for each UID that was generated.

    Instance UIDs come from the file's own meta header. A study, series or frame of reference without UID gets one
    derived from the instance UIDs, so that each export of the same series has the same UIDs.

    Raises
    ------
    ReadError
        When an image has no UID of its own, so that nothing can refer to it.
    """
    for header in headers:
        for wanted, meta in (
            ("SOPClassUID", "MediaStorageSOPClassUID"),
            ("SOPInstanceUID", "MediaStorageSOPInstanceUID"),
        ):
            if not header.get(wanted):
                setattr(header, wanted, str(header.file_meta.get(meta, "")))
        if not header.SOPInstanceUID or not header.SOPClassUID:
            raise ReadError(
                "a source image has no UID (SOP Instance UID), so nothing can refer to it; export it again."
            )
        for keyword in _MAY_BE_EMPTY:
            if keyword not in header:
                setattr(header, keyword, "")
    seed = min(str(header.SOPInstanceUID) for header in headers)
    return tuple(note for keyword in _GENERATED if (note := _generate(headers, keyword, seed)))


def _generate(headers: Sequence[Dataset], keyword: str, seed: str) -> str:
    if all(header.get(keyword) for header in headers):
        return ""
    # a value that one image of the series has holds for all; otherwise a new UID
    known = next((str(header.get(keyword)) for header in headers if header.get(keyword)), "")
    uid = known or f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{keyword} {seed}').int}"
    for header in headers:
        setattr(header, keyword, uid)
    words = {"StudyInstanceUID": "study", "SeriesInstanceUID": "series", "FrameOfReferenceUID": "frame of reference"}
    return (
        "" if known else f"the source images have no UID of their {words[keyword]}; one was made from their own UIDs."
    )


def _macro(header: Dataset, frame: int, keyword: str) -> Dataset:
    """Return what a functional group says of a frame; the header itself where a file holds one image."""
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        return header
    shared = header.get("SharedFunctionalGroupsSequence") or []
    for group in (groups[frame], *shared):
        if group.get(keyword):
            item: Dataset = group.get(keyword)[0]
            return item
    return header
