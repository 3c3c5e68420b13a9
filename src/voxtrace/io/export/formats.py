"""Which writer serves which end of a name, and what a writer may be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from voxtrace.errors import OutputError
from voxtrace.volume import LabelMap, Volume


@dataclass(frozen=True)
class Options:
    """What some formats need beside the label map.

    Attributes
    ----------
    source
        A folder with the DICOM images that were segmented, or one file of their series. Needed by DICOM formats when
        the label map does not remember its images.
    image
        The volume whose intensities the table describes, on the label map's grid.
    each
        Write one STL file for each label, ``NAME.<label>.stl``, in place of one with all.
    smooth_mm
        Standard deviation of the Gaussian that smooths surfaces, in mm; 0 leaves them as they are.
    manual
        Whether a person drew the labels; DICOM records it.
    """

    source: Path | None = None
    image: Volume | None = None
    each: bool = False
    smooth_mm: float = 0.0
    manual: bool = False


@dataclass(frozen=True)
class Written:
    """The files that were written, and a sentence for each thing the user should know about them."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


Writer = Callable[[LabelMap, Path, Options], Written]

_WRITERS = {
    ".seg.nrrd": "segnrrd",
    ".rtstruct.dcm": "rtstruct",
    ".seg.dcm": "dicomseg",
    ".dcm": "dicomseg",
    ".stl": "mesh",
    ".ply": "mesh",
    ".obj": "mesh",
    ".csv": "table",
    ".json": "table",
}
ENDINGS: tuple[str, ...] = tuple(_WRITERS)


def ending_of(path: str | Path) -> str:
    """Return the end of a name that says which export it is, in lower case; ``""`` when it is none of ``ENDINGS``.

    Examples
    --------
    >>> ending_of("a.SEG.dcm"), ending_of("a.nrrd")
    ('.seg.dcm', '')
    """
    name = Path(path).name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")


def is_export(path: str | Path) -> bool:
    """Tell whether the name ends in one of ``ENDINGS``."""
    return bool(ending_of(path))


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

    The parameters are those of :class:`Options`.

    Raises
    ------
    OutputError
        When the format is unknown, the item is not a label map, the format lacks what it needs, or the file read back
        differs from what was to be written; no file is left behind.
    GeometryError
        When the label map does not lie on the grid of its source images or of ``image``.
    """
    options = Options(None if source is None else Path(source), image, False, smooth_mm, manual)
    export_all(item, path, options)
    return Path(path)


def export_all(item: LabelMap | Volume, path: str | Path, options: Options | None = None) -> Written:
    """Write a label map in the format that the name ends in, and return which files were written, with notes.

    Raises
    ------
    OutputError, GeometryError
        As :func:`export`.
    """
    path, options = Path(path), options or Options()
    ending = ending_of(path)
    if not ending:
        raise OutputError(f"{path} names no format of an export. Choose a name ending in {', '.join(ENDINGS)}.")
    if not isinstance(item, LabelMap):
        raise OutputError(f"{path}: {item.name} holds intensities; expected a label map for {ending} files.")
    if options.each and ending != ".stl":
        raise OutputError(f"{path}: only STL is written as one file for each label; the other formats name each label.")
    write: Writer = import_module(f"voxtrace.io.export.{_WRITERS[ending]}").write
    return write(item, path, options)
