"""One file <-> one stored array on its grid, through SimpleITK.

Arrays here are as the file has them, (Z, Y, X) of the *stored* grid; :mod:`voxtrace.io` turns them into canonical
orientation and back.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError, ReadError
from voxtrace.io import frames
from voxtrace.io.intact import check_intact
from voxtrace.io.nifti import MOST_VOXELS, patch
from voxtrace.io.packed import as_bytes, created
from voxtrace.io.proof import Promise, prove
from voxtrace.io.suffixes import NIFTI, suffix_of
from voxtrace.passport import Finding
from voxtrace.volume import Array, Grid

_FULL_BYTES = 1 << 20  # with less than this left, an incomplete file means a full disk
_PIECE = 1 << 20
_WIDENED = {"b1": np.uint8, "f2": np.float32}  # number types that ITK does not have


def simpleitk() -> Any:
    """Return the module SimpleITK, imported on the first call; its functions carry no types."""
    import SimpleITK

    return SimpleITK


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ITK's warnings off standard error; what matters in them is checked here and raised as an error."""
    sitk = simpleitk()
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


class NotSquareError(ReadError):
    """A file whose axes are not at right angles, which ITK does not read."""


@dataclass(frozen=True, eq=False)
class Raw:
    """The voxels (Z, Y, X) that ITK read, its grid, the file's text entries, its frames, and what to say of them."""

    array: Array
    grid: Grid
    keys: Mapping[str, str]
    frames: int = 1
    findings: tuple[Finding, ...] = ()


def read(path: Path, frame: int | None = None, voxels: Array | None = None) -> Raw:
    """Return one frame of a file as ITK reads it; the axes of its grid may stand at any angle.

    ``voxels`` (Z, Y, X) are those of a file with one frame, where they were read before: only the header is read then.

    Raises
    ------
    ReadError
        When it is not a scalar image of three dimensions (four with time), or ITK cannot make sense of it.
    """
    sitk = simpleitk()
    with quiet(), _understood(path):
        reader = opened(path)
        many = _frames(reader, path)
        about = frames.check(many, frame, path)
        source = reader
        if voxels is None or reader.GetDimension() != 3 or min(reader.GetSpacing()) <= 0:
            source = frames.picked(reader, frame or 0)
            voxels = sitk.GetArrayFromImage(source)
    keys = {key: source.GetMetaData(key) for key in source.GetMetaDataKeys()}
    return Raw(voxels, grid_of(source), keys, many, about)


def count_frames(path: Path) -> int:
    """Return how many frames a file holds, from its header."""
    with quiet(), _understood(path):
        return _frames(opened(path), path)


def opened(path: Path) -> Any:
    """Return a SimpleITK reader that has read the header of a file."""
    reader = simpleitk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def _frames(reader: Any, path: Path) -> int:
    return frames.count(reader.GetSize(), reader.GetNumberOfComponents(), frames.pixel_kind(reader), path)


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Turn what ITK throws into one sentence."""
    try:
        yield
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise NotSquareError(f"{path} has axes that are not at right angles to each other.") from error
        raise ReadError(_reason(path, error)) from error


def save(
    array: Array, grid: Grid, path: Path, promise: Promise, *, keys: Mapping[str, str], extension: str = ""
) -> None:
    """Write a stored array (Z, Y, X) onto its grid; the file appears whole, proved by reading it back, or not at all.

    ``keys`` are text entries for NRRD and MetaImage, ``extension`` is the text of a NIfTI header extension.

    Raises
    ------
    OutputError
        When the system or ITK refuses to write, or the file does not keep the promise.
    """
    suffix, array = suffix_of(path), np.ascontiguousarray(_widened(array))
    if suffix in NIFTI:
        _check_size(grid)
        with atomic_file(path) as temporary:
            _save_nifti(array, grid, temporary, extension)
            prove(temporary, array, promise)
        return
    image = image_of(array, grid)
    for key, value in keys.items():
        image.SetMetaData(key, value)
    if suffix == ".mhd":
        _save_pair(image, path, promise)
        return
    with atomic_file(path) as temporary:
        _write(image, temporary, compress=True)
        prove(temporary, simpleitk().GetArrayViewFromImage(image), promise)


def grid_of(image: Any) -> Grid:
    """Return where the voxels of a three-dimensional SimpleITK image lie."""
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def image_of(array: Array, grid: Grid) -> Any:
    """Return a SimpleITK image of a stored array (Z, Y, X) on its grid."""
    image = simpleitk().GetImageFromArray(np.ascontiguousarray(_widened(array)))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image


def _widened(array: Array) -> Array:
    """Return the array in a number type that ITK has."""
    return array.astype(_WIDENED.get(array.dtype.str[1:], array.dtype), copy=False)


def _check_size(grid: Grid) -> None:
    if max(grid.size) > MOST_VOXELS:
        raise OutputError(
            f"the volume has {max(grid.size)} voxels along an axis; expected at most {MOST_VOXELS} in NIfTI. "
            "Choose a name ending in .nrrd."
        )


def _save_nifti(array: Array, grid: Grid, path: Path, extension: str) -> None:
    """Let ITK write one voxel for its header, then put size, orientation and extension right and all voxels behind.

    ITK would hold a copy of the volume, and write it to the disk unpacked.
    """
    plain = path.with_name(f"{path.name}.itk.nii")
    try:
        _write(image_of(array[:1, :1, :1], grid), plain, compress=False)
        start = patch(plain.read_bytes()[:352], grid, extension)
    finally:
        plain.unlink(missing_ok=True)
    with created(path) as target:
        target.write(start)
        voxels = as_bytes(array.astype(array.dtype.newbyteorder("<"), copy=False))
        for first in range(0, len(voxels), _PIECE):
            target.write(voxels[first : first + _PIECE])


def _save_pair(image: Any, path: Path, promise: Promise) -> None:
    """Write header and voxels of ``.mhd``; the voxels take their name first, so no header ever points at nothing."""
    with atomic_file(path) as header, atomic_file(path.with_suffix(".zraw")) as voxels:
        beside = header.with_suffix(".zraw")  # the name ITK chooses
        try:
            _write(image, header, compress=True)
            beside.replace(voxels)
        finally:
            beside.unlink(missing_ok=True)
        prove(header, simpleitk().GetArrayViewFromImage(image), promise, voxels)
        text = header.read_text(encoding="latin-1")
        header.write_text(text.replace(beside.name, path.with_suffix(".zraw").name), encoding="latin-1")


def _write(image: Any, path: Path, *, compress: bool) -> None:
    """Write with ITK and look at what it wrote: a full disk cuts files short without a word."""
    sitk = simpleitk()
    path.touch()  # the system's own words, should it refuse
    with quiet():
        try:
            sitk.WriteImage(image, str(path), useCompression=compress)
            check_intact(path)
        except (RuntimeError, ReadError) as error:
            if shutil.disk_usage(path.parent).free < _FULL_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise OutputError(
                f"{path.parent} took no complete file: {_last_line(error)}. Choose another folder or format."
            ) from error


def _reason(path: Path, error: RuntimeError) -> str:
    text = str(error)
    if "change spacing" in text or "_spacings" in text:
        return f"{path} has a voxel size of zero; expected one in mm along each axis. Correct its header."
    if "determine ImageIO" in text:
        return f"{path} is not a volume, though its name says so; expected NIfTI, NRRD or MetaImage."
    return f"{path} cannot be read: {_last_line(error)}; copy or export the file again."


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
