"""A file or folder that holds a volume -> what its header says, by the ending of its name; NIfTI has its own way.

Voxels beside a header stand for the header, and an archive for the one scan in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxtrace.io.described_image import DescribedImage
from voxtrace.io.foreign import open_foreign
from voxtrace.io.foreign.archive import unpacked
from voxtrace.io.foreign.partner_files import header_or_same
from voxtrace.io.names import DESCRIPTION, from_keys
from voxtrace.io.ome_zarr import open_ome_zarr
from voxtrace.io.suffixes import NRRD, TEXT, is_archive, is_zarr, suffix_of
from voxtrace.io.text_formats import open_text_image


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Yield the file or folder to read for a path: its header, the one scan in an archive, or the path itself.

    Raises
    ------
    ReadError
        When an archive is refused, or holds no scan or several.
    """
    if is_archive(path):
        with unpacked(path) as inside:
            yield inside
    else:
        yield header_or_same(path)


def open_described(path: Path, *, labels: bool = False) -> DescribedImage:
    """Return what the header of a volume says that is no NIfTI file; of an OME-Zarr image its ``labels`` if asked.

    Raises
    ------
    ReadError
        When the header is not one of a volume that can be read.
    """
    if is_zarr(path):
        return open_ome_zarr(path, labels=labels)
    if suffix_of(path) not in TEXT:
        return open_foreign(path)
    image = open_text_image(path)
    return DescribedImage(
        image.grid,
        image.timepoints,
        lambda timepoint: image.read(timepoint, path),
        "",
        image.findings,
        *from_keys(image.entries, ascii_only=suffix_of(path) not in NRRD),
        image.entries.get(DESCRIPTION, ""),
    )
