"""Formats in two files: the header that belongs to voxels, and the voxels that belong to a header.

Where a plain and a packed file of one name lie side by side, a header goes with the voxels that are packed as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from voxtrace.errors import ReadError
from voxtrace.io.suffixes import is_voxels_beside

_VOXELS_OF: Final[dict[str, tuple[str, ...]]] = {  # ending of a header -> endings that its voxels may have
    ".hdr": (".img", ".img.gz"),
    ".hdr.gz": (".img.gz", ".img"),
    ".par": (".rec",),
}
_HEADERS_OF: Final[dict[str, tuple[str, ...]]] = {  # ending of voxels -> endings that their header may have
    ".img": (".hdr", ".hdr.gz"),
    ".img.gz": (".hdr.gz", ".hdr"),
    ".rec": (".par",),
}


def partner_of(header: Path) -> Path | None:
    """Return the file with the voxels of a header: of the same name in the same case; None where there is none.

    Raises
    ------
    ReadError
        When two files may hold them.
    """
    # voxels that have a header of their own belong to that
    found = [one for one in _beside(header, _VOXELS_OF) if one.exists() and _belongs(one, header)]
    if len({one.name.lower() for one in found}) > 1:
        raise ReadError(
            f"{header} has its voxels in {' or in '.join(sorted({one.name for one in found}))}; expected one of them. "
            "Move the other away."
        )
    return found[0] if found else None


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
    return next((one for one in _beside(voxels, _HEADERS_OF) if one.is_file()), None)


def _belongs(voxels: Path, header: Path) -> bool:
    own = header_of(voxels)
    return own is None or own.samefile(header)


def _beside(path: Path, endings: Mapping[str, tuple[str, ...]]) -> Iterator[Path]:
    """Yield the names that a partner may have, the likeliest first; nothing for a file of another format."""
    name = path.name
    ending = next((end for end in sorted(endings, key=len, reverse=True) if name.lower().endswith(end)), "")
    upper = name[-len(ending) :].split(".")[1].isupper() if ending else False
    for end in endings.get(ending, ()):
        for one in (end.upper(), end) if upper else (end, end.upper()):
            yield path.with_name(name[: -len(ending)] + one)
