"""Where a NIfTI header says its voxels lie: by sform, by qform, or not at all.

The two may disagree, and then programs do too: nibabel and FSL take the sform whenever it has a code; ITK (so 3D Slicer
and ITK-SNAP) takes it when its code is 1 (scanner) or the qform has none, and the qform otherwise, because an sform of
another code leads to an atlas or another scan rather than to the scanner. VoxTrace does as ITK does, but uses what the
sform says in full: ITK takes the voxel size from ``pixdim``, and drops an sform with another one or with sheared axes.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.nifti.header import NiftiHeader, Orientation
from voxtrace.io.passport_checks import SIDES_KNOWN, SIDES_UNKNOWN
from voxtrace.io.raw_affine import LARGEST_MM, SMALLEST_MM, RawAffine
from voxtrace.passport import Finding
from voxtrace.volume import Array, Shape

_SCANNER = 1
_AGREE_VOXELS = 0.1
_SAME_SIZE = 0.01  # fraction
_LARGEST_NUMBER = float(np.finfo(np.float32).max)  # the squares of 64-bit numbers beyond overflow
_MM = {1: 1000.0, 2: 1.0, 3: 0.001}  # code of xyzt_units -> mm
_UNITS = {1: "metres", 3: "micrometres"}


def affine_of(header: NiftiHeader, path: Path) -> tuple[RawAffine, tuple[Finding, ...]]:
    """Return where the voxels of a NIfTI file lie, in mm, and what was found about transforms and units.

    Raises
    ------
    ReadError
        When no transform in the header can be used.
    """
    where = header.orientation
    x, y, z = (*header.sizes, 1, 1, 1)[:3]
    factor, units = _millimetres(where)
    qcode, scode = where.codes
    sform = _raw_affine((x, y, z), _sform(where), factor) if scode > 0 else None
    qform = _raw_affine((x, y, z), _qform(where, (x, y, z)), factor) if qcode > 0 else None
    if scode <= 0 and qcode <= 0:
        placed = _raw_affine((x, y, z), _uncoded(where, (x, y, z)), factor)
        found, side = _UNCODED, SIDES_UNKNOWN
    else:
        (placed, found), side = _chosen(sform, qform, where), SIDES_KNOWN
    if placed is None:
        sizes = "×".join(f"{v:g}" for v in where.pixdim[1:4])
        raise ReadError(
            f"{path} has voxels of {sizes} mm and no transform that can be used; expected positive, finite numbers. "
            "Correct pixdim, or the sform, in its header."
        )
    return placed, (found, side, *_against_pixdim(placed, where, factor), units)


_UNCODED = Finding(
    "transforms",
    "corrected",
    "neither sform nor qform is coded, so the position and the sides of the patient are unknown",
    "read as ITK and 3D Slicer do, x to the left, y to the back, z to the head (FSL and nibabel take y to the front); "
    "check the sides against another image",
)


def _chosen(sform: RawAffine | None, qform: RawAffine | None, where: Orientation) -> tuple[RawAffine | None, Finding]:
    """Return the affine to use among those with a code, and what to say of it."""
    qcode, scode = where.codes
    if sform is None or qform is None:
        used, other = ("sform", "qform") if sform is not None else ("qform", "sform")
        if min(where.codes) > 0:
            broken = f"the {other} (code {qcode if other == 'qform' else scode}) is not a usable transform"
            return sform or qform, Finding("transforms", "corrected", broken, f"the {used} was used")
        return sform or qform, Finding("transforms", "fine", f"{used} only")
    # another code places the volume in an atlas or another scan, not in the scanner
    first = scode == _SCANNER
    placed = sform if first else qform
    apart_mm = sform.distance_mm(qform)
    if apart_mm <= _AGREE_VOXELS * min(placed.spacing_mm):
        return placed, Finding("transforms", "fine", "sform and qform agree")
    found = f"sform (code {scode}) and qform (code {qcode}) place a corner {apart_mm:.3g} mm apart"
    remedy = "the sform was used" if first else "the qform was used, as ITK and 3D Slicer do; nibabel and FSL use sform"
    return placed, Finding("transforms", "corrected", found, remedy)


def _against_pixdim(placed: RawAffine, where: Orientation, factor: float) -> tuple[Finding, ...]:
    """Return a finding where ``pixdim`` has another voxel size than the transform in use, as some programs read it."""
    pixdim = np.multiply(where.pixdim[1:4], factor)
    # the voxel size along an axis of one voxel moves no other voxel
    several = np.asarray(placed.size) > 1
    if np.all(np.abs(pixdim - placed.spacing_mm)[several] <= _SAME_SIZE * np.asarray(placed.spacing_mm)[several]):
        return ()
    stated, used = ("×".join(f"{v:.4g}" for v in sizes) for sizes in (pixdim, placed.spacing_mm))
    return (Finding("spacing", "corrected", f"pixdim says {stated} mm", f"the sform's {used} mm was used"),)


def _millimetres(where: Orientation) -> tuple[float, Finding]:
    """Return how many mm the header's unit is, and what to say of it."""
    code = where.units & 7
    if code not in _MM:
        return 1.0, Finding("units", "fine", "the header names no unit; taken as mm")
    if code not in _UNITS:
        return 1.0, Finding("units", "fine", "mm")
    steps = [abs(v) for v in where.pixdim[1:4] if v and math.isfinite(v)]
    # some programs write the code for metres with numbers in mm
    if _believable(steps) and not _believable([v * _MM[code] for v in steps]):
        sizes = "×".join(f"{v * _MM[code]:g}" for v in steps)
        found = f"the header says {_UNITS[code]}, which would make voxels of {sizes} mm"
        return 1.0, Finding("units", "corrected", found, "its numbers were taken as mm")
    return _MM[code], Finding("units", "corrected", f"the header measures in {_UNITS[code]}", "converted to mm")


def _believable(steps_mm: list[float]) -> bool:
    return all(SMALLEST_MM <= v <= LARGEST_MM for v in steps_mm)


def _raw_affine(size: Shape, matrix: Array | None, factor: float) -> RawAffine | None:
    """Return the affine of a NIfTI matrix (3×4, voxel to R, A, S); None when it has no inverse."""
    if matrix is None or not np.all(np.abs(matrix) <= _LARGEST_NUMBER):  # NaN fails, too
        return None
    lps = np.diag([-1.0, -1.0, 1.0]) @ matrix * factor
    lengths = np.linalg.norm(lps[:, :3], axis=0)
    if lengths.min() == 0 or abs(np.linalg.det(lps[:, :3] / lengths)) < 1e-3:
        return None
    return RawAffine(size, lps[:, :3], lps[:, 3])


def _sform(where: Orientation) -> Array:
    return np.reshape(where.numbers[6:], (3, 4)).astype(np.float64)


def _qform(where: Orientation, size: Shape) -> Array | None:
    """Return the matrix of quaternion, offset and voxel size, as nifti1.h defines it."""
    steps = _voxel_size(where, size)
    if steps is None:
        return None
    b, c, d = where.numbers[:3]
    # rounding may leave b, c, d slightly longer than 1; then a is 0, and all four are normalised
    rest = 1.0 - (b * b + c * c + d * d)
    a = math.sqrt(rest) if rest > 1e-7 else 0.0
    length = math.sqrt(a * a + b * b + c * c + d * d) or 1.0
    a, b, c, d = (v / length for v in (a, b, c, d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    # qfac: a quaternion holds no reflection, so its sign goes to the third axis
    steps[2] *= -1.0 if where.pixdim[0] < 0 else 1.0
    return np.column_stack([turn * steps, where.numbers[3:6]])


def _uncoded(where: Orientation, size: Shape) -> Array | None:
    steps = _voxel_size(where, size)
    return None if steps is None else np.diag([-steps[0], -steps[1], steps[2], 0.0])[:3]


def _voxel_size(where: Orientation, size: Shape) -> Array | None:
    """Return pixdim along x, y, z; 1 for an axis of one voxel without a size; None when it is not positive."""
    steps = np.array([1.0 if n == 1 and not v else v for n, v in zip(size, where.pixdim[1:4], strict=True)])
    return steps if np.all(np.isfinite(steps)) and steps.min() > 0 else None
