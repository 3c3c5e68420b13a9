"""DICOM images -> volumes: find the series of a folder, stack one of them."""

from __future__ import annotations

from voxtrace.io.dicom.grid import DicomGrid, Source
from voxtrace.io.dicom.series import Loaded, Series, find_series, load

__all__ = ["DicomGrid", "Loaded", "Series", "Source", "find_series", "load"]
