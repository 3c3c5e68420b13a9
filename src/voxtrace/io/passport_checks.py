"""What the passport says of every volume: which way it lies, how obliquely, how large its voxels are."""

from __future__ import annotations

from pathlib import Path

from voxtrace.errors import ReadError
from voxtrace.io.raw_affine import LARGEST_MM, SMALLEST_MM, RawAffine
from voxtrace.passport import MADE_UP, MADE_UP_DESCRIPTION, Finding
from voxtrace.volume import Array, Geometry, Grid

SIDES_KNOWN = Finding("side", "fine", "left and right by the header's transform")
SIDES_UNKNOWN = Finding(
    "side",
    "corrected",
    "the header does not tell left from right",
    "taken as ITK and 3D Slicer do; check the sides against another image",
)
_STRAIGHT_DEG = 0.05
_EVEN = 1.05  # largest over smallest voxel side, still called even


def check_spacing(affine: RawAffine, path: Path) -> Finding:
    """Return what to say of the voxel size.

    Raises
    ------
    ReadError
        When it cannot be that of a scan of a patient: below 0.01 or above 100 mm along an axis of several voxels.
    """
    sides = affine.spacing_mm
    shown = "×".join(f"{side:.4g}" for side in sides)
    if any(n > 1 and not SMALLEST_MM <= side <= LARGEST_MM for n, side in zip(affine.size, sides, strict=True)):
        raise ReadError(
            f"{path} has voxels of {shown} mm; expected {SMALLEST_MM:g} to {LARGEST_MM:g} mm. "
            "Correct the voxel size, or its unit, in the header."
        )
    uneven = max(sides) / min(sides) > _EVEN
    return Finding("spacing", "fine", f"{shown} mm" + (", longer along one axis than another" if uneven else ""))


def check_position(grid: Grid) -> tuple[Finding, Finding]:
    """Return which way the axes of a grid run, and how far they are from the body's."""
    angle_deg = Geometry.from_grid(grid).obliquity_deg
    oblique = f"oblique by {angle_deg:.1f}°" if angle_deg > _STRAIGHT_DEG else "none"
    return Finding("orientation", "fine", grid.axis_codes), Finding("obliquity", "fine", oblique)


def check_origin(description: str) -> tuple[Finding, ...]:
    """Return that a scan is made up, where the description in its header says so; nothing otherwise."""
    return (MADE_UP,) if description == MADE_UP_DESCRIPTION else ()


def check_intensities(array: Array, rescale: tuple[float, float] | None, scaled: str = "") -> Finding:
    """Return the number type of voxels (Z, Y, X), and how they were rescaled.

    ``rescale`` is the slope and intercept of a NIfTI header, or None; ``scaled`` says in words what else was done.
    """
    if rescale is None:
        return Finding("intensities", "fine", f"{array.dtype}, {scaled or 'as stored'}")
    slope, intercept = rescale
    return Finding("intensities", "fine", f"{array.dtype}, scaled by {slope:g} with intercept {intercept:g}")
