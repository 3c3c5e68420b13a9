"""What files hold, as one SHA-256 of their names and contents; no voxel is decoded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from voxtrace.io.suffixes import stem_of

_HEADER_BYTES = 1 << 16
# formats that keep header and voxels in two files
_PARTS = (".mhd", ".nhdr", ".hdr", ".hdr.gz", ".img", ".img.gz", ".par", ".rec")


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
    """Yield the files beside a header that have its stem, or that it names."""
    if not path.name.lower().endswith(_PARTS):
        return
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    for one in sorted(path.absolute().parent.iterdir()):
        named = os.fsencode(one.name) in header
        if one.name != path.name and one.is_file() and (named or one.name.startswith(f"{stem_of(path)}.")):
            yield one
