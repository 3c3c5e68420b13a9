"""What files hold, as one SHA-256 of their names and contents; no voxel is decoded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_HEADER_BYTES = 1 << 16
_PARTS = (".mhd", ".nhdr", ".hdr", ".img")  # formats that keep header and voxels in two files


def file_digest(path: Path) -> str:
    """Return the SHA-256 of one image's or label map's file; of one in two files, of both, with the second's name."""
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
    if path.suffix.lower() not in _PARTS:
        return
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    for one in sorted(path.absolute().parent.iterdir()):
        named = os.fsencode(one.name) in header
        if one.name != path.name and one.is_file() and (named or one.name.startswith(f"{path.stem}.")):
            yield one
