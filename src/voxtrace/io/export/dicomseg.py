"""DICOM-SEG through highdicom, as bits of each label or as a label map: one segment for each label that occurs.

The patient's and the study's entries are copied from the source images, as DICOM demands of a segmentation. Planes
without labels are left out of binary files, and each frame names the image that it was derived from.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import OutputError
from voxtrace.io.export.algorithm import Algorithm
from voxtrace.io.export.codes import text
from voxtrace.io.export.copied_attributes import series_number
from voxtrace.io.export.dicom_file import dicom_file
from voxtrace.io.export.equipment import NAME, version
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.export.segments import segment_of
from voxtrace.io.export.source_references import highdicom_sources, reference_source_frames
from voxtrace.io.export.sources import SourceImages, match
from voxtrace.io.export.verify_seg import verify_frames, verify_seg
from voxtrace.volume import Array, LabelMap

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

RLE = "1.2.840.10008.1.2.5"  # of the lossless syntaxes the one that every program decodes


def write(labels: LabelMap, path: Path, options: ExportOptions) -> Written:
    """Write a label map as DICOM-SEG that refers to its source images.

    Raises
    ------
    OutputError
        When the label map is empty, knows no source images, or the file read back differs.
    GeometryError
        When the label map is not on the grid of its source images.
    """
    array, sources = match(labels, options.source)
    return write_matched(labels, array, sources, path, options)


def write_matched(labels: LabelMap, array: Array, sources: SourceImages, path: Path, options: ExportOptions) -> Written:
    """Write a label map whose planes (Z, Y, X), as the source images lie, are ``array``; see :func:`write`."""
    # labels that other steps hold are described, too
    values = tuple(sorted({*labels.values, *options.tracking}))
    if not values:
        raise OutputError(f"{path}: {labels.name} holds no label, and DICOM-SEG has no empty segmentation to say so.")
    with dicom_file(path, sources) as temporary:
        _segmentation(labels, values, array, sources, options).save_as(temporary)
        if options.seg == "labelmap":
            verify_frames(temporary, array, sources, path)
        else:
            verify_seg(temporary, _numbers(array, values), sources, path)
    return Written((path,), sources.notes)


def _segmentation(
    labels: LabelMap, values: tuple[int, ...], array: Array, sources: SourceImages, options: ExportOptions
) -> Segmentation:
    from highdicom import UID
    from highdicom.seg import Segmentation

    first, more = highdicom_sources(sources)
    segmentation = Segmentation(
        source_images=first,
        further_source_images=more,
        **_segments(labels, values, array, options),
        series_instance_uid=options.series_uid or UID(),
        series_number=series_number(sources.headers[0], 1000),
        sop_instance_uid=UID(),
        instance_number=options.algorithm.step or 1,
        content_label="SEGMENTATION",
        content_description=text(options.about or labels.note or "Labels of a segmentation"),
        series_description=options.algorithm.line or "Segmentation",
        specific_character_set="ISO_IR 192",
        **equipment(options.algorithm),
        **space_of(sources),
    )
    reference_source_frames(segmentation, sources)
    return segmentation


def _segments(labels: LabelMap, values: tuple[int, ...], array: Array, options: ExportOptions) -> dict[str, Any]:
    """Return the voxels and what they mean, as arguments of a segmentation.

    In a label map the segment numbers are the label values; in binary files the standard wants 1, 2, 3 …
    """
    if options.seg == "labelmap":
        return {
            "pixel_array": np.ascontiguousarray(array),
            "segmentation_type": "LABELMAP",
            "segment_descriptions": [segment_of(labels, value, value, options) for value in values],
            "transfer_syntax_uid": RLE,
            "omit_empty_frames": False,
        }
    return {
        "pixel_array": _numbers(array, values),
        "segmentation_type": "BINARY",
        "segment_descriptions": [segment_of(labels, n, value, options) for n, value in enumerate(values, 1)],
    }


def _numbers(array: Array, values: tuple[int, ...]) -> Array:
    """Return the labels as segment numbers 1, 2, 3 … in the order of their values."""
    table = np.zeros(max(values) + 1, np.uint8 if len(values) < 256 else np.uint16)
    table[list(values)] = np.arange(1, len(values) + 1)
    numbers: Array = table[array]
    return numbers


def equipment(algorithm: Algorithm) -> dict[str, Any]:
    """Return the equipment of a file as arguments for highdicom."""
    return {
        "manufacturer": NAME,
        "manufacturer_model_name": NAME,
        "software_versions": list(algorithm.software),
        "device_serial_number": version(),  # required by DICOM; a program has no serial number
    }


def space_of(sources: SourceImages) -> dict[str, Any]:
    """Return where the planes lie as arguments for highdicom."""
    from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence
    from highdicom.enum import CoordinateSystemNames

    first = sources.planes[0]
    patient = CoordinateSystemNames.PATIENT
    return {
        "plane_positions": [PlanePositionSequence(patient, plane.position_mm) for plane in sources.planes],
        "plane_orientation": PlaneOrientationSequence(patient, first.orientation),
        "pixel_measures": PixelMeasuresSequence(
            first.spacing_mm, first.thickness_mm or sources.grid.spacing_mm[2], sources.grid.spacing_mm[2]
        ),
    }
