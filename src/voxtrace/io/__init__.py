"""Files <-> Volume: NIfTI, NRRD, MetaImage and DICOM series.

Everything read comes in canonical orientation (see :mod:`voxtrace.volume`) with a passport of what was looked at;
everything written goes back onto the grid of the file it came from, and is read back before it takes its name.
Modules are imported on the first use of a name, so that the list of formats costs nothing; SimpleITK, pydicom and
highdicom on the first file that needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxtrace.io.reading import count_timepoints, from_sitk, label_names, read, read_labels, read_study
    from voxtrace.io.suffixes import SUFFIXES
    from voxtrace.io.writing import load_writers, to_sitk, write

_HOMES = {
    "SUFFIXES": "suffixes",
    "count_timepoints": "reading",
    "from_sitk": "reading",
    "label_names": "reading",
    "load_writers": "writing",
    "read": "reading",
    "read_labels": "reading",
    "read_study": "reading",
    "to_sitk": "writing",
    "write": "writing",
}

__all__ = [
    "SUFFIXES",
    "count_timepoints",
    "from_sitk",
    "label_names",
    "load_writers",
    "read",
    "read_labels",
    "read_study",
    "to_sitk",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'voxtrace.io' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"voxtrace.io.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
