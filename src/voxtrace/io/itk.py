"""One file <-> one stored array on its grid, through SimpleITK.

Arrays here are as the file has them, (Z, Y, X) of the *stored* grid; :mod:`voxtrace.io` turns them into canonical
orientation and back.
"""

from __future__ import annotations

import errno
import gzip
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError, ReadError
from voxtrace.io.intact import check_intact
from voxtrace.io.nifti import NiftiGrid, patch, read_orientation
from voxtrace.io.suffixes import suffix_of
from voxtrace.volume import Array, Grid

_NIFTI = (".nii", ".nii.gz")
_FULL_BYTES = 1 << 20  # with less than this left, an incomplete file means a full disk
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


def load(path: Path) -> tuple[Array, Grid, dict[str, str]]:
    """Return a file's voxels (Z, Y, X) as stored, their grid, and the file's text entries.

    Raises
    ------
    ReadError
        When the file is damaged, is not a scalar three-dimensional image, or ITK cannot make sense of it.
    """
    sitk = simpleitk()
    check_intact(path)
    with quiet():
        try:
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            _check_kind(path, reader)
            image = reader.Execute()
        except RuntimeError as error:
            raise ReadError(_reason(path, error)) from error
    while image.GetDimension() > 3:
        image = image[..., 0]
    grid = grid_of(image)
    if suffix_of(path) in _NIFTI:
        grid = NiftiGrid(**asdict(grid), orientation=read_orientation(path))
    return sitk.GetArrayFromImage(image), grid, {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}


def save(array: Array, grid: Grid, path: Path, *, keys: Mapping[str, str], extension: str = "") -> None:
    """Write a stored array (Z, Y, X) onto its grid; the file appears whole or not at all.

    ``keys`` are text entries for NRRD and MetaImage, ``extension`` is the text of a NIfTI header extension.

    Raises
    ------
    OutputError
        When the system or ITK refuses to write.
    """
    image = image_of(array, grid)
    for key, value in keys.items():
        image.SetMetaData(key, value)
    suffix = suffix_of(path)
    if suffix == ".mhd":
        _save_pair(image, path)
        return
    with atomic_file(path) as temporary:
        if suffix in _NIFTI:
            _save_nifti(image, grid, temporary, extension)
        else:
            _write(image, temporary, compress=True)


def grid_of(image: Any) -> Grid:
    """Return where the voxels of a three-dimensional SimpleITK image lie."""
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def image_of(array: Array, grid: Grid) -> Any:
    """Return a SimpleITK image of a stored array (Z, Y, X) on its grid."""
    sitk = simpleitk()
    array = array.astype(_WIDENED.get(array.dtype.str[1:], array.dtype), copy=False)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image


def _save_nifti(image: Any, grid: Grid, path: Path, extension: str) -> None:
    """Let ITK write plain NIfTI, then copy it with the header's orientation and extension put right."""
    plain = path.with_name(f"{path.name}.itk.nii")
    try:
        _write(image, plain, compress=False)
        with plain.open("rb") as source, _opened(path) as target:
            target.write(patch(source.read(352), grid, extension))
            shutil.copyfileobj(source, target, 1 << 20)
    finally:
        plain.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield a file to write NIfTI into, compressed if its name says so; equal voxels give equal bytes."""
    with path.open("wb") as plain:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", fileobj=plain, mtime=0, compresslevel=6) as packed:
                yield packed
        else:
            yield plain


def _save_pair(image: Any, path: Path) -> None:
    """Write header and voxels of ``.mhd``; the voxels take their name first, so no header ever points at nothing."""
    with atomic_file(path) as header, atomic_file(path.with_suffix(".zraw")) as voxels:
        beside = header.with_suffix(".zraw")  # the name ITK chooses
        try:
            _write(image, header, compress=True)
            beside.replace(voxels)
        finally:
            beside.unlink(missing_ok=True)
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


def _check_kind(path: Path, reader: Any) -> None:
    size = reader.GetSize()
    shown = "×".join(str(n) for n in size)
    if len(size) < 3:
        raise ReadError(f"{path} is a two-dimensional image ({shown}); expected a volume with three dimensions.")
    if any(n > 1 for n in size[3:]):
        axes = "×".join("XYZTUVW"[: len(size)])
        raise ReadError(
            f"{path} has {len(size)} dimensions ({axes} = {shown}); expected three. "
            "Split it, and give each part as a channel or a case of its own."
        )
    if reader.GetNumberOfComponents() != 1:
        raise ReadError(
            f"{path} has {reader.GetNumberOfComponents()} values in each voxel (colour, vectors or complex numbers); "
            "expected one. Export each as a file of its own."
        )


def _reason(path: Path, error: RuntimeError) -> str:
    text = str(error)
    if "orthonormal" in text:
        return (
            f"{path} has axes that are not at right angles to each other (a sheared grid); expected an orthogonal one. "
            "Resample the file onto an orthogonal grid first."
        )
    if "determine ImageIO" in text:
        return f"{path} is not a volume, though its name says so; expected NIfTI, NRRD or MetaImage."
    return f"{path} cannot be read: {_last_line(error)}; copy or export the file again."


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
