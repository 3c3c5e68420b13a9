"""Formats in two files: the header that belongs to voxels, and the voxels that belong to a header."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from voxtrace.io.suffixes import is_voxels_beside

_VOXELS_OF: Final[dict[str, tuple[str, ...]]] = {  # ending of a header -> endings that its voxels may have
    ".hdr": (".img", ".img.gz"),
    ".hdr.gz": (".img.gz", ".img"),
    ".par": (".rec",),
}


def partner_of(header: Path) -> Path | None:
    """Return the file with the voxels of a header: of the same name in the same case; None where there is none."""
    name = header.name
    ending = next(end for end in sorted(_VOXELS_OF, key=len, reverse=True) if name.lower().endswith(end))
    stem = name[: -len(ending)]
    upper = name[-len(ending) :].split(".")[1].isupper()
    for end in _VOXELS_OF[ending]:
        for one in (end.upper(), end) if upper else (end, end.upper()):
            if (found := header.with_name(stem + one)).exists():
                return found
    return None


def header_or_same(path: Path) -> Path:
    """Return the header of voxels beside it; any other path, and voxels without a header, as they are."""
    header = header_of(path) if is_voxels_beside(path) else None
    return path if header is None else header


def header_of(voxels: Path) -> Path | None:
    """Return the header that lies beside a file of voxels; None where there is none, or it is no such file.

    Examples
    --------
    >>> header_of(Path("brain.nii.gz")) is None
    True
    """
    name = voxels.name
    for ending, ends in _VOXELS_OF.items():
        for end in ends:
            if not name.lower().endswith(end):
                continue
            for one in (ending, ending.upper()):
                if (found := voxels.with_name(name[: -len(end)] + one)).is_file():
                    return found
    return None
