"""The files of a folder and of the folders in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of the folders in it, in the order of their names.

    Links to folders are not followed. A folder inside that cannot be listed is yielded itself, last.

    Raises
    ------
    OSError
        When the folder itself cannot be listed.
    """
    closed: list[Path] = []

    def note(error: OSError) -> None:
        if error.filename is None or Path(error.filename) == folder:
            raise error
        closed.append(Path(error.filename))

    for place, inside, names in os.walk(folder, onerror=note):
        inside.sort()
        # "._" files hold what macOS notes of another file
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("._"))
    yield from closed


def links_in(folder: Path) -> tuple[str, ...]:
    """Return the names of links to folders directly in a folder; these are not followed."""
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_symlink() and p.is_dir()))
