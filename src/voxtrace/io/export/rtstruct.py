"""DICOM RTSTRUCT: closed contours in mm, in the planes of the source images; one region of interest a label.

Holes are joined to their outline by a channel without width (see :mod:`voxtrace.io.export.outlines`). Names ending in
``.rtstruct.dcm`` mean this format. Patient and study are copied from the source images, as DICOM demands.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy  # its parts are loaded where they are used

from voxtrace.errors import OutputError
from voxtrace.io.export.codes import text
from voxtrace.io.export.dicom_file import dicom_file
from voxtrace.io.export.label_style import colour_of, name_of
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.export.outlines import outlines
from voxtrace.io.export.sources import SourceImages, match
from voxtrace.io.export.structure_set import Contour, Region, add_region, header_of
from voxtrace.io.export.verify_contours import verify_contours
from voxtrace.volume import Array, LabelMap


def write(labels: LabelMap, path: Path, options: ExportOptions) -> Written:
    """Write a label map as RTSTRUCT that refers to its source images.

    Raises
    ------
    OutputError
        When the label map is empty, knows no source images, or the file read back differs.
    GeometryError
        When the label map is not on the grid of its source images.
    """
    values = labels.values
    if not values:
        raise OutputError(f"{path}: {labels.name} holds no label, so there is nothing to outline.")
    array, sources = match(labels, options.source)
    with dicom_file(path, sources) as temporary:
        dataset = header_of(sources, options.algorithm)
        dataset.StructureSetDescription = text(options.about or labels.note or "Contours of a segmentation")
        boxes = scipy.ndimage.find_objects(array)
        for number, value in enumerate(values, 1):
            contours = contours_of(array, value, boxes[value - 1], sources)
            region = Region(number, value, name_of(labels, value), colour_of(labels, value), options.made_by)
            add_region(dataset, region, contours, sources)
        dataset.save_as(temporary, enforce_file_format=True)
        verify_contours(temporary, array, values, sources, path)
    return Written((path,), sources.notes)


def contours_of(array: Array, value: int, box: tuple[slice, ...], sources: SourceImages) -> Iterator[Contour]:
    """Yield the contours of a label in an array (Z, Y, X), plane by plane; its planes are the source images."""
    start = np.asarray([box[2].start, box[1].start], dtype=np.float64)
    for plane in range(box[0].start, box[0].stop):
        for line in outlines(array[plane][box[1:]] == value):
            yield Contour(plane, _in_mm(line + start, sources, plane))


def _in_mm(points: Array, sources: SourceImages, plane: int) -> Array:
    position = sources.planes[plane]
    along = np.asarray(position.orientation[:3]) * position.spacing_mm[1]
    down = np.asarray(position.orientation[3:]) * position.spacing_mm[0]
    found: Array = np.asarray(position.position_mm) + points @ np.stack([along, down])
    return found
