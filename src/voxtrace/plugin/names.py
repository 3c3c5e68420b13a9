"""Whether a file says of itself that it is a label map: it carries names for labels."""

from __future__ import annotations

from pathlib import Path

from voxtrace.io import itk, names
from voxtrace.io.nifti import read_extensions
from voxtrace.io.suffixes import NIFTI, suffix_of


def carries_names(path: Path) -> bool:
    """Tell whether a NIfTI, NRRD or MetaImage file names labels in its header; its voxels are left alone."""
    if path.name.lower().endswith(".seg.nrrd"):
        return True
    if suffix_of(path) in NIFTI:
        return bool(names.from_xml(read_extensions(path))[0])
    with itk.quiet():
        reader = itk.opened(path)
    keys = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    return bool(names.from_keys(keys, ascii_only=suffix_of(path) != ".nrrd")[0])
