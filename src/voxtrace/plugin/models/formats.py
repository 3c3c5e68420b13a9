"""Names of files that the window saves labels in; the formats are those of :mod:`voxtrace.io.formats`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxtrace.io.formats import WRITTEN as FORMATS
from voxtrace.io.formats import Format, endings
from voxtrace.io.formats import written_ending as ending

DICOM_ENDINGS = endings(one for one in FORMATS if one.needs_source)
__all__ = ["DICOM_ENDINGS", "FORMATS", "Format", "ending", "named", "numbered", "of_filter", "suggested_name"]


def named(path: Path, chosen: Format) -> Path:
    """Return the path for a typed name and a chosen format.

    >>> named(Path("liver 1.5 mm"), FORMATS[0]).name, named(Path("liver.stl"), FORMATS[0]).name
    ('liver 1.5 mm.nii.gz', 'liver.stl')
    >>> named(Path("liver.nrrd"), FORMATS[3]).name, named(Path("liver.dcm"), FORMATS[5]).name
    ('liver.seg.nrrd', 'liver.rtstruct.dcm')
    """
    known = ending(path)
    if known and chosen.ending.endswith(known):  # the chosen suffix includes the typed one
        return path.with_name(path.name[: -len(known)] + chosen.ending)
    return path if known else path.with_name(path.name + chosen.ending)


def numbered(path: Path, timepoint: int) -> Path:
    """Return the path for one of several time points, counted from 0.

    >>> numbered(Path("film.nii.gz"), 3).name
    'film_t003.nii.gz'
    """
    known = ending(path)
    stem = path.name[: -len(known)] if known else path.name
    return path.with_name(f"{stem}_t{timepoint:03d}{known}")


def suggested_name(layer: str, first: Format = FORMATS[0]) -> str:
    """Return a file name for a layer.

    >>> suggested_name("scan · hippocampus-unet · seed 3")
    'scan_hippocampus-unet_seed 3.nii.gz'
    """
    plain = "".join("_" if letter in '/\\:*?"<>|' else letter for letter in layer.replace(" · ", "_"))
    return f"{plain.strip() or 'labels'}{first.ending}"


def of_filter(text: str, formats: Sequence[Format] = FORMATS) -> Format:
    """Return the format of a file dialog's entry; the first format for any other text."""
    return next((one for one in formats if one.filter == text), formats[0])
