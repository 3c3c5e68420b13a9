"""A file with a text header -> what the header says, by the ending of its name."""

from __future__ import annotations

from pathlib import Path

from voxtrace.io.integrity import check_not_empty
from voxtrace.io.metaimage import open_metaimage
from voxtrace.io.nrrd import open_nrrd
from voxtrace.io.suffixes import NRRD, suffix_of
from voxtrace.io.text_images import TextImage


def open_text_image(path: Path) -> TextImage:
    """Return what the header of an NRRD or MetaImage file says; its voxels are not read.

    Raises
    ------
    ReadError
        When the file is empty, or its header is not one of a scalar volume.
    """
    check_not_empty(path)
    return open_nrrd(path) if suffix_of(path) in NRRD else open_metaimage(path)
