"""DICOM images -> volumes: find the series of a folder, stack one of them.

::

    files           the files of a folder
    opening         the one place where files are parsed
    header_values   elements -> plain values, or a fault by name
    functional_groups, private_values   what describes frames; what only makers' own elements say
    pixel_extent    the stated size against what the file holds
    storage         how numbers are stored
    headers         a file -> its images (Slice), pixels left alone
    positions       which images are at the same position
    discriminators  attributes that distinguish images at the same position
    series          a folder -> its series, each with a passport
    rounded_orientation   orientations of two decimals
    validation, value_checks, equal_images   headers -> findings
    stack           order, gaps, duplicates, tilt
    codestream      the size that compressed pixels state themselves
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
from voxtrace.io.dicom.opening import kind_of, open_dicom
from voxtrace.io.dicom.reading import LoadedSeries, in_words, load, load_series, named
from voxtrace.io.dicom.series import Series, find_series
from voxtrace.io.dicom.slices import Slice
from voxtrace.io.dicom.study import channels_of, stack_series
from voxtrace.io.dicom.thumbnail import thumbnail
from voxtrace.io.dicom.voxels import grid_of

__all__ = [
    "DicomGrid",
    "LoadedSeries",
    "Series",
    "Slice",
    "SourceFrame",
    "channels_of",
    "find_series",
    "grid_of",
    "in_words",
    "kind_of",
    "load",
    "load_series",
    "named",
    "open_dicom",
    "stack_series",
    "thumbnail",
]
