"""What files hold, as one SHA-256 of their names and contents; no voxel is decoded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from voxtrace.errors import ReadError
from voxtrace.io.foreign.partner_files import header_of, partner_of
from voxtrace.io.suffixes import NRRD, TEXT, suffix_of
from voxtrace.io.text_headers import read_meta_header, read_nrrd_header
from voxtrace.io.voxel_files import named_files

_PAIRED = (".hdr", ".hdr.gz", ".par")  # headers whose voxels lie beside them


def file_digest(path: Path) -> str:
    """Return the SHA-256 of an image's or label map's file; of several files or a folder, of all with their names."""
    if path.is_dir():
        return content_digest(sorted(file for file in path.rglob("*") if file.is_file()), path.absolute())
    with path.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256")
    for part in parts_of(path):
        content.update(bytes.fromhex(content_digest([part], path.absolute().parent)))
    return content.hexdigest()


def content_digest(files: Iterable[Path], base: Path) -> str:
    """Return one SHA-256 of the names, relative to the folder ``base``, and of the contents of files."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
        digest.update(os.fsencode(os.path.relpath(file.absolute(), base)) + b"\0" + content)
    return digest.hexdigest()


def parts_of(path: Path) -> Iterator[Path]:
    """Yield the other files that are read with a file, by name: those its header names, or its partner in a pair.

    Nothing for a header that cannot be read; reading says why.
    """
    try:
        if suffix_of(path) in TEXT:
            found = _named_by(path)
        else:
            partner = header_of(path) or (partner_of(path) if path.name.lower().endswith(_PAIRED) else None)
            found = (partner.absolute(),) if partner is not None else ()
    except ReadError:
        return
    yield from sorted({one for one in found if one != path.absolute() and one.is_file()})


def _named_by(path: Path) -> tuple[Path, ...]:
    """Return the files in which a text header says that its voxels lie."""
    nrrd = suffix_of(path) in NRRD
    names = (read_nrrd_header if nrrd else read_meta_header)(path).file_names
    if not names or (not nrrd and names[0].upper() == "LOCAL"):
        return ()
    return named_files(path.absolute(), names)
