"""A file or folder that holds a volume -> voxels on a right-angled grid in mm, with what was found on the way.

Arrays here are as the file has them, (Z, Y, X) of the *stored* grid; :mod:`voxtrace.io.reading` turns them into
canonical orientation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from voxtrace.errors import ReadError
from voxtrace.io.described import open_described
from voxtrace.io.integrity import check_finite, check_not_empty, count_bad
from voxtrace.io.names import Colours, Names, from_xml
from voxtrace.io.nifti import NiftiGrid, affine_of, read_nifti
from voxtrace.io.nifti.voxels import rescaled
from voxtrace.io.orthogonalise import orthogonalise, resample
from voxtrace.io.passport_checks import check_intensities, check_origin, check_position, check_spacing
from voxtrace.io.raw_affine import RawAffine
from voxtrace.io.suffixes import NIFTI, suffix_of
from voxtrace.io.timepoints import check_timepoint, count_timepoints
from voxtrace.passport import Passport
from voxtrace.volume import Array, Grid


@dataclass(frozen=True, eq=False)
class StoredImage:
    """One volume of a file as stored.

    Attributes
    ----------
    array
        Values (Z, Y, X), rescaled as the header says.
    grid
        Where they lie, axes at right angles.
    passport
        What was looked at, with a verdict each.
    timepoints
        How many volumes the file holds.
    names, colours
        Of labels, as the file carries them.
    description
        Free text of the header.
    """

    array: Array
    grid: Grid
    passport: Passport
    timepoints: int
    names: Names
    colours: Colours
    description: str = ""


def read_stored_image(path: Path, frame: int | None = None, *, labels: bool = False) -> StoredImage:
    """Return one volume of a file or an OME-Zarr folder on a right-angled grid.

    Voxels of a sheared grid are resampled, ``labels`` by nearest neighbour.

    Raises
    ------
    ReadError
        When the file is damaged, is not a scalar volume, has several time points and ``frame`` picks none, or no
        transform in its header can be used.
    """
    check_not_empty(path)
    return _read_nifti(path, frame, labels) if suffix_of(path) in NIFTI else _read_described(path, frame, labels)


def _read_nifti(path: Path, frame: int | None, labels: bool) -> StoredImage:
    file = read_nifti(path, frame)
    header = file.header
    count = count_timepoints(header.sizes, header.components, "", path)
    chosen = check_timepoint(count, frame, path)
    if min(header.sizes[:3]) < 1:
        shown = "×".join(str(n) for n in header.sizes[:3])
        raise ReadError(f"{path} has {shown} voxels; expected at least one along each axis. Correct its header.")
    if file.voxels is None:
        raise ReadError(
            f"{path} holds numbers of a type that cannot be read (NIfTI datatype {header.datatype}); expected whole "
            "numbers of 8 to 64 bits, or floating-point numbers of 32 or 64. Convert the file, for example to float32."
        )
    affine, found = affine_of(header, path)
    spacing = check_spacing(affine, path)
    fit = orthogonalise(affine, path)
    values = rescaled(file.voxels, header)
    if values is not file.voxels:  # stored numbers were checked while they were read
        check_finite(count_bad(values), values.size, path)
    grid = fit.affine.grid()
    if not fit.resample:
        grid = NiftiGrid(**asdict(grid), orientation=header.orientation, moved_mm=fit.moved_mm)
    findings = (*check_position(grid), spacing, *found, fit.finding, *chosen, check_intensities(values, header.rescale))
    findings += check_origin(header.description)
    # the passport states the number type of the file, so it was made from values before resampling
    array = resample(values, affine, fit.affine, labels=labels) if fit.resample else values
    return StoredImage(array, grid, Passport(findings), count, *from_xml(file.extensions), header.description)


def _read_described(path: Path, frame: int | None, labels: bool) -> StoredImage:
    image = open_described(path, labels=labels)
    chosen = check_timepoint(image.timepoints, frame, path)
    affine = RawAffine.of(image.grid)
    spacing = check_spacing(affine, path)
    values = image.read(frame or 0)
    if values.dtype.kind == "f":
        check_finite(count_bad(values), values.size, path)
    fit = orthogonalise(affine, path)
    array = resample(values, affine, fit.affine, labels=labels) if fit.resample else values
    grid = image.grid if fit.affine is affine else fit.affine.grid()
    intensities = check_intensities(values, None, image.scaled)
    origin = check_origin(image.description)
    findings = (*check_position(grid), spacing, *image.findings, fit.finding, *chosen, intensities, *origin)
    passport = Passport(findings)
    return StoredImage(array, grid, passport, image.timepoints, image.names, image.colours, image.description)
