"""Whether a file says of itself that it is a label map: it carries names for labels."""

from __future__ import annotations

from pathlib import Path

from voxtrace import io


def carries_names(path: Path) -> bool:
    """Tell whether a NIfTI, NRRD or MetaImage file names labels in its header; its voxels are left alone."""
    return path.name.lower().endswith(".seg.nrrd") or bool(io.label_names(path))
