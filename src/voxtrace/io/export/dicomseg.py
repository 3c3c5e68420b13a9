"""DICOM-SEG, binary, through highdicom: one segment for each label that occurs.

The patient's and the study's entries are copied from the source images, as DICOM demands of a segmentation. Planes
without labels are left out, and each frame names the image that it was derived from.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError
from voxtrace.io.export.codes import text
from voxtrace.io.export.copied_attributes import series_number
from voxtrace.io.export.equipment import NAME, version
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.export.segments import segment_of
from voxtrace.io.export.source_references import highdicom_sources, reference_source_frames
from voxtrace.io.export.sources import SourceImages, match
from voxtrace.io.export.verify_seg import verify_seg
from voxtrace.volume import Array, LabelMap

if TYPE_CHECKING:
    from highdicom.seg import Segmentation


def write(labels: LabelMap, path: Path, options: ExportOptions) -> Written:
    """Write a label map as DICOM-SEG that refers to its source images.

    Raises
    ------
    OutputError
        When the label map is empty, knows no source images, or the file read back differs.
    GeometryError
        When the label map is not on the grid of its source images.
    """
    values = labels.values
    if not values:
        raise OutputError(f"{path}: {labels.name} holds no label, and DICOM-SEG has no empty segmentation to say so.")
    array, sources = match(labels, options.source)
    with warnings.catch_warnings():  # names and dates of the source may violate the standard; they are only copied
        warnings.simplefilter("ignore")
        with atomic_file(path) as temporary:
            _segmentation(labels, values, array, sources, options).save_as(temporary)
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
        pixel_array=_numbers(array, values),
        segmentation_type="BINARY",
        segment_descriptions=[segment_of(labels, n, value, options.made_by) for n, value in enumerate(values, 1)],
        series_instance_uid=UID(),
        series_number=series_number(sources.headers[0], 1000),
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=version(),
        device_serial_number=version(),  # required by DICOM; a program has no serial number
        content_label="SEGMENTATION",
        content_description=text(options.description or labels.note or "Labels of a segmentation"),
        series_description="Segmentation",
        specific_character_set="ISO_IR 192",
        **_space(sources),
    )
    reference_source_frames(segmentation, sources)
    return segmentation


def _numbers(array: Array, values: tuple[int, ...]) -> Array:
    """Return the labels as segment numbers 1, 2, 3 … in the order of their values."""
    table = np.zeros(max(values) + 1, np.uint8 if len(values) < 256 else np.uint16)
    table[list(values)] = np.arange(1, len(values) + 1)
    numbers: Array = table[array]
    return numbers


def _space(sources: SourceImages) -> dict[str, Any]:
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
