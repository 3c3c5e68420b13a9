"""Verification of a DICOM-SEG file: read back and compared frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxtrace.io.export.sources import SourceImages
from voxtrace.io.export.verification import check_corners, check_equal
from voxtrace.volume import Array


def verify_seg(file: Path, numbers: Array, sources: SourceImages, path: Path) -> None:
    """Refuse a file whose frames are not the segments ``numbers`` (Z, Y, X) at the positions of the source images.

    Raises
    ------
    OutputError
        With what differs.
    """
    import pydicom

    written = pydicom.dcmread(file)
    shape = (int(written.Rows), int(written.Columns))
    check_equal("planes of", shape, numbers.shape[1:], path)
    shared = written.SharedFunctionalGroupsSequence[0]
    orientation = np.asarray(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    spacing = np.asarray(shared.PixelMeasuresSequence[0].PixelSpacing, dtype=float)
    expected = sources.planes[0]
    extent = np.outer(np.asarray(expected.spacing_mm)[::-1] * numbers.shape[:0:-1], np.ones(3))
    check_corners(
        orientation.reshape(2, 3) * (spacing[::-1] * numbers.shape[:0:-1])[:, None],
        np.reshape(expected.orientation, (2, 3)) * extent,
        path,
    )
    starts = np.asarray([plane.position_mm for plane in sources.planes])
    bits = np.frombuffer(written.PixelData, np.uint8)
    size = shape[0] * shape[1]
    seen = 0
    for index, frame in enumerate(written.PerFrameFunctionalGroupsSequence):
        position = np.asarray(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        plane = int(np.argmin(np.linalg.norm(starts - position, axis=1)))
        check_corners(position, starts[plane], path)
        group = frame if "SegmentIdentificationSequence" in frame else shared
        segment = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        first, offset = divmod(index * size, 8)
        part = np.unpackbits(bits[first : first + (size + 7) // 8 + 1], bitorder="little")[offset : offset + size]
        wrong = int(np.count_nonzero(part.reshape(shape).astype(bool) != (numbers[plane] == segment)))
        check_equal(f"voxels that differ in frame {index + 1}, number", wrong, 0, path)
        seen += int(part.sum())
    check_equal("labelled voxels", seen, int(np.count_nonzero(numbers)), path)
