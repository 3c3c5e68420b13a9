"""Label maps -> files that other programs ask for: DICOM-SEG, RTSTRUCT, 3D Slicer's .seg.nrrd, surfaces, tables.

The ending of the name chooses the format (:mod:`voxtrace.io.formats`), the longest that fits:

==================  ==================================================================================
``.seg.nrrd``       3D Slicer's segmentation, one layer
``.rtstruct.dcm``   DICOM RTSTRUCT: closed contours in each plane of the source images
``.seg.dcm .dcm``   DICOM-SEG, one segment a label: binary, or as a label map
``.map.dcm``        DICOM parametric map: a number for each voxel
``.stl .ply .obj``  surfaces in mm, LPS
``.csv .json``      a row for each label: mL, mean and percentiles of an image, bounding box, components
==================  ==================================================================================

Every file appears whole or not at all, and is read back and compared before it takes its name.
"""

from __future__ import annotations

from voxtrace.io.export.algorithm import Algorithm
from voxtrace.io.export.exporting import export, export_all
from voxtrace.io.export.on_grid import ScalarMap
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.export.read_rtstruct import is_rtstruct, read_rtstruct
from voxtrace.io.export.readseg import is_seg, read_seg
from voxtrace.io.export.steps import export_steps
from voxtrace.io.export.table import LabelRow, measure

__all__ = [
    "Algorithm",
    "ExportOptions",
    "LabelRow",
    "ScalarMap",
    "Written",
    "export",
    "export_all",
    "export_steps",
    "is_rtstruct",
    "is_seg",
    "measure",
    "read_rtstruct",
    "read_seg",
]
