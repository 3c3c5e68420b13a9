"""One DICOM series -> one stored array on its grid.

Which files belong together, and in what order, is decided here from the headers: a series is what shares a series UID
and an orientation, its slices are sorted along their normal, and the distances between them must be equal. The voxels
are decoded by ITK from the sorted list, with the rescale to HU applied. Nothing about the patient is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.dicom.grid import DicomGrid, Source
from voxtrace.io.itk import grid_of, quiet, simpleitk
from voxtrace.passport import Passport
from voxtrace.volume import Array, Grid

if TYPE_CHECKING:
    from pydicom import Dataset

_SPACING_TOLERANCE = 0.01  # fraction of the distance between slices
_TILT_TOLERANCE_DEG = 0.5
_ORIENTATION_TOLERANCE = 1e-3
_TAGS = (
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "RescaleSlope",
    "RescaleIntercept",
)


@dataclass(frozen=True)
class Slice:
    """What the header of one DICOM image says about where its pixels lie.

    ``position_mm`` (3) and ``orientation`` (6: along a row, then down a column) are in DICOM's (L, P, S); both are
    empty when the header has none.
    """

    path: Path
    series: str
    number: str
    modality: str
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing_mm: tuple[float, ...]
    size: tuple[int, int]
    frames: int
    samples: int
    rescale: tuple[str, str]

    @property
    def normal(self) -> Array:
        """The unit vector along which the slices of its series follow each other."""
        return np.cross(self.orientation[:3], self.orientation[3:])


@dataclass(frozen=True)
class Series:
    """The slices of one series in the order in which they were found, and what to call it."""

    slices: tuple[Slice, ...]
    name: str


@dataclass(frozen=True, eq=False)
class Loaded:
    """The voxels (Z, Y, X) of one series as stacked, their grid, what to call them, and what was found."""

    array: Array
    grid: DicomGrid
    name: str
    modality: str
    passport: Passport = field(default_factory=Passport)


def load(path: Path) -> Loaded:
    """Return one series as a stack.

    ``path`` is a folder that holds one series, or any file of the wanted one. Integer voxels stay integers.

    Raises
    ------
    ReadError
        When there is no series, more than one, or one that does not fill a regular grid.
    """
    series = _wanted(path)
    ordered = _ordered(series.slices, path)
    image = _decoded(ordered, path)
    grid = grid_of(image)
    _check_last(grid, ordered[-1], path)
    sources = tuple(Source(slice_.path) for slice_ in ordered)
    stack = DicomGrid(**asdict(grid), sources=sources)
    return Loaded(simpleitk().GetArrayFromImage(image), stack, series.name, ordered[0].modality)


def find_series(folder: Path) -> tuple[Series, ...]:
    """Return the series among the files of a folder (not its subfolders), ordered by series number."""
    groups: list[list[Slice]] = []
    for slice_ in filter(None, map(_slice, sorted(p for p in folder.iterdir() if p.is_file()))):
        home = next((group for group in groups if _belong_together(group[0], slice_)), None)
        if home is None:
            groups.append([slice_])
        else:
            home.append(slice_)
    groups.sort(key=lambda group: (len(group[0].number), group[0].number, group[0].series))
    name = folder.resolve().name
    if len(groups) == 1:
        return (Series(tuple(groups[0]), name),)
    return tuple(Series(tuple(group), f"{name}_{index}") for index, group in enumerate(groups, start=1))


def _wanted(path: Path) -> Series:
    if not path.is_dir():
        found = find_series(path.parent)
        wanted = next((s for s in found if any(slice_.path == path for slice_ in s.slices)), None)
        if wanted is None:
            raise ReadError(f"{path} holds no DICOM image that can be read; copy or export the file again.")
        return wanted
    found = find_series(path)
    if not found:
        empty = not any(path.iterdir())
        raise ReadError(
            f"{path} {'is an empty folder' if empty else 'holds no DICOM images'}; "
            "expected a folder with one DICOM series, or a NIfTI, NRRD or MetaImage file."
        )
    if len(found) > 1:
        counts = ", ".join(str(len(s.slices)) for s in found)
        raise ReadError(
            f"{path} holds {len(found)} DICOM series (of {counts} images); expected one. "
            "Point at any one file of the series that is wanted."
        )
    return found[0]


def _slice(path: Path) -> Slice | None:
    """Return what the header says, or None for a file that is not DICOM or holds no image."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    with warnings.catch_warnings():  # pydicom warns of values that break the standard; what matters is checked here
        warnings.simplefilter("ignore")
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
            return None if header.get("Rows") is None else _from_header(path, header)
        except InvalidDicomError:
            return None
        except (ValueError, TypeError, EOFError, AttributeError, KeyError) as error:
            raise ReadError(
                f"{path} has a DICOM header that cannot be read ({error}); export the file again."
            ) from error


def _from_header(path: Path, header: Dataset) -> Slice:
    def numbers(tag: str, count: int) -> tuple[float, ...]:
        values: Any = header.get(tag) or ()
        return tuple(float(v) for v in values) if len(values) == count else ()

    return Slice(
        path=path,
        series=str(header.get("SeriesInstanceUID", "")),
        number=str(header.get("SeriesNumber") or ""),
        modality=str(header.get("Modality", "")),
        position_mm=numbers("ImagePositionPatient", 3),
        orientation=numbers("ImageOrientationPatient", 6),
        pixel_spacing_mm=numbers("PixelSpacing", 2),
        size=(int(header.Rows), int(header.Columns)),
        frames=int(header.get("NumberOfFrames") or 1),
        samples=int(header.get("SamplesPerPixel") or 1),
        rescale=(str(header.get("RescaleSlope", "")), str(header.get("RescaleIntercept", ""))),
    )


def _belong_together(one: Slice, other: Slice) -> bool:
    return (
        one.series == other.series
        and len(one.orientation) == len(other.orientation)
        and np.allclose(one.orientation, other.orientation, atol=_ORIENTATION_TOLERANCE)
    )


def _ordered(slices: Sequence[Slice], path: Path) -> list[Slice]:
    """Return the slices from the first to the last along their normal; refuse what is no regular stack."""
    _check_each(slices, path)
    normal = slices[0].normal
    ordered = sorted(slices, key=lambda s: float(np.dot(s.position_mm, normal)))
    positions = np.asarray([s.position_mm for s in ordered])
    gaps = np.diff(positions @ normal)
    _check_gaps(gaps, path)
    sideways = np.linalg.norm(positions[-1] - positions[0] - (gaps.sum() * normal))
    tilt_deg = float(np.degrees(np.arctan2(sideways, gaps.sum())))
    if tilt_deg > _TILT_TOLERANCE_DEG:
        raise ReadError(
            f"{path} was scanned with the gantry tilted by {tilt_deg:.1f}°, so its slices are sheared; "
            "expected slices stacked along their normal. Resample the series onto an orthogonal grid first."
        )
    return ordered


def _check_each(slices: Sequence[Slice], path: Path) -> None:
    first = slices[0]
    if any(s.frames > 1 for s in slices):
        raise ReadError(
            f"{path} is a multi-frame (enhanced) DICOM file; expected one image a file. Convert it to NIfTI first."
        )
    if any(s.samples != 1 for s in slices):
        raise ReadError(f"{path} holds colour images; expected one value a pixel, as CT and MR have.")
    if len(slices) < 2:
        raise ReadError(f"{path} holds a single DICOM image of its series; expected at least two slices.")
    if not all(s.position_mm and s.orientation and s.pixel_spacing_mm for s in slices):
        raise ReadError(
            f"{path} holds images without position, orientation or pixel spacing; expected CT or MR slices."
        )
    if any(s.size != first.size or s.pixel_spacing_mm != first.pixel_spacing_mm for s in slices):
        raise ReadError(
            f"{path} holds slices of different size or pixel spacing; expected one size. Keep one series in the folder."
        )
    row, column = np.asarray(first.orientation[:3]), np.asarray(first.orientation[3:])
    if not np.allclose([row @ row, column @ column, row @ column], [1.0, 1.0, 0.0], atol=_ORIENTATION_TOLERANCE):
        raise ReadError(f"{path} has rows and columns that are not at right angles; correct the DICOM headers.")


def _check_gaps(gaps_mm: Array, path: Path) -> None:
    """Refuse repeated, missing and unevenly spaced slices."""
    usual = float(np.median(gaps_mm))
    repeated = int(np.sum(gaps_mm < max(1e-3, _SPACING_TOLERANCE * usual)))
    if repeated:
        raise ReadError(
            f"{path} holds {repeated} slice(s) that lie where another one does; expected one image at each position. "
            "Keep a single time point or reconstruction in the folder."
        )
    if float(np.abs(gaps_mm / usual - 1.0).max()) <= _SPACING_TOLERANCE:
        return
    steps = gaps_mm / usual
    missing = int(np.sum(np.round(steps) - 1))
    if missing and float(np.abs(steps - np.round(steps)).max()) <= _SPACING_TOLERANCE * float(steps.max()):
        raise ReadError(
            f"{path} lacks {missing} of {len(gaps_mm) + 1 + missing} slices at {usual:g} mm; copy the whole series."
        )
    raise ReadError(
        f"{path} has slices {gaps_mm.min():g} to {gaps_mm.max():g} mm apart; expected equal distances within "
        f"{_SPACING_TOLERANCE:.0%}. Resample the series to an even spacing first."
    )


def _decoded(slices: Sequence[Slice], path: Path) -> Any:
    sitk = simpleitk()
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(s.path) for s in slices])
    if len({s.rescale for s in slices}) > 1:  # ITK takes the type of the first slice for all
        reader.SetOutputPixelType(sitk.sitkFloat32)
    with quiet():
        try:
            return reader.Execute()
        except RuntimeError as error:
            raise ReadError(
                f"the pixels of {path} cannot be decoded; copy or export the series again, uncompressed if you can."
            ) from error


def _check_last(grid: Grid, last: Slice, path: Path) -> None:
    """Refuse an image whose grid does not end where the last header says."""
    end = (grid.affine @ [grid.size[2] - 1, 0, 0, 1])[2::-1]
    error_mm = float(np.linalg.norm(end - last.position_mm))
    if error_mm > _SPACING_TOLERANCE * grid.spacing_mm[2] * grid.size[2]:
        raise ReadError(
            f"{path}: its last slice lies {error_mm:.2f} mm from where an even stack would have it; "
            "expected equal distances. Resample the series to an even spacing first."
        )
