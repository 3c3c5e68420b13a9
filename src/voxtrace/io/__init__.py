"""Files <-> Volume: NIfTI, NRRD, MetaImage and DICOM series.

Everything read comes in canonical orientation (see :mod:`voxtrace.volume`) with a passport of what was looked at;
everything written goes back onto the grid of the file it came from, and is read back before it takes its name.
SimpleITK, nibabel and pydicom are imported on the first call.
"""

from voxtrace.io.reading import count_frames, from_sitk, label_names, read, read_labels, read_study
from voxtrace.io.suffixes import SUFFIXES
from voxtrace.io.writing import load_writers, to_sitk, write

__all__ = [
    "SUFFIXES",
    "count_frames",
    "from_sitk",
    "label_names",
    "load_writers",
    "read",
    "read_labels",
    "read_study",
    "to_sitk",
    "write",
]
