"""SimpleITK: NRRD and MetaImage files -> arrays (Z, Y, X) of the stored grid, and images <-> grids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.timepoints import check_timepoint, count_timepoints
from voxtrace.passport import Finding
from voxtrace.volume import Array, Grid

_WIDENED = {"b1": np.uint8, "f2": np.float32}  # number types that ITK and NIfTI do not have
_PIXEL_KIND = "NRRD_kinds[pixel]"


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


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """What ITK read: voxels (Z, Y, X), grid, the file's text entries, how many time points it has, and findings."""

    array: Array
    grid: Grid
    keys: Mapping[str, str]
    timepoints: int = 1
    findings: tuple[Finding, ...] = ()


def read_with_itk(path: Path, frame: int | None = None) -> DecodedImage:
    """Return one time point of a file as ITK reads it; the axes of its grid may be at any angle.

    Raises
    ------
    ReadError
        When it is not a scalar image of three dimensions (four with time), or ITK cannot parse it.
    """
    sitk = simpleitk()
    with quiet(), _one_sentence(path):
        reader = open_reader(path)
        count = _count(reader, path)
        findings = check_timepoint(count, frame, path)
        image = _extract(reader, frame or 0)
        array = sitk.GetArrayFromImage(image)
    keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    return DecodedImage(array, grid_of(image), keys, count, findings)


def count_with_itk(path: Path) -> int:
    """Return how many time points a file holds, from its header."""
    with quiet(), _one_sentence(path):
        return _count(open_reader(path), path)


def text_entries(path: Path) -> dict[str, str]:
    """Return the text entries in the header of a file."""
    with quiet():
        reader = open_reader(path)
    return {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}


def open_reader(path: Path) -> Any:
    """Return a SimpleITK reader that has read the header of a file."""
    reader = simpleitk().ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def grid_of(image: Any) -> Grid:
    """Return where the voxels of a three-dimensional SimpleITK image lie."""
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def image_of(array: Array, grid: Grid) -> Any:
    """Return a SimpleITK image of a stored array (Z, Y, X) on its grid."""
    image = simpleitk().GetImageFromArray(np.ascontiguousarray(widened(array)))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    return image


def widened(array: Array) -> Array:
    """Return the array in a number type that files have: booleans as uint8, float16 as float32."""
    return array.astype(_WIDENED.get(array.dtype.str[1:], array.dtype), copy=False)


def last_line(error: Exception) -> str:
    """Return the last line of what ITK says, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__


def _count(reader: Any, path: Path) -> int:
    kind = reader.GetMetaData(_PIXEL_KIND) if reader.HasMetaDataKey(_PIXEL_KIND) else ""
    return count_timepoints(reader.GetSize(), reader.GetNumberOfComponents(), kind, path)


def _extract(reader: Any, timepoint: int) -> Any:
    """Return one time point as a three-dimensional image.

    The reader extracts that one alone, so that formats which allow it never hold the others in memory.
    """
    size = list(reader.GetSize())
    if len(size) > 3:
        reader.SetExtractSize([*size[:3], *([0] * (len(size) - 3))])
        reader.SetExtractIndex([0, 0, 0, timepoint, *([0] * (len(size) - 4))])
    image = reader.Execute()
    # 3D Slicer stores a sequence as components of each voxel
    if image.GetNumberOfComponentsPerPixel() > 1:
        image = simpleitk().VectorIndexSelectionCast(image, timepoint)
    return image


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Turn ITK's errors into one sentence."""
    try:
        yield
    except RuntimeError as error:
        raise ReadError(_reason(path, error)) from error


def _reason(path: Path, error: RuntimeError) -> str:
    text = str(error)
    if "change spacing" in text or "_spacings" in text:
        return f"{path} has a voxel size of zero; expected one in mm along each axis. Correct its header."
    if "determine ImageIO" in text:
        return f"{path} is not a volume, though its name says so; expected NIfTI, NRRD or MetaImage."
    return f"{path} cannot be read: {last_line(error)}; copy or export the file again."
