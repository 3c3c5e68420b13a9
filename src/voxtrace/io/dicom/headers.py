"""Headers of files -> slices: one for a single-frame file, one for each frame of an enhanced multi-frame file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from voxtrace.errors import ReadError
from voxtrace.io.dicom.discriminators import DISCRIMINATOR_TAGS, discriminators_of
from voxtrace.io.dicom.files import begins_as_dicom
from voxtrace.io.dicom.grid import SourceFrame
from voxtrace.io.dicom.slices import Numbers, Slice, Storage

if TYPE_CHECKING:
    from pydicom import Dataset

_TAGS = (
    "SOPClassUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "Modality",
    "ImageType",
    "FrameOfReferenceUID",
    "Manufacturer",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    *DISCRIMINATOR_TAGS,
)
MAKER = "VoxTrace"  # manufacturer of the CT and MR that VoxTrace draws
Values = dict[str, Any]  # attribute name -> value


def slices_of(path: Path) -> tuple[Slice, ...]:
    """Return the header of each image in a file; nothing for a file that is not DICOM or has no image.

    Raises
    ------
    ReadError
        When the file is DICOM, and its header cannot be parsed.
    """
    if not path.is_file():
        return ()
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # pydicom warns of values that violate the standard; what matters is checked here
        known = begins_as_dicom(file.read(132), path)
        file.seek(0)
        if known is None:
            return ()
        try:
            return _from_header(path, _header(file, force=not known))
        except (ValueError, TypeError, EOFError, AttributeError, KeyError, IndexError) as error:
            raise ReadError(
                f"{path} has a DICOM header that cannot be read ({error}); export the file again."
            ) from error


@cache
def _wanted() -> dict[int, str]:
    """Return tag -> name for the attributes that are read."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.tag import Tag

    return {Tag(tag_for_keyword(name) or 0): name for name in _TAGS}


def _header(file: BinaryIO, *, force: bool) -> Values:
    import pydicom

    header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_wanted()), force=force)
    names = _wanted()
    values = {names[tag]: header[tag].value for tag in list(header.keys()) if tag in names}
    if not values.get("SOPClassUID"):
        values["SOPClassUID"] = header.file_meta.get("MediaStorageSOPClassUID", "")
    return values


def _from_header(path: Path, header: Values) -> tuple[Slice, ...]:
    if not header.get("Rows") or not header.get("Columns"):
        return ()
    frames = int(header.get("NumberOfFrames") or 1)
    groups: Sequence[Dataset] = header.get("PerFrameFunctionalGroupsSequence") or ()
    if groups and len(groups) != frames:
        raise ValueError(f"{len(groups)} descriptions of {frames} frames")
    if not groups:  # older multi-frame objects have one position for all
        own = header if frames == 1 else {**header, "ImagePositionPatient": None}
        return tuple(_slice(SourceFrame(path, i), own) for i in range(frames))
    shared: Sequence[Dataset] = header.get("SharedFunctionalGroupsSequence") or ()
    common = header | (_merged(shared[0]) if shared else {})
    return tuple(_slice(SourceFrame(path, i), common | _merged(group)) for i, group in enumerate(groups))


def _merged(group: Dataset) -> Values:
    """Return the attributes in the functional groups of a frame, nested ones included."""
    names = _wanted()
    found: Values = {}
    for element in group:
        if element.VR == "SQ":
            for item in element.value[:1]:
                found |= _merged(item)
        elif element.tag in names:
            found[names[element.tag]] = element.value
    return found


def _slice(source: SourceFrame, values: Values) -> Slice:
    def numbers(tag: str, count: int) -> Numbers:
        found = values.get(tag)
        return tuple(float(v) for v in found) if found is not None and len(found) == count else ()

    return Slice(
        source=source,
        series=str(values.get("SeriesInstanceUID") or ""),
        number="" if values.get("SeriesNumber") is None else str(values["SeriesNumber"]),
        modality=str(values.get("Modality") or ""),
        description=str(values.get("SeriesDescription") or "").strip(),
        position_mm=numbers("ImagePositionPatient", 3),
        orientation=numbers("ImageOrientationPatient", 6),
        pixel_spacing_mm=numbers("PixelSpacing", 2),
        size=(int(values["Rows"]), int(values["Columns"])),
        samples=int(values.get("SamplesPerPixel") or 1),
        kind=str(values.get("SOPClassUID") or ""),
        image_type=tuple(str(v).upper() for v in _several(values.get("ImageType"))),
        frame_of_reference=str(values.get("FrameOfReferenceUID") or ""),
        contrast=bool(values.get("ContrastBolusAgent") or values.get("ContrastBolusAgentSequence")),
        has_lookup_table=bool(values.get("ModalityLUTSequence")),
        made_up=str(values.get("Manufacturer") or "") == MAKER,
        storage=_storage(values),
        discriminators=discriminators_of(values),
    )


def _several(value: Any) -> tuple[Any, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _storage(values: Values) -> Storage:
    slope, intercept = values.get("RescaleSlope"), values.get("RescaleIntercept")
    return Storage(
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        bits=int(values.get("BitsStored") or values.get("BitsAllocated") or 16),
        signed=bool(values.get("PixelRepresentation") or 0),
        padding=_padding(values),
        dark_is_high=values.get("PhotometricInterpretation") == "MONOCHROME1",
    )


def _padding(values: Values) -> tuple[int, int] | None:
    """Return the lowest and highest padding value; negative ones are often written as unsigned."""
    first, last = values.get("PixelPaddingValue"), values.get("PixelPaddingRangeLimit")
    if first is None:
        return None
    bits, signed = int(values.get("BitsAllocated") or 16), bool(values.get("PixelRepresentation") or 0)
    ends = [_wrapped(int(v), bits, signed=signed) for v in (first, first if last is None else last)]
    return min(ends), max(ends)


def _wrapped(value: int, bits: int, *, signed: bool) -> int:
    return value - (1 << bits) if signed and value >= 1 << (bits - 1) else value
