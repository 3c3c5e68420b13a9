"""Several series of one study -> the channels of one volume: found by rule, resampled onto one grid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from voxtrace.errors import GeometryError
from voxtrace.geometry import Geometry, Grid
from voxtrace.io.dicom.reading import LoadedSeries, load_series
from voxtrace.io.dicom.series import Series
from voxtrace.io.itk import image_of, simpleitk
from voxtrace.passport import Finding, Passport
from voxtrace.volume import Array, Volume

_ROLES: dict[str, tuple[str, ...]] = {  # what a channel is -> the names that bundles and data sets give it
    "flair": ("flair", "t2flair", "t2f", "fla"),
    "t1 with contrast": ("t1ce", "t1c", "t1gd", "t1post", "t1contrast", "t1withcontrast", "t1postcontrast"),
    "t1": ("t1", "t1w", "t1n", "t1pre", "t1native", "t1precontrast"),
    "t2": ("t2", "t2w"),
    "ct": ("ct",),
    "mr": ("mr", "mri"),
    "pet": ("pet", "pt"),
}
_FLAIR = re.compile(r"flair|dark.?fluid|tirm")
_T1 = re.compile(r"t1(?!\d)|mp.?rage|\bbravo\b|\bspgr\b|\bvibe\b")
_T2 = re.compile(r"t2(?!\d|\*|.?star)")
_AFTER = re.compile(r"post|gad|\bgd|\+ ?c\b|\bce\b|t1ce|t1c\b|contrast|\bkm\b")
_BEFORE = re.compile(r"\bpre|pre\b|t1pre|native|without|w/?o\b|no.?contrast|non.?contrast")


def channels_of(series: Sequence[Series], wanted: Sequence[str]) -> tuple[Series, ...] | str:
    """Return the series for each wanted channel, in order; or a sentence why they cannot be identified.

    Known channels are flair, t1 (without contrast), t1ce (also t1c, t1gd, t1 post), t2, ct, mr and pet. They are
    identified by modality, series description and contrast agent; other names are looked for in the descriptions. A
    channel that fits no series, or more than one, is not guessed.
    """
    usable = [s for s in series if s.usable]
    chosen: list[Series] = []
    for name in wanted:
        fitting = [s for s in usable if _fits(s, name)]
        if len(fitting) != 1:
            found = "; ".join(s.title for s in (fitting or usable)) or "no series that can be opened"
            many = f"{len(fitting)} series fit" if fitting else "no series fits"
            return f"{many} the channel {name}; found {found}. Choose the series by hand."
        chosen.append(fitting[0])
    twice = [s.title for s in dict.fromkeys(chosen) if chosen.count(s) > 1]
    if twice:
        return f"{twice[0]} fits several of the channels {', '.join(wanted)}. Choose the series by hand."
    return tuple(chosen)


def stack_series(series: Sequence[Series], names: Sequence[str] = (), onto: int = 0) -> Volume:
    """Return several series of one study as the channels (C) of a volume, on the grid of ``series[onto]``.

    The others are resampled linearly in mm; where they do not reach, the lowest value of theirs is taken. ``names`` are
    those of the channels. Channels share one number type: that of all where it is the same, else float32.

    Raises
    ------
    GeometryError
        When the headers do not say that all lie in one frame of reference.
    ReadError
        When a series cannot be opened.
    """
    note = _one_frame(series)
    loaded = [load_series(one) for one in series]
    base = loaded[onto]
    turned, findings = [], [*base.passport.findings, *note]
    for index, one in enumerate(loaded):
        array, finding = (one.array, None) if index == onto else _onto(one, base.grid)
        turned.append(base.grid.layout.to_canonical(array))
        findings.extend([finding] if finding else [])
    dtype = turned[0].dtype if len({a.dtype for a in turned}) == 1 else np.dtype(np.float32)
    data = np.stack([a.astype(dtype, copy=False) for a in turned])
    modalities = {one.modality for one in loaded}
    return Volume(
        data,
        Geometry.from_grid(base.grid),
        modality=modalities.pop() if len(modalities) == 1 else "",
        channels=tuple(names),
        name=base.name,
        passport=Passport(tuple(findings)),
    )


def _fits(series: Series, name: str) -> bool:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    role = next((role for role, names in _ROLES.items() if plain in names), None)
    said = re.sub(r"[_\-]", " ", series.description.lower())
    if role in ("ct", "mr", "pet"):
        return series.modality == {"ct": "CT", "mr": "MR", "pet": "PT"}[role]
    if role is None:
        return bool(plain) and plain in re.sub(r"[^a-z0-9]", "", said)
    return series.modality == "MR" and _role_of(series, said) == role


def _role_of(series: Series, said: str) -> str:
    """Return the role of an MR series by its description, or its contrast agent where the description names none."""
    if _FLAIR.search(said):
        return "flair"
    if _T1.search(said):
        agent = bool(_AFTER.search(said)) if _AFTER.search(said) or _BEFORE.search(said) else series.first.contrast
        without = bool(_BEFORE.search(said))
        return "t1 with contrast" if agent and not without else "t1"
    return "t2" if _T2.search(said) else ""


def _one_frame(series: Sequence[Series]) -> tuple[Finding, ...]:
    """Refuse series of different frames of reference; return a finding where no header states one."""
    frames = {s.first.frame_of_reference for s in series}
    if len(frames) > 1:
        raise GeometryError(
            f"{', '.join(s.title for s in series)} lie in {len(frames)} frames of reference; expected one, as of one "
            "visit to the scanner. Register them onto each other first."
        )
    if frames == {""} and len(series) > 1:
        return (Finding("series", "fine", "no header states the frame of reference; positions were taken as they are"),)
    return ()


def _onto(one: LoadedSeries, grid: Grid) -> tuple[Array, Finding | None]:
    """Return a volume's voxels on another stored grid, and what was done, None where it lay there already."""
    if Geometry.from_grid(one.grid).is_close(Geometry.from_grid(grid)) and one.grid.layout == grid.layout:
        return one.array, None
    sitk = simpleitk()
    # 0 would be water in CT; the lowest value is background in every modality
    lowest = float(one.array.min())
    moved = sitk.Resample(
        image_of(one.array, Grid(**_plain(one.grid))),
        image_of(np.zeros(grid.size[::-1], np.uint8), grid),
        sitk.Transform(),
        sitk.sitkLinear,
        lowest,
        sitk.sitkFloat32,
    )
    found = f"{one.name} lies on another grid than the first channel"
    return sitk.GetArrayFromImage(moved), Finding("series", "corrected", found, "resampled linearly onto its grid")


def _plain(grid: Grid) -> dict[str, Any]:
    return {name: asdict(grid)[name] for name in ("size", "spacing_mm", "origin_mm", "direction")}
