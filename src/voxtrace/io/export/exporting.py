"""A label map -> a file, in the format that the name ends in."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from voxtrace.errors import OutputError
from voxtrace.io import formats
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.volume import LabelMap, Volume

Writer = Callable[[LabelMap | Volume, Path, ExportOptions], Written]


def export(
    item: LabelMap | Volume,
    path: str | Path,
    source: str | Path | None = None,
    *,
    image: Volume | None = None,
    smooth_mm: float = 0.0,
    manual: bool = False,
) -> Path:
    """Write a label map in the format that the name ends in, and return the path.

    The parameters are those of :class:`ExportOptions`.

    Raises
    ------
    OutputError
        When the format is unknown or holds no intensities, the format lacks what it needs, or the file read back
        differs from what was to be written; no file is left behind. When a DICOM file of that name is an image.
    GeometryError
        When the label map does not lie on the grid of its source images or of ``image``.
    """
    options = ExportOptions(None if source is None else Path(source), image, False, smooth_mm, manual)
    export_all(item, path, options)
    return Path(path)


def export_all(item: LabelMap | Volume, path: str | Path, options: ExportOptions | None = None) -> Written:
    """Write a label map in the format that the name ends in, and return which files were written, with notes.

    A one-channel volume can be written in formats that hold voxels or a number for each voxel.

    Raises
    ------
    OutputError, GeometryError
        As :func:`export`.
    """
    path, options = Path(path), options or ExportOptions()
    chosen = formats.written_format(path)
    if chosen is None:
        raise OutputError(f"{path} names no format that can be written. Choose a name ending in {_listed()}.")
    if not isinstance(item, LabelMap) and chosen.holds not in ("voxels", "map"):
        raise OutputError(
            f"{path}: {item.name} holds intensities; expected a label map for {formats.written_ending(path)} files."
        )
    if options.each and not chosen.splits_labels:
        raise OutputError(f"{path}: only STL is written as one file for each label; the other formats name each label.")
    write: Writer = import_module(chosen.writer).write
    return write(item, path, options)


def _listed() -> str:
    """Return the endings as words for a message, plain volumes first."""
    known = formats.endings((*formats.WRITTEN, *formats.MAPS))
    return f"{', '.join(known[:-1])} or {known[-1]}"
