"""DICOM images -> volumes: find the series of a folder, stack one of them.

::

    files           the files of a folder that may be DICOM
    headers         a file -> its images (Slice), pixels left alone
    discriminators  attributes that distinguish images at the same position
    series          a folder -> its series, each with a passport
    validation      headers -> findings
    stack           order, gaps, duplicates, tilt
    pixels          an image -> stored numbers
    rescale         stored numbers -> values in the scanner's unit
    gantry_tilt     tilted images -> an upright grid
    voxels          a stack -> one array
    reading         a path or a series -> array, grid and passport
    study           series of one study -> the channels of a volume
    thumbnail       a series -> a small picture for a chooser
"""

from __future__ import annotations

from voxtrace.io.dicom.grid import DicomGrid, SourceFrame
from voxtrace.io.dicom.reading import LoadedSeries, load, load_series, named
from voxtrace.io.dicom.series import Series, find_series
from voxtrace.io.dicom.slices import Slice
from voxtrace.io.dicom.study import channels_of, stack_series
from voxtrace.io.dicom.thumbnail import thumbnail

__all__ = [
    "DicomGrid",
    "LoadedSeries",
    "Series",
    "Slice",
    "SourceFrame",
    "channels_of",
    "find_series",
    "load",
    "load_series",
    "named",
    "stack_series",
    "thumbnail",
]
