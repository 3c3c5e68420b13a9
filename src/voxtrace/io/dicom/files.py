"""The files of a folder, and which of them begin like DICOM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from voxtrace.io.suffixes import DICOM_SUFFIXES

_OTHER_SUFFIXES = (*DICOM_SUFFIXES, ".img", "")
_FIRST_ELEMENTS = (b"\x00\x00", b"\x01\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00")  # of group 8


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of the folders in it, in the order of their names.

    Links to folders are not followed.
    """
    for place, inside, names in os.walk(folder, onerror=_refuse):
        inside.sort()
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("._"))


def _refuse(error: OSError) -> None:
    raise error


def begins_as_dicom(begin: bytes, path: Path) -> bool | None:
    """Return True for a file that begins like DICOM, False for old DICOM without a preamble, None for neither."""
    if begin[128:] == b"DICM":
        return True
    bare = begin[:2] == b"\x08\x00" and begin[2:4] in _FIRST_ELEMENTS and _continues_element(begin[4:8])
    return False if bare and path.suffix.lower() in _OTHER_SUFFIXES else None


def _continues_element(begin: bytes) -> bool:
    """Return whether an element continues with the two letters of its VR, or with a short even length."""
    return (begin[:2].isalpha() and begin[:2].isupper()) or (begin[1:] == b"\0\0\0" and begin[0] % 2 == 0)
