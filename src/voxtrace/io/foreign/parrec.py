"""Philips PAR/REC: a text header ``.PAR`` and voxels in ``.REC`` beside it; the header is parsed by nibabel.

nibabel places the volume by the angulation and the off-centre of the whole stack. The header also says where each image
lies; both must agree, so that a header that means something else is refused and not read askew. Values are those of
the console (``PV * RS + RI``), as in Philips DICOM.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.described_image import DescribedImage, ras_grid
from voxtrace.io.foreign.partner_files import partner_of
from voxtrace.io.integrity import check_regular, damaged
from voxtrace.io.passport_checks import SIDES_KNOWN
from voxtrace.passport import Finding
from voxtrace.volume import Array

_MOST_HEADER = 1 << 24
_MOST_IMAGES = 20_000
_APART_VOXELS = 0.1  # of the smallest voxel side, between what the header says of the stack and of an image
_FAULTS = (ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError, Warning)
_MM = Finding("units", "fine", "PAR measures in mm")
_PLACED = Finding("transforms", "fine", "angulation and off-centre of the stack, which agree with those of each image")


def open_parrec(path: Path) -> DescribedImage:
    """Return what a PAR header says.

    Raises
    ------
    ReadError
        When it is none, is incomplete, contradicts itself, or lacks its voxels.
    """
    header = _header(path)
    with _understood(path):
        shape = tuple(int(n) for n in header.get_data_shape())
        affine = np.asarray(header.get_affine(), np.float64)
        order = header.get_sorted_slice_indices()
        dtype = header.get_data_dtype()
        images = header.image_defs
        frames = ", ".join(header.get_volume_labels()) if len(shape) > 3 else ""
    grid = ras_grid(shape[:3], affine[:3, :3], affine[:3, 3], path)
    _check_images(images[order], affine, shape, min(grid.spacing_mm), path)
    voxels = _voxels(path)
    _check_length(voxels, images, shape, dtype, path)
    kept = images[order].reshape(-1, shape[2])  # a row for each volume

    def values(timepoint: int) -> Array:
        return _volume(voxels, kept[timepoint], shape, dtype)

    differ = (Finding("frames", "fine", f"volumes differ by {frames}"),) if frames else ()
    findings = (_PLACED, SIDES_KNOWN, _MM, *differ)
    return DescribedImage(grid, len(kept), values, "scaled to values of the console", findings)


def _voxels(path: Path) -> Path:
    """Return the file with the voxels."""
    voxels = partner_of(path)
    if voxels is None:
        raise ReadError(f"{path} lacks its voxels: no REC file of its name lies beside it; copy both files together.")
    check_regular(voxels)
    return voxels


def _header(path: Path) -> Any:
    """Return nibabel's header."""
    from nibabel import parrec

    parser: Any = parrec  # has types for some of its functions alone
    if path.stat().st_size > _MOST_HEADER:
        raise damaged(path, f"its header has more than {_MOST_HEADER} bytes")
    with _understood(path), path.open(encoding="utf-8", errors="replace") as file:
        general, images = parser.parse_PAR_header(file)
        if not 0 < len(images) <= _MOST_IMAGES or not 0 < general["max_slices"] <= len(images):
            raise ValueError(f"{len(images)} images")
        return parser.PARRECHeader(general, images, strict_sort=True)


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Turn any fault of nibabel's into one of ours."""
    from nibabel.parrec import PARRECError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (PARRECError, *_FAULTS) as error:
        said = " ".join(str(error).split()).rstrip(".")[:160]
        raise ReadError(
            f"{path} is no PAR header that can be read ({said}); expected a complete one of version 3 to 4.2. "
            "Export it again, or convert it with `dcm2niix FOLDER`."
        ) from error


def _check_images(images: Any, affine: Array, shape: tuple[int, ...], smallest_mm: float, path: Path) -> None:
    """Refuse a header that places an image elsewhere than the stack of which it is part."""
    middle = [(shape[0] - 1) / 2, (shape[1] - 1) / 2]
    across = np.asarray(images["image offcentre"], np.float64)  # to the back, to the head, to the left
    stated = np.column_stack([-across[:, 2], -across[:, 0], across[:, 1]])
    slices = np.arange(len(images)) % shape[2]
    places = np.column_stack([np.full(len(images), middle[0]), np.full(len(images), middle[1]), slices])
    expected = places @ affine[:3, :3].T + affine[:3, 3]
    apart_mm = float(np.linalg.norm(stated - expected, axis=1).max())
    if not apart_mm <= _APART_VOXELS * smallest_mm:  # NaN fails, too
        raise ReadError(
            f"{path} places an image {apart_mm:.3g} mm from where its stack has it, as when stacks are not parallel; "
            "expected one stack. Convert it with `dcm2niix FOLDER`."
        )


def _check_length(voxels: Path, images: Any, shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> None:
    """Refuse voxels that are too few or too many, and images that are numbered beyond them."""
    expected, found = len(images) * shape[0] * shape[1] * dtype.itemsize, voxels.stat().st_size
    if found != expected:
        raise damaged(path, f"{voxels.name} holds {found} bytes of voxels where its header promises {expected}")
    numbers = np.sort(images["index in REC file"])
    if not np.array_equal(numbers, np.arange(len(images))):
        raise damaged(path, "it does not number the images of its REC file from 0 without gaps")


def _volume(voxels: Path, images: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the values (Z, Y, X) of images, in this order, as float32."""
    found = np.empty((len(images), shape[1], shape[0]), np.float32)
    count = shape[0] * shape[1]
    with voxels.open("rb") as file:
        for z, image in enumerate(images):
            file.seek(int(image["index in REC file"]) * count * dtype.itemsize)
            plane = np.frombuffer(file.read(count * dtype.itemsize), dtype).reshape(shape[1], shape[0])
            found[z] = plane.astype(np.float64) * image["rescale slope"] + image["rescale intercept"]
    return found
