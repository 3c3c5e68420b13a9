"""Which files are volumes, by the end of their name."""

from __future__ import annotations

from pathlib import Path

SUFFIXES: tuple[str, ...] = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
DICOM_SUFFIXES: tuple[str, ...] = (".dcm", ".ima")


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case, ``".nii.gz"`` in one piece; ``""`` when it is none of ``SUFFIXES``."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def stem_of(path: Path) -> str:
    """Return the file name without its suffix, ``"case.nii.gz"`` -> ``"case"``."""
    suffix = suffix_of(path)
    return path.name[: -len(suffix)] if suffix else path.stem


def is_dicom(path: Path) -> bool:
    """Tell whether a file is DICOM: by its suffix, or by the letters DICM after the preamble."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
