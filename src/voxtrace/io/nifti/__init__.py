"""NIfTI-1 and NIfTI-2: one parser of headers for reading, writing, verification and counting time points.

header      bytes <-> the fields of a header; the label table in its extensions
transforms  sform and qform -> where the voxels lie
voxels      a file -> header, label table and voxels in one pass
encoding    an array on a grid -> a file
"""

from __future__ import annotations

from voxtrace.io.nifti.encoding import LARGEST_AXIS, write_nifti
from voxtrace.io.nifti.header import NiftiGrid, NiftiHeader, parse_header
from voxtrace.io.nifti.transforms import affine_of
from voxtrace.io.nifti.voxels import NiftiFile, read_header, read_nifti

__all__ = [
    "LARGEST_AXIS",
    "NiftiFile",
    "NiftiGrid",
    "NiftiHeader",
    "affine_of",
    "parse_header",
    "read_header",
    "read_nifti",
    "write_nifti",
]
