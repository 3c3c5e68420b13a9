"""Validation of a series by its headers: a passport of findings, each with a verdict and the remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from voxtrace.geometry import Geometry, Grid
from voxtrace.io.dicom.equal_images import differing
from voxtrace.io.dicom.rescale import is_inverted
from voxtrace.io.dicom.slices import Slice
from voxtrace.io.dicom.stack import SliceStack, stack_slices
from voxtrace.io.dicom.value_checks import no_values
from voxtrace.io.raw_affine import LARGEST_MM, SMALLEST_MM
from voxtrace.passport import Finding, Passport

_LISTED = 6  # positions named in a sentence
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_TOWARDS = {"L": "left", "R": "right", "P": "back", "A": "front", "S": "head", "I": "feet"}
_NO_SCANS = {  # SOP class UIDs begin so
    "1.2.840.10008.5.1.4.1.1.66": "a segmentation, not a scan",
    "1.2.840.10008.5.1.4.1.1.481.2": "a dose distribution (RTDOSE), not a scan",
}
_GREY = ("", "MONOCHROME1", "MONOCHROME2")
_FARTHEST_MM = 1e5


def validate(slices: Sequence[Slice], *, aside: bool = False) -> Passport:
    """Return the findings in the headers of a series; ``aside`` when a larger one shares its UID."""
    reason = next(chain(_no_scan(slices, aside=aside), no_values(slices)), None)
    if reason is not None:
        return Passport((reason,))
    stack = stack_slices(slices)
    if stack is None:
        return Passport((_same_position(slices),))
    return Passport(tuple(_of_stack(stack)))


def _refused(what: str, found: str, remedy: str) -> Finding:
    return Finding(what, "refused", found, remedy)


def _no_scan(slices: Sequence[Slice], *, aside: bool) -> Iterator[Finding]:
    """Yield the reasons why images are no stack."""
    if slices[0].is_unreadable:
        yield _faulty(slices)
        return
    yield from _no_intensities(slices)
    first = slices[0]
    placed = all(s.is_placed for s in slices)
    if any(s.is_mosaic for s in slices):
        yield _refused(
            "series",
            f"Siemens mosaics: each of {_images(slices)} is a whole volume, tiled",
            "convert the series with dcm2niix, or export it as enhanced multi-frame",
        )
    if first.kind.startswith(_SECONDARY_CAPTURE) and not placed:
        yield _refused("series", "secondary captures (screenshots) without position", "choose the scan itself")
    if "LOCALIZER" in first.image_type:
        yield _refused("series", f"a localizer of {_images(slices)}", "choose a series that was planned on it")
    if aside:
        yield _refused("series", f"{_images(slices)} beside a larger stack", "choose the stack of the same series")
    if len(slices) == 1:
        yield _refused("series", "a single image", "choose a series of at least two slices, or copy the whole series")
    yield from _no_place(slices, placed=placed)
    if any(s.fault for s in slices):
        yield _faulty([s for s in slices if s.fault])


def _faulty(slices: Sequence[Slice]) -> Finding:
    many = f" and {len(slices) - 1} more" if len(slices) > 1 else ""
    return _refused("files", f"{slices[0].path.name}{many}: {slices[0].fault}", "copy or export the series again")


def _no_intensities(slices: Sequence[Slice]) -> Iterator[Finding]:
    """Yield the reasons why pixels are not intensities."""
    kind = next((words for uid, words in _NO_SCANS.items() if slices[0].kind.startswith(uid)), "")
    if kind:
        yield _refused("series", kind, "choose the series that it was drawn on")
    if any(s.samples > 1 or s.photometric not in _GREY for s in slices):
        yield _refused(
            "series",
            "colour images" + (" (PALETTE COLOR)" if slices[0].photometric.startswith("PALETTE") else ""),
            "choose a series with one value a pixel, as CT and MR have",
        )


def _no_place(slices: Sequence[Slice], *, placed: bool) -> Iterator[Finding]:
    """Yield the reasons why a stack would lie nowhere, or at a size that no scan has."""
    first = slices[0]
    if not placed:
        yield _refused(
            "series",
            "images without position, orientation or pixel spacing",
            "export CT or MR slices (also as enhanced multi-frame)",
        )
        return
    sides = first.pixel_spacing_mm
    if not all(SMALLEST_MM <= side <= LARGEST_MM for side in sides):
        shown = "×".join(f"{side:.4g}" for side in sides)
        yield _refused(
            "spacing",
            f"pixels of {shown} mm (PixelSpacing); expected {SMALLEST_MM:g} to {LARGEST_MM:g} mm",
            "export the series with its pixel spacing",
        )
    if not all(s.is_square for s in slices):
        yield _refused("axes", "rows and columns that are not at right angles", "correct the DICOM headers")
    if max(abs(v) for s in slices for v in s.position_mm) > _FARTHEST_MM:
        yield _refused("position", f"images more than {_FARTHEST_MM / 1000:g} m away", "correct the DICOM headers")


def _same_position(slices: Sequence[Slice]) -> Finding:
    return _refused(
        "duplicates",
        f"{_images(slices)} that are all at the same position",
        "choose a series of slices at several positions",
    )


def _of_stack(stack: SliceStack) -> Iterator[Finding]:
    yield from _orientation(stack.first)
    yield from _tilt(stack)
    yield _spacing(stack)
    yield from _missing(stack)
    yield from _duplicates(stack)
    yield from _intensities([s for images in stack.positions for s in images])


def _orientation(first: Slice) -> Iterator[Finding]:
    grid = Grid((2, 2, 2), (1.0, 1.0, 1.0), direction=tuple(float(v) for v in first.axes.ravel()))
    codes = grid.axis_codes
    plane = {"S": "axial", "I": "axial", "A": "coronal", "P": "coronal"}.get(codes[2], "sagittal")
    across_to, down_to, stack_to = (_TOWARDS[letter] for letter in codes)
    yield Finding(
        "orientation", "fine", f"{plane}: across to the {across_to}, down to the {down_to}, stacked to the {stack_to}"
    )
    yield Finding("units", "fine", "mm")
    yield Finding("side", "fine", "left and right by the patient's axes in the headers")
    oblique_deg = Geometry.from_grid(grid).obliquity_deg
    if oblique_deg > 0.1:
        yield Finding("obliquity", "fine", f"{oblique_deg:.1f}° off the body's axes")


def _tilt(stack: SliceStack) -> Iterator[Finding]:
    if not stack.is_straight:
        yield _refused(
            "tilt",
            f"slices off a straight line by up to {stack.off_line_pixels:.1f} pixels",
            "choose a series whose slices lie behind each other",
        )
    elif stack.is_tilted:
        yield Finding("tilt", "corrected", f"{stack.tilt_deg:.1f}°", "slices were shifted back in plane")
    else:
        yield Finding("tilt", "fine", "none")


def _spacing(stack: SliceStack) -> Finding:
    gaps = np.diff(stack.depths_mm)
    if stack.is_regular:
        if not SMALLEST_MM <= stack.step_mm <= LARGEST_MM:
            found = f"slices {stack.step_mm:.4g} mm apart; expected {SMALLEST_MM:g} to {LARGEST_MM:g} mm"
            return _refused("spacing", found, "correct the positions in the DICOM headers")
        rounded = ", by positions that are rounded to 0.1 mm" if stack.is_rounded else ""
        return Finding("spacing", "fine", f"slices {stack.step_mm:.4g} mm apart{rounded}")
    found = f"slices {gaps.min():.4g} to {gaps.max():.4g} mm apart (median {np.median(gaps):.4g} mm)"
    if stack.has_wide_gaps:
        return _refused("spacing", found, "copy the whole series, or choose one without gaps")
    return Finding("spacing", "corrected", found, f"resampled linearly to {stack.step_mm:.4g} mm")


def _missing(stack: SliceStack) -> Iterator[Finding]:
    runs = stack.missing_runs
    if not stack.is_regular:
        return
    if not runs:
        yield Finding("missing slices", "fine", "none")
        return
    count = sum(length for _, length in runs)
    # positions in mm help to find the slices in the source system
    lacking = [begin + i for begin, length in runs for i in range(length)]
    where = f"{count} of {stack.planes}, at {_positions(stack, lacking)}"
    if max(length for _, length in runs) > 1:
        longest = max(length for _, length in runs)
        yield _refused("missing slices", f"{where}, {longest} in a row", "copy the whole series")
    else:
        yield Finding("missing slices", "corrected", where, "each filled in between its neighbours")


def _positions(stack: SliceStack, planes: Sequence[int]) -> str:
    """Return the positions of planes along the world axis nearest to the normal: ``S 12.5, S 17.5 mm``."""
    normal = stack.first.normal
    axis = int(np.argmax(np.abs(normal)))
    line = (np.asarray(stack.positions[-1][0].position_mm) - stack.first.position_mm) / stack.depths_mm[-1]
    at = [float(stack.first.position_mm[axis] + line[axis] * stack.step_mm * p) for p in planes]
    shown = ", ".join(f"{'LPS'[axis]} {v:.4g}" for v in at[:_LISTED])
    return f"{shown}{' …' if len(at) > _LISTED else ''} mm"


def _duplicates(stack: SliceStack) -> Iterator[Finding]:
    if not stack.duplicates:
        yield Finding("duplicates", "fine", "none")
        return
    # headers cannot tell, so these images alone are decoded
    pair = differing(stack)
    if pair is not None:
        yield _refused(
            "duplicates",
            f"{_at(stack, pair[0])} different images at the same position that no attribute distinguishes "
            f"({', '.join(sorted({one.path.name for one in pair}))})",
            "keep a single time point or reconstruction in the folder",
        )
        return
    yield Finding(
        "duplicates",
        "corrected",
        f"{stack.duplicates} image(s) at the position of another one, which no attribute distinguishes",
        "left out, since they are equal",
    )


def _at(stack: SliceStack, one: Slice) -> int:
    """Return how many images are at the position of one."""
    return next(len(images) for images in stack.positions if one in images)


def _intensities(slices: Sequence[Slice]) -> Iterator[Finding]:
    rescales = {(s.storage.slope, s.storage.intercept) for s in slices}
    if len(rescales) > 1:
        yield Finding("intensities", "fine", f"{len(rescales)} different rescales, each image by its own")
    else:
        slope, intercept = rescales.pop()
        sign = "−" if intercept < 0 else "+"
        rescaled = f"stored numbers × {slope:g} {sign} {abs(intercept):g}"
        yield Finding("intensities", "fine", "as stored" if (slope, intercept) == (1.0, 0.0) else rescaled)
    if any(is_inverted(s) for s in slices):
        yield Finding("intensities", "corrected", "stored with dark for much (MONOCHROME1)", "inverted: bright is much")


def _images(slices: Sequence[Slice]) -> str:
    return f"{len(slices)} image{'s' if len(slices) != 1 else ''}"
