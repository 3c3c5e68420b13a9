"""Which files a text header says that its voxels lie in; no voxel is read."""

from __future__ import annotations

from pathlib import Path

from voxtrace.io.suffixes import NRRD, TEXT, suffix_of
from voxtrace.io.text_headers import read_meta_header, read_nrrd_header


def names_in_header(path: Path) -> tuple[str, ...]:
    """Return the words of an NRRD or MetaImage header that say where its voxels lie, and the lines after ``LIST``.

    Nothing for voxels in the same file, and for other formats.

    Raises
    ------
    ReadError
        When the header is none.
    """
    suffix = suffix_of(path)
    if suffix not in TEXT:
        return ()
    names = (read_nrrd_header if suffix in NRRD else read_meta_header)(path).file_names
    return () if names[:1] and names[0].upper() == "LOCAL" else names
