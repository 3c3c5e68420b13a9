"""DICOM-SEG -> label map: BINARY and LABELMAP of any program, one label for each segment."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.export.segments import VALUE_WORDS
from voxtrace.io.suffixes import is_dicom, stem_of
from voxtrace.volume import Array, Geometry, Grid, LabelMap, Triple

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

_SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


def is_seg(path: str | Path) -> bool:
    """Return whether a file is a DICOM segmentation; only its header is read."""
    import pydicom

    path = Path(path)
    if not path.is_file() or not is_dicom(path):
        return False
    try:
        return str(pydicom.dcmread(path, specific_tags=["SOPClassUID"]).get("SOPClassUID", "")) in _SEG_CLASSES
    except (pydicom.errors.InvalidDicomError, EOFError):
        return False


def read_seg(path: str | Path) -> LabelMap:
    """Return the label map in a DICOM-SEG file, in canonical orientation, with names and colours.

    The grid spans the planes that the file holds; planes without labels before the first and after the last are
    usually not written, so it may be shorter than the scan's. Labels keep the values they had when VoxTrace wrote the
    file; in files of other programs they are the segment numbers.

    Raises
    ------
    ReadError
        When the file is no binary or label map segmentation, its planes do not stack evenly, or segments overlap.
    """
    path = Path(path)
    with (
        warnings.catch_warnings()
    ):  # pydicom and highdicom warn of values that violate the standard and do no harm here
        warnings.simplefilter("ignore")
        segmentation = _opened(path)
        values = _values(segmentation)
        volume = _volume(segmentation, path)
        names, colours = _words(segmentation, values)
    # segment numbers run from 1; labels keep the values they were written with
    table = np.zeros(max(values) + 1, np.int64)
    table[list(values)] = list(values.values())
    grid = _grid(np.asarray(volume.affine), volume.spatial_shape)
    data = np.ascontiguousarray(grid.layout.to_canonical(table[volume.array]))
    return LabelMap(data, Geometry.from_grid(grid), names, colours, stem_of(path))


def _opened(path: Path) -> Segmentation:
    from highdicom.seg import segread
    from pydicom.errors import InvalidDicomError

    try:
        segmentation = segread(path)
    except (InvalidDicomError, ValueError, AttributeError, KeyError, EOFError, OSError) as error:
        raise ReadError(f"{path} is not a DICOM segmentation that can be read ({error}); export it again.") from error
    kind = str(segmentation.SegmentationType)
    if kind not in ("BINARY", "LABELMAP"):
        raise ReadError(f"{path} is a {kind.lower()} segmentation; expected a binary one or a label map.")
    return segmentation


def _values(segmentation: Segmentation) -> dict[int, int]:
    """Return segment number -> label value."""
    numbers = [int(segment.SegmentNumber) for segment in segmentation.SegmentSequence if segment.SegmentNumber]
    noted = [_noted_value(segmentation.get_segment_description(number)) for number in numbers]
    kept = all(noted) and len(set(noted)) == len(noted)
    return dict(zip(numbers, noted if kept else numbers, strict=True))


def _noted_value(segment: Any) -> int:
    """Return the label value that VoxTrace noted in a segment; 0 when there is none."""
    words, _, number = str(segment.get("SegmentDescription", "")).rpartition(" ")
    return int(number) if words == VALUE_WORDS and number.isdigit() and int(number) < 65536 else 0


def _volume(segmentation: Segmentation, path: Path) -> Any:
    try:
        return segmentation.get_volume(combine_segments=True, allow_missing_positions=True)
    except (RuntimeError, ValueError) as error:
        if "overlap" in str(error).lower():
            raise ReadError(
                f"{path} holds segments that overlap, and a label map has one label at each voxel; "
                "export the segments one by one."
            ) from error
        raise ReadError(
            f"{path} holds planes that do not stack evenly ({error}); expected one regular grid."
        ) from error


def _grid(affine: Array, shape: tuple[int, int, int]) -> Grid:
    """Return a grid from highdicom's affine, whose axes are plane, row and column."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    origin, (planes_mm, rows_mm, columns_mm) = affine[:3, 3].tolist(), spacing.tolist()
    direction = (affine[:3, :3] / spacing)[:, ::-1]
    size = (int(shape[2]), int(shape[1]), int(shape[0]))
    return Grid(
        size, (columns_mm, rows_mm, planes_mm), (origin[0], origin[1], origin[2]), tuple(direction.ravel().tolist())
    )


def _words(segmentation: Segmentation, values: dict[int, int]) -> tuple[dict[int, str], dict[int, Triple]]:
    from highdicom.color import CIELabColor

    names: dict[int, str] = {}
    colours: dict[int, Triple] = {}
    for number, value in values.items():
        segment = segmentation.get_segment_description(number)
        names[value] = str(segment.SegmentLabel)
        shade = segment.get("RecommendedDisplayCIELabValue")
        if shade is not None:
            red, green, blue = CIELabColor.from_dicom_value([int(v) for v in shade]).to_rgb()
            colours[value] = (red / 255, green / 255, blue / 255)
    return names, colours
