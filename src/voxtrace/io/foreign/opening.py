"""Which module reads which format of another program, by the end of the name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from voxtrace.io.described_image import DescribedImage
from voxtrace.io.integrity import check_not_empty

_READERS: Final[dict[str, tuple[str, str]]] = {
    ".mgz": ("freesurfer", "open_mgh"),
    ".mgh": ("freesurfer", "open_mgh"),
    ".hdr": ("nifti_pair", "open_nifti_pair"),
    ".hdr.gz": ("nifti_pair", "open_nifti_pair"),
    ".gipl": ("gipl", "open_gipl"),
    ".gipl.gz": ("gipl", "open_gipl"),
    ".mnc": ("minc", "open_minc"),
    ".par": ("parrec", "open_parrec"),
}
ENDINGS: Final[tuple[str, ...]] = tuple(_READERS)


def open_foreign(path: Path) -> DescribedImage:
    """Return what the header of a file of another program says, by the end of its name; voxels are read later.

    Raises
    ------
    ReadError
        When the file is empty, or its header is not one of a volume that can be read rightly.
    """
    check_not_empty(path)
    name = path.name.lower()
    module, function = next(reader for ending, reader in _READERS.items() if name.endswith(ending))
    opened: DescribedImage = getattr(import_module(f"voxtrace.io.foreign.{module}"), function)(path)
    return opened
