"""One file -> one stored array on a right-angled grid in mm, with what was found on the way.

Arrays here are as the file has them, (Z, Y, X) of the *stored* grid; :mod:`voxtrace.io.reading` turns them into
canonical orientation.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from voxtrace.io import frames, itk
from voxtrace.io.axes import Squared, resampled, squared
from voxtrace.io.checks import check_intensities, check_position, check_spacing
from voxtrace.io.forms import place
from voxtrace.io.headers import check_meta, check_nrrd
from voxtrace.io.intact import check_intact
from voxtrace.io.nifti import Header, NiftiGrid, read_header, voxels
from voxtrace.io.placement import Placement
from voxtrace.io.suffixes import NIFTI, suffix_of
from voxtrace.passport import Finding, Passport
from voxtrace.volume import Array, Grid

_SAME_VOXELS = 0.01


@dataclass(frozen=True, eq=False)
class Stored:
    """The voxels (Z, Y, X) of a file, their grid, its text entries, what was found, and how many frames it has."""

    array: Array
    grid: Grid
    keys: Mapping[str, str]
    passport: Passport
    frames: int


def load(path: Path, frame: int | None = None, *, labels: bool = False) -> Stored:
    """Return the voxels of a NIfTI, NRRD or MetaImage file on a right-angled grid.

    Voxels of a sheared grid are resampled, ``labels`` by nearest neighbour.

    Raises
    ------
    ReadError
        When the file is damaged, is not a scalar volume, has several frames and ``frame`` picks none, or its header
        places it nowhere.
    """
    kept = check_intact(path, keep=True)
    header, raw, placed, stated = _read(path, frame, kept)
    spacing = check_spacing(placed, path)
    fit = squared(placed, path)
    array = resampled(raw.array, placed, fit.placement, labels=labels) if fit.resample else raw.array
    grid = _grid(raw, placed, fit, header)
    scale = (0.0, 0.0) if header is None else header.scale
    found = (*check_position(grid), spacing, *stated, fit.finding, *raw.findings, check_intensities(raw.array, scale))
    return Stored(array, grid, raw.keys, Passport(found), raw.frames)


def _read(
    path: Path, frame: int | None, kept: Array | None
) -> tuple[Header | None, itk.Raw, Placement, tuple[Finding, ...]]:
    """Return a NIfTI header, if it is one; the voxels; where the file puts them; and what its header alone told.

    ``kept`` are numbers (Z, Y, X) as a NIfTI file stores them, where they are known.
    """
    if suffix_of(path) in NIFTI:
        header = read_header(path)
        raw = _nifti(path, header, frame, kept if header.as_stored else None)
        return header, raw, *place(header, path)
    stated = check_nrrd(path) if suffix_of(path) == ".nrrd" else check_meta(path)
    raw = itk.read(path, frame)
    return None, raw, Placement.of(raw.grid), stated


def _nifti(path: Path, header: Header, frame: int | None, kept: Array | None) -> itk.Raw:
    """Return the voxels of a NIfTI file, if not kept through ITK, or through nibabel where ITK would not."""
    if header.itk_reads:
        with suppress(itk.NotSquareError):  # nibabel reads it then, and `squared` sees to the axes
            return itk.read(path, frame, kept)
    many = frames.count(header.sizes, 1, "", path)
    about = frames.check(many, frame, path)
    array = voxels(path, frame or 0)
    z, y, x = array.shape
    return itk.Raw(array, Grid((x, y, z), (1.0, 1.0, 1.0)), {}, many, about)


def _grid(raw: itk.Raw, placed: Placement, fit: Squared, header: Header | None) -> Grid:
    """Return the grid to put the voxels on: ITK's own, to the last bit, where it says the same as the header."""
    if fit.resample:
        return fit.placement.grid()
    grid, moved_mm = fit.placement.grid(), fit.moved_mm
    if header is None and fit.placement is placed:
        grid = raw.grid
    elif header is not None and (apart_mm := Placement.of(raw.grid).distance_mm(placed)) <= _same_mm(placed):
        grid, moved_mm = raw.grid, apart_mm
    return grid if header is None else NiftiGrid(**asdict(grid), orientation=header.orientation, moved_mm=moved_mm)


def _same_mm(placed: Placement) -> float:
    return _SAME_VOXELS * min(placed.spacing_mm)
