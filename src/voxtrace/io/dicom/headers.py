"""Headers of files -> slices: one for a single-frame file, one for each frame of an enhanced multi-frame file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from voxtrace.io.dicom.discriminators import DISCRIMINATOR_TAGS, discriminators_of
from voxtrace.io.dicom.functional_groups import frame_values
from voxtrace.io.dicom.grid import SourceFrame
from voxtrace.io.dicom.header_values import (
    HeaderValueError,
    Values,
    known_values,
    numbers_of,
    several,
    values_of,
    whole_of,
)
from voxtrace.io.dicom.opening import DIRECTORY, class_of, opened, parse, uid_name, words_of
from voxtrace.io.dicom.pixel_extent import extent_fault, pixel_element
from voxtrace.io.dicom.private_values import PRIVATE_TAGS, private_values
from voxtrace.io.dicom.slices import Slice
from voxtrace.io.dicom.storage import STORAGE_TAGS, has_lookup_table, storage_of

if TYPE_CHECKING:
    from pydicom import Dataset

_LONGEST_TEXT = 200  # letters; the standard has 64
_TAGS = (
    "SOPClassUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "InstanceNumber",
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
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    *STORAGE_TAGS,
    *DISCRIMINATOR_TAGS,
)
MAKER = "VoxTrace"  # manufacturer of the CT and MR that VoxTrace draws
_WITH_PIXELS = ("Image Storage", "Segmentation Storage", "Parametric Map Storage", "RT Dose Storage")
_MOST_UNPLACED = 65536  # frames of a file that does not say where they lie


def slices_of(path: Path) -> tuple[Slice, ...]:
    """Return the header of each image in a file; nothing for a file that is not DICOM or has no image.

    A file that is damaged, or has a value that cannot be used, is one slice whose ``fault`` says so.
    """
    try:
        if path.is_dir():
            return (_faulty(path, {}, "a folder that cannot be listed"),)
        if not path.is_file():
            return ()
        with opened(path) as file, warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # pydicom warns of values that violate the standard; what matters is checked here
            return _from_file(path, file)
    except OSError as error:
        return (_faulty(path, {}, f"a file that cannot be read ({error.strerror or error})"),)


@cache
def _wanted() -> dict[int, str]:
    """Return tag -> name for the attributes that are read."""
    from pydicom.datadict import tag_for_keyword

    # plain numbers: those of pydicom compare themselves in Python, some hundred times a file
    return {int(tag_for_keyword(name) or 0): name for name in _TAGS}


@cache
def _all_tags() -> tuple[int, ...]:
    """Return the tags that are read, private ones included."""
    return (*_wanted(), *PRIVATE_TAGS)


def _from_file(path: Path, file: BufferedReader) -> tuple[Slice, ...]:
    known: Values = {}
    parsed = None
    try:
        parsed = parse(file, tags=_all_tags())
        if parsed is None:
            return ()
        header, stream = parsed
        return _from_header(path, header, stream)
    except Exception as error:
        if parsed is not None:
            known = known_values(parsed[0], _wanted())
        told = (
            str(error) if isinstance(error, HeaderValueError) else f"a header that cannot be read ({words_of(error)})"
        )
        return (_faulty(path, known, told),)


def _from_header(path: Path, header: Dataset, stream: BinaryIO) -> tuple[Slice, ...]:
    values = values_of(header, _wanted())
    meta = header.file_meta
    values["SOPClassUID"] = class_of(header)
    if not values.get("Rows") or not values.get("Columns"):
        kinds = (values["SOPClassUID"], str(meta.get("MediaStorageSOPClassUID", "")))  # the first may be cut, too
        if any(_should_have_pixels(kind, preamble=header.preamble is not None) for kind in kinds):
            raise HeaderValueError("it ends within its header")
        return ()
    element = pixel_element(header, stream)
    if element is None:
        if not _should_have_pixels(values["SOPClassUID"], preamble=True):
            return ()
        raise HeaderValueError("it ends within its header, before the pixels")
    values["TransferSyntaxUID"] = str(meta.get("TransferSyntaxUID", ""))
    values["is float"], values["is compressed"] = element.is_float, element.compressed
    values["fault"] = extent_fault(values, element)
    return _by_frame(path, values | private_values(header))


def _should_have_pixels(kind: str, *, preamble: bool) -> bool:
    """Return whether a file of this SOP class has pixels, so that one without is damaged."""
    if not kind:
        return preamble
    return kind != DIRECTORY and uid_name(kind).endswith(_WITH_PIXELS)


def _by_frame(path: Path, header: Values) -> tuple[Slice, ...]:
    frames = whole_of(header, "NumberOfFrames", 1) or 1
    groups: Sequence[Dataset] = header.get("PerFrameFunctionalGroupsSequence") or ()
    if groups and len(groups) != frames:
        raise HeaderValueError(f"{len(groups)} descriptions of {frames} frames")
    shared: Sequence[Dataset] = header.get("SharedFunctionalGroupsSequence") or ()
    common = header | (frame_values(shared[0]) if shared else {})
    if groups:
        return tuple(_slice(SourceFrame(path, i), common | frame_values(group)) for i, group in enumerate(groups))
    if frames == 1:
        return (_slice(SourceFrame(path, 0), common),)
    if not 1 <= frames <= _MOST_UNPLACED:
        raise HeaderValueError(f"{frames} frames without a position")
    own = {**common, "ImagePositionPatient": None}  # older multi-frame objects have one position for all
    return tuple(_slice(SourceFrame(path, i), own) for i in range(frames))


def _slice(source: SourceFrame, values: Values) -> Slice:
    return Slice(
        source=source,
        **_names(values),
        position_mm=numbers_of(values, "ImagePositionPatient", 3),
        orientation=numbers_of(values, "ImageOrientationPatient", 6),
        pixel_spacing_mm=numbers_of(values, "PixelSpacing", 2),
        size=(whole_of(values, "Rows", 0), whole_of(values, "Columns", 0)),
        samples=whole_of(values, "SamplesPerPixel", 1),
        photometric=str(values.get("PhotometricInterpretation") or "").strip().upper(),
        syntax=str(values.get("TransferSyntaxUID") or ""),
        frame_of_reference=str(values.get("FrameOfReferenceUID") or ""),
        contrast=bool(values.get("ContrastBolusAgent") or values.get("ContrastBolusAgentSequence")),
        has_lookup_table=has_lookup_table(values),
        made_up=str(values.get("Manufacturer") or "") == MAKER,
        storage=storage_of(values),
        order=(_instance(values), source.frame),
        fault=str(values["fault"]),
        discriminators=discriminators_of(values),
    )


def _names(values: Values) -> dict[str, Any]:
    """Return what a header says of its series, as arguments of a slice."""
    kinds = tuple(str(v).upper() for v in several(values.get("ImageType")))
    mosaic = ("MOSAIC",) if values.get("is mosaic") and "MOSAIC" not in kinds else ()
    return {
        "series": str(values.get("SeriesInstanceUID") or ""),
        "number": "" if values.get("SeriesNumber") is None else str(values["SeriesNumber"])[:_LONGEST_TEXT],
        "modality": str(values.get("Modality") or "")[:_LONGEST_TEXT],
        "description": str(values.get("SeriesDescription") or "").strip()[:_LONGEST_TEXT],
        "kind": str(values.get("SOPClassUID") or ""),
        "image_type": kinds + mosaic,
    }


def _instance(values: Values) -> int:
    """Return the number of an image in its series, -1 where there is none."""
    try:
        return whole_of(values, "InstanceNumber", -1)
    except HeaderValueError:
        return -1


def _faulty(path: Path, values: Values, fault: str) -> Slice:
    return Slice(SourceFrame(path), **_names(values), fault=fault)
