"""A path or a series -> one stored array on its grid, with what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxtrace.errors import ReadError, VoxTraceError
from voxtrace.io.dicom.files import links_in
from voxtrace.io.dicom.grid import DicomGrid
from voxtrace.io.dicom.headers import slices_of
from voxtrace.io.dicom.opening import kind_of, words_of
from voxtrace.io.dicom.series import Series, find_series
from voxtrace.io.dicom.stack import stack_slices
from voxtrace.io.dicom.voxels import voxels_of
from voxtrace.io.suffixes import folder_name, is_dicomdir
from voxtrace.passport import MADE_UP, Finding, Passport
from voxtrace.volume import Array

_LISTED = 8  # names in a sentence


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
    if path.is_file() and is_dicomdir(path):
        path = path.resolve().parent
    found = find_series(path) if path.is_dir() else _of_file(path)
    if not found:
        raise ReadError(
            f"{path} {_without_images(path)}; "
            "expected a folder with one DICOM series, or a NIfTI, NRRD or MetaImage file."
        )
    if series:
        return load_series(named(found, series, path))
    wanted = _only(found, path)
    loaded = load_series(replace(wanted, name=folder_name(path)) if path.is_dir() else wanted)
    return replace(loaded, passport=_others(found, wanted) + loaded.passport)


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
    try:
        voxels = voxels_of(stack, series.name)
    except VoxTraceError:
        raise
    except Exception as error:
        raise ReadError(
            f"{series.name} ({series.title}) cannot be opened ({words_of(error)}); export it again."
        ) from error
    known = [f for f in series.passport.findings if (f.what, f.verdict) != ("duplicates", "corrected")]
    made_up = (MADE_UP,) if series.first.made_up else ()
    passport = Passport((*known, *voxels.findings, *made_up))
    return LoadedSeries(voxels.array, voxels.grid, series.name, series.modality, passport)


def _of_file(path: Path) -> tuple[Series, ...]:
    """Return the series that a file has images of: one, or several of a multi-frame file."""
    if not slices_of(path):
        kind = kind_of(path)
        if kind:
            raise ReadError(f"{path} is {in_words(kind)}, and holds no image; choose the series that it belongs to.")
        raise ReadError(f"{path} holds no DICOM image that can be read; copy or export the file again.")
    return tuple(s for s in find_series(path.parent) if any(slice_.path == path for slice_ in s.slices))


def in_words(kind: str) -> str:
    """Return the name of a kind of DICOM file as part of a sentence."""
    words = {"RT Structure Set": "contours (DICOM RTSTRUCT)", "RT Dose": "a dose distribution (DICOM RTDOSE)"}
    return words.get(kind, f"a DICOM file of the kind {kind}")


def _without_images(folder: Path) -> str:
    if not any(folder.iterdir()):
        return "is an empty folder"
    links = links_in(folder)
    followed = f" (links to folders are not followed: {', '.join(links[:_LISTED])})" if links else ""
    return f"holds no DICOM images{followed}"


def _only(found: Sequence[Series], path: Path) -> Series:
    """Return the one series that can be opened; a single refused one is returned, so that its own reason is raised."""
    usable = [s for s in found if s.usable]
    if len(usable) == 1 or len(found) == 1:
        return (usable or found)[0]
    several = f"{path} holds {len(found)} DICOM series {_sizes(found)}"
    if not usable:
        raise ReadError(f"{several}, none to be opened: {_own_uids(found) or _reasons(found)}.")
    how = (
        "Point at any one file of the series that is wanted, or name it (--series; `voxtrace inspect` lists them)"
        if path.is_dir()
        else "Choose one in the window, or by voxtrace.io.dicom.load(path, series=NAME)"
    )
    raise ReadError(f"{several}; expected one. {how}: {_listed([f'{s.name}: {s.title}' for s in usable])}.")


def _sizes(found: Sequence[Series]) -> str:
    return f"(of {_listed([str(s.images) for s in found], ', ')} images)"


def _listed(words: Sequence[str], apart: str = "; ") -> str:
    more = f"{apart}… and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return apart.join(words[:_LISTED]) + more


def _reasons(found: Sequence[Series], *, described: bool = True) -> str:
    """Return why series cannot be opened, each reason once with the series it holds for, with their descriptions."""
    by_reason: dict[str, list[str]] = {}
    for one in found:
        by_reason.setdefault(_reason(one), []).append(one.title if described else one.kind)
    return _listed(
        [f"{titles[0]}{f' and {len(titles) - 1} more' if titles[1:] else ''}: {r}" for r, titles in by_reason.items()]
    )


def _own_uids(found: Sequence[Series]) -> str:
    """Return that each image has a series UID of its own, where single images look like one series; else ``""``."""
    if len(found) < _LISTED or any(s.images != 1 for s in found) or len({s.uid for s in found}) < len(found):
        return ""
    if len({(s.number, s.modality, s.rows, s.columns, s.first.frame_of_reference) for s in found}) > 1:
        return ""
    return (
        "each image has a series UID (Series Instance UID) of its own, so nothing says that they belong together; "
        "export the series again, or give all its images the same UID"
    )


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
    listed = _listed([f"{s.name}: {s.title}" for s in found])
    several = "several" if chosen else "no"
    raise ReadError(f"{path} holds {several} DICOM series called {wanted}; choose by name among {listed}.")


def _others(found: Sequence[Series], wanted: Series) -> Passport:
    """Return what was left out; a note where images of the opened series itself were left out."""
    left = [s for s in found if s is not wanted]
    if not left:
        return Passport()
    # a passport goes into results, where the scanner's words have no business: anything may stand in them
    found_out = f"{len(left)} that cannot be opened: {_reasons(left, described=False)}"
    # a file that is damaged beyond its series UID may belong to any series
    if any(_may_belong(s, wanted) for s in left):
        return Passport((Finding("series", "corrected", found_out, "left out, though part of the same series"),))
    return Passport((Finding("series", "fine", f"left out {found_out}"),))


def _may_belong(series: Series, wanted: Series) -> bool:
    if series.first.fault and not series.uid:
        return True
    return series.uid == wanted.uid and "LOCALIZER" not in series.first.image_type


def _reason(series: Series) -> str:
    return next((f.found for f in series.passport.findings if f.verdict == "refused"), "can be opened")
