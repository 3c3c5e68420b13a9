"""Which files are volumes, by the end of their name."""

from __future__ import annotations

from pathlib import Path

from voxtrace.io.formats import FORMATS, WRITTEN, endings
from voxtrace.safe_text import well_formed

SUFFIXES: tuple[str, ...] = endings(one for one in FORMATS if one.holds == "voxels")
NRRD: tuple[str, ...] = (".nrrd", ".nhdr")
NIFTI: tuple[str, ...] = tuple(suffix for suffix in SUFFIXES if suffix.startswith(".nii"))
DICOM_SUFFIXES: tuple[str, ...] = endings(one for one in FORMATS if one.holds == "images")
_DOUBLE_ENDINGS = tuple(ending for ending in endings(WRITTEN) if ending.count(".") > 1 and ending not in SUFFIXES)


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case, ``".nii.gz"`` in one piece; ``""`` when it is none of ``SUFFIXES``."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def stem_of(path: Path) -> str:
    """Return the file name without its suffix, ``"case.nii.gz"`` and ``"case.seg.nrrd"`` -> ``"case"``.

    A byte of the name that is no UTF-8 becomes ``%`` and two hexadecimal digits.
    """
    name = path.name.lower()
    suffix = next((ending for ending in _DOUBLE_ENDINGS if name.endswith(ending)), suffix_of(path))
    return well_formed(path.name[: -len(suffix)] if suffix else path.stem)


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM: by its suffix, or by the letters DICM after the preamble."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def listed() -> str:
    """Return the suffixes as words for a message: ``.nii.gz, .nii, .nrrd, .mha or .mhd``."""
    return f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
