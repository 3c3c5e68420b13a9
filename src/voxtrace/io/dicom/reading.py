"""A path or a series -> one stored array on its grid, with what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxtrace.errors import ReadError
from voxtrace.io.dicom.grid import DicomGrid
from voxtrace.io.dicom.headers import slices_of
from voxtrace.io.dicom.series import Series, find_series, without_words
from voxtrace.io.dicom.stack import stack_slices
from voxtrace.io.dicom.voxels import voxels_of
from voxtrace.passport import MADE_UP, Finding, Passport
from voxtrace.volume import Array


@dataclass(frozen=True, eq=False)
class LoadedSeries:
    """The voxels (Z, Y, X) of one series as stacked, their grid, what to call them, and what was found."""

    array: Array
    grid: DicomGrid
    name: str
    modality: str
    passport: Passport = field(default_factory=Passport)


def load(path: Path, series: str = "") -> LoadedSeries:
    """Return one series as a stack.

    ``path`` is a folder in which one series can be opened, or any file of the wanted one, whose neighbours in its
    folder are looked through. ``series`` chooses among several, by name or by series number. Whole numbers stay whole.

    Raises
    ------
    ReadError
        When there is no series that can be opened, or more than one.
    """
    found = find_series(path) if path.is_dir() else _of_file(path)
    if not found:
        empty = not any(path.iterdir())
        raise ReadError(
            f"{path} {'is an empty folder' if empty else 'holds no DICOM images'}; "
            "expected a folder with one DICOM series, or a NIfTI, NRRD or MetaImage file."
        )
    if series:
        return load_series(named(found, series, path))
    wanted = _only(found, path)
    loaded = load_series(replace(wanted, name=path.resolve().name) if path.is_dir() else wanted)
    # a passport goes into results, where the words of other series have no business
    others = without_words(_others(found, wanted), [s for s in found if s.uid != wanted.uid])
    return replace(loaded, passport=others + loaded.passport)


def load_series(series: Series) -> LoadedSeries:
    """Return a series as a stack: in order, upright, evenly spaced, in the scanner's unit.

    Raises
    ------
    ReadError
        When a finding of its passport is refused, its pixels cannot be decoded, or two images at the same position
        differ.
    """
    refused = next((f for f in series.passport.findings if f.verdict == "refused"), None)
    stack = stack_slices(series.slices) if refused is None else None
    if refused is not None or stack is None:
        said = refused.sentence if refused is not None else "all images are at the same position"
        raise ReadError(f"{series.name} ({series.title}) cannot be opened: {said}.")
    voxels = voxels_of(stack, series.name)
    known = [f for f in series.passport.findings if (f.what, f.verdict) != ("duplicates", "corrected")]
    made_up = (MADE_UP,) if series.first.made_up else ()
    passport = Passport((*known, *voxels.findings, *made_up))
    return LoadedSeries(voxels.array, voxels.grid, series.name, series.modality, passport)


def _of_file(path: Path) -> tuple[Series, ...]:
    """Return the series that a file has images of: one, or several of a multi-frame file."""
    if not slices_of(path):
        raise ReadError(f"{path} holds no DICOM image that can be read; copy or export the file again.")
    return tuple(s for s in find_series(path.parent) if any(slice_.path == path for slice_ in s.slices))


def _only(found: Sequence[Series], path: Path) -> Series:
    """Return the one series that can be opened; a single refused one is returned, so that its own reason is raised."""
    usable = [s for s in found if s.usable]
    if len(usable) == 1 or len(found) == 1:
        return (usable or found)[0]
    several = f"{path} holds {len(found)} DICOM series (of {', '.join(str(s.images) for s in found)} images)"
    if not usable:
        reasons = "; ".join(f"{s.title}: {_reason(s)}" for s in found)
        raise ReadError(f"{several}, none to be opened: {reasons}.")
    listed = "; ".join(f"{s.name}: {s.title}" for s in usable)
    how = (
        "Point at any one file of the series that is wanted, or name it (--series; `voxtrace inspect` lists them)"
        if path.is_dir()
        else "Choose one in the window, or by voxtrace.io.dicom.load(path, series=NAME)"
    )
    raise ReadError(f"{several}; expected one. {how}: {listed}.")


def named(found: Sequence[Series], wanted: str, path: Path) -> Series:
    """Return the series that is called so, by its name, its series number or its description.

    Raises
    ------
    ReadError
        When there is none, or several are called so.
    """
    by_name = [s for s in found if s.name == wanted]
    chosen = by_name or [s for s in found if s.number == wanted] or [s for s in found if s.description == wanted]
    if len(chosen) == 1:
        return chosen[0]
    listed = "; ".join(f"{s.name}: {s.title}" for s in found)
    several = "several" if chosen else "no"
    raise ReadError(f"{path} holds {several} DICOM series called {wanted}; choose by name among {listed}.")


def _others(found: Sequence[Series], wanted: Series) -> Passport:
    """Return what was left out; a note where images of the opened series itself were left out."""
    left = [s for s in found if s is not wanted]
    if not left:
        return Passport()
    reasons = "; ".join(f"{s.title}: {_reason(s)}" for s in left)
    found_out = f"{len(left)} that cannot be opened: {reasons}"
    if any(s.uid == wanted.uid and "LOCALIZER" not in s.first.image_type for s in left):
        return Passport((Finding("series", "corrected", found_out, "left out, though part of the same series"),))
    return Passport((Finding("series", "fine", f"left out {found_out}"),))


def _reason(series: Series) -> str:
    return next((f.found for f in series.passport.findings if f.verdict == "refused"), "can be opened")
