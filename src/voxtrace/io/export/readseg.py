"""DICOM-SEG -> label map: BINARY, LABELMAP and FRACTIONAL of any program, one label for each segment."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.dicom import open_dicom
from voxtrace.io.dicom.opening import class_of, opened, parse, words_of
from voxtrace.io.dicom.pixel_extent import extent_fault, pixel_element
from voxtrace.io.export.seg_frames import SegFrame, frames_of, stack_frames
from voxtrace.io.export.segments import VALUE_WORDS
from voxtrace.io.suffixes import is_dicom, stem_of
from voxtrace.safe_text import brief
from voxtrace.volume import Array, Geometry, Grid, LabelMap, Triple

if TYPE_CHECKING:
    from pydicom import Dataset

_SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_SIZES = ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated")
_LARGEST_LABEL = 65535
THRESHOLD = 0.5  # of a fractional segment: from here on a voxel is inside


def is_seg(path: str | Path) -> bool:
    """Return whether a file is a DICOM segmentation; only its header is read."""
    path = Path(path)
    if not path.is_file() or not is_dicom(path):
        return False
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return class_of(open_dicom(path, tags=["SOPClassUID"])) in _SEG_CLASSES
    return False


def read_seg(path: str | Path) -> LabelMap:
    """Return the label map in a DICOM-SEG file, in canonical orientation, with names and colours.

    The grid spans the planes that the file holds, at the distance that their positions have; planes without labels
    before the first and after the last are usually not written, so it may be shorter than the scan's. Labels keep the
    values they had when VoxTrace wrote the file; in files of other programs they are the segment numbers. A fractional
    segmentation becomes labels where a segment's fraction is 0.5 or more; the label map's note says so.

    Raises
    ------
    ReadError
        When the file is no segmentation, its planes do not stack evenly or leave their distance
        open, or segments overlap.
    """
    path = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that violate the standard and do no harm here
        try:
            return _label_map(path)
        except ReadError as error:
            if str(path) in str(error):
                raise
            remedy = "" if ";" in str(error) else "; export it again"
            raise ReadError(f"{path} cannot be read as a segmentation: {error}{remedy}.") from error
        except Exception as error:
            raise ReadError(
                f"{path} is not a DICOM segmentation that can be read ({words_of(error)}); export it again."
            ) from error


def _label_map(path: Path) -> LabelMap:
    _check_extent(path)
    header = open_dicom(path, pixels=True)
    segments = {int(segment.SegmentNumber): segment for segment in header.SegmentSequence}
    values = _values({number: segment for number, segment in segments.items() if number})
    frames = frames_of(header)
    grid, planes = stack_frames(frames, int(header.Rows), int(header.Columns))
    numbers = _numbers(header, frames, planes, grid, _names(segments))
    unknown = sorted(set(np.unique(numbers).tolist()) - set(values) - {0})
    if unknown:
        raise ReadError(f"it has pixels of segment {unknown[0]}, which it does not describe")
    # segment numbers run from 1; labels keep the values they were written with
    table = np.zeros(max(values, default=0) + 1, np.int64)
    table[list(values)] = list(values.values())
    data = np.ascontiguousarray(grid.layout.to_canonical(table.astype(_small(table))[numbers]))
    named = {value: str(segments[number].get("SegmentLabel") or number) for number, value in values.items()}
    return LabelMap(data, Geometry.from_grid(grid), named, _colours(segments, values), stem_of(path), _note(header))


def _check_extent(path: Path) -> None:
    """Refuse a file that is no binary segmentation or label map, or holds fewer pixels than its header states."""
    with opened(path) as file:
        parsed = parse(file, tags=["SOPClassUID", "SegmentationType", *_SIZES])
        if parsed is None or class_of(parsed[0]) not in _SEG_CLASSES:
            raise ReadError(
                f"{path} is not a DICOM segmentation; expected SEG of the kind binary, fractional or label map."
            )
        header, stream = parsed
        kind = str(header.get("SegmentationType", ""))
        if kind not in ("BINARY", "LABELMAP", "FRACTIONAL"):
            said = f"a {brief(kind.lower())} segmentation" if kind else "a segmentation of unknown kind"
            raise ReadError(f"{path} is {said}; expected a binary or fractional one or a label map.")
        element = pixel_element(header, stream)
        if element is None:
            raise ReadError("it ends within its header, before the pixels")
        fault = extent_fault({name: header.get(name) for name in _SIZES}, element)
        if fault:
            raise ReadError(fault)


def _values(segments: Mapping[int, Dataset]) -> dict[int, int]:
    """Return segment number -> label value."""
    if not segments or not all(0 < number <= _LARGEST_LABEL for number in segments):
        raise ReadError("it describes no segments that are numbered from 1 to 65535")
    noted = [_noted_value(segment) for segment in segments.values()]
    kept = all(noted) and len(set(noted)) == len(noted)
    return dict(zip(segments, noted if kept else segments, strict=True))


def _noted_value(segment: Any) -> int:
    """Return the label value that VoxTrace noted in a segment; 0 when there is none."""
    words, _, number = str(segment.get("SegmentDescription", "")).rpartition(" ")
    known = words == VALUE_WORDS and number.isascii() and number.isdigit() and len(number) < 6
    return int(number) if known and int(number) <= _LARGEST_LABEL else 0


def _numbers(
    header: Dataset, frames: Sequence[SegFrame], planes: Sequence[int], grid: Grid, names: Mapping[int, str]
) -> Array:
    """Return the segment number at each voxel (Z, Y, X), 0 for none."""
    most = max(*names, *(f.segment for f in frames), 0)
    numbers = np.zeros(grid.size[::-1], np.uint8 if most < 256 else np.uint16)
    least = _least(header)
    for frame, plane, stored in zip(frames, planes, _decoded(header), strict=True):
        pixels = stored if least is None else stored >= least
        there = pixels.astype(numbers.dtype) if not frame.segment else np.where(pixels, frame.segment, 0)
        taken = (numbers[plane] != 0) & (there != 0) & (numbers[plane] != there)
        if taken.any():
            pair = int(numbers[plane][taken][0]), int(there[taken][0])
            listed = " and ".join(names.get(one, str(one)) for one in pair)
            raise ReadError(
                f"it holds segments that overlap ({listed}), and a label map has one label at each voxel; "
                "export the segments one by one"
            )
        numbers[plane] = np.where(there != 0, there, numbers[plane])
    return numbers


def _least(header: Dataset) -> float | None:
    """Return the smallest stored number that counts as inside; None where numbers are no fractions."""
    if header.SegmentationType != "FRACTIONAL":
        return None
    whole = int(header.get("MaximumFractionalValue") or 0)
    if whole <= 0:
        raise ReadError("it is fractional, and does not say which number stands for a whole (Maximum Fractional Value)")
    return THRESHOLD * whole


def _note(header: Dataset) -> str:
    fractional = header.SegmentationType == "FRACTIONAL"
    return f"Fractional segmentation; labels where the fraction is >= {THRESHOLD:g}" if fractional else ""


def _decoded(header: Dataset) -> Iterator[Array]:
    """Yield the pixels (rows, columns) of each frame."""
    from pydicom.pixels.utils import iter_pixels
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if not header.file_meta.get("TransferSyntaxUID"):
        implicit = header.original_encoding[0]
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    yield from iter_pixels(header, raw=True)


def _names(segments: Mapping[int, Dataset]) -> dict[int, str]:
    return {number: str(segment.get("SegmentLabel") or number) for number, segment in segments.items()}


def _small(table: Array) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if table.max() < 256 else np.uint16


def _colours(segments: Mapping[int, Dataset], values: Mapping[int, int]) -> dict[int, Triple]:
    from highdicom.color import CIELabColor

    colours: dict[int, Triple] = {}
    for number, value in values.items():
        shade = segments[number].get("RecommendedDisplayCIELabValue")
        if shade is None:
            continue
        with suppress(ValueError, TypeError):  # a colour that is none is left to the window
            red, green, blue = CIELabColor.from_dicom_value([int(v) for v in shade]).to_rgb()
            colours[value] = (red / 255, green / 255, blue / 255)
    return colours
