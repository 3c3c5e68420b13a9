"""Verification of a DICOM-SEG file: read back and compared frame by frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.io.export.sources import SourceImages
from voxtrace.io.export.verification import check_corners, check_equal
from voxtrace.volume import Array

if TYPE_CHECKING:
    from pydicom import Dataset


def verify_seg(file: Path, numbers: Array, sources: SourceImages, path: Path) -> None:
    """Refuse a file whose frames are not the segments ``numbers`` (Z, Y, X) at the positions of the source images.

    Raises
    ------
    ReadBackError
        With what differs.
    """
    import pydicom

    written = pydicom.dcmread(file)
    shape = (int(written.Rows), int(written.Columns))
    starts = check_planes(written, numbers.shape, sources, path)
    shared = written.SharedFunctionalGroupsSequence[0]
    bits = np.frombuffer(written.PixelData, np.uint8)
    size = shape[0] * shape[1]
    seen = 0
    for index, frame in enumerate(written.PerFrameFunctionalGroupsSequence):
        plane = plane_of(frame, starts, path)
        group = frame if "SegmentIdentificationSequence" in frame else shared
        segment = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        first, offset = divmod(index * size, 8)
        part = np.unpackbits(bits[first : first + (size + 7) // 8 + 1], bitorder="little")[offset : offset + size]
        wrong = int(np.count_nonzero(part.reshape(shape).astype(bool) != (numbers[plane] == segment)))
        check_equal(f"voxels that differ in frame {index + 1}, number", wrong, 0, path)
        seen += int(part.sum())
    check_equal("labelled voxels", seen, int(np.count_nonzero(numbers)), path)


def verify_frames(file: Path, array: Array, sources: SourceImages, path: Path) -> None:
    """Refuse a file whose frames are not the planes of ``array`` (Z, Y, X) at the positions of the source images.

    Raises
    ------
    ReadBackError
        With what differs.
    """
    import pydicom

    written = pydicom.dcmread(file)
    starts = check_planes(written, array.shape, sources, path)
    values = np.asarray(written.pixel_array)
    frames = values.reshape(-1, *array.shape[1:])
    groups = written.PerFrameFunctionalGroupsSequence
    planes = [plane_of(frame, starts, path) for frame in groups]
    check_equal("planes", sorted(planes), list(range(len(array))), path)
    wrong = sum(_differing(frame, array[plane]) for frame, plane in zip(frames, planes, strict=True))
    check_equal("voxels that differ, number", wrong, 0, path)


def _differing(one: Array, other: Array) -> int:
    """Return how many voxels differ; NaN equals NaN."""
    return int(np.count_nonzero((one != other) & ((one == one) | (other == other))))


def check_planes(written: Dataset, shape: tuple[int, ...], sources: SourceImages, path: Path) -> Array:
    """Refuse a file whose planes have another size or direction; return where planes start, (Z, 3), in mm.

    Raises
    ------
    ReadBackError
        With what differs.
    """
    check_equal("planes of", (int(written.Rows), int(written.Columns)), shape[1:], path)
    shared = written.SharedFunctionalGroupsSequence[0]
    orientation = np.asarray(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    spacing = np.asarray(shared.PixelMeasuresSequence[0].PixelSpacing, dtype=float)
    expected = sources.planes[0]
    extent = np.outer(np.asarray(expected.spacing_mm)[::-1] * shape[:0:-1], np.ones(3))
    check_corners(
        orientation.reshape(2, 3) * (spacing[::-1] * shape[:0:-1])[:, None],
        np.reshape(expected.orientation, (2, 3)) * extent,
        path,
    )
    return np.asarray([plane.position_mm for plane in sources.planes])


def plane_of(frame: Dataset, starts: Array, path: Path) -> int:
    """Return the plane that a frame lies in; refuse a frame that lies in none."""
    position = np.asarray(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
    plane = int(np.argmin(np.linalg.norm(starts - position, axis=1)))
    check_corners(position, starts[plane], path)
    return plane
