"""DICOM images -> volumes: find the series of a folder, stack one of them.

::

    files    the files of a folder that may be DICOM
    headers  a file -> its images (Slice), pixels left alone
    marks    what tells images in one place apart
    series   a folder -> its series, each with a passport
    judge    headers -> findings
    stack    order, gaps, doubles, tilt
    pixels   an image -> stored numbers
    values   stored numbers -> values in the scanner's unit
    upright  tilted images -> an upright grid
    voxels   a stack -> one array
    reading  a path or a series -> array, grid and passport
    study    series of one study -> the channels of a volume
    picture  a series -> a small picture for a chooser
"""

from __future__ import annotations

from voxtrace.io.dicom.grid import DicomGrid, Source
from voxtrace.io.dicom.picture import thumbnail
from voxtrace.io.dicom.reading import Loaded, load, load_series, named
from voxtrace.io.dicom.series import Series, find_series
from voxtrace.io.dicom.slices import Slice
from voxtrace.io.dicom.study import channels_of, stack_series

__all__ = [
    "DicomGrid",
    "Loaded",
    "Series",
    "Slice",
    "Source",
    "channels_of",
    "find_series",
    "load",
    "load_series",
    "named",
    "stack_series",
    "thumbnail",
]
