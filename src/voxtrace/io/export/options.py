"""Options of the writers, and what a writer returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxtrace.volume import Volume


@dataclass(frozen=True)
class ExportOptions:
    """What some formats need beside the label map.

    Attributes
    ----------
    source
        A folder with the DICOM images that were segmented, or one file of their series. Needed by DICOM formats when
        the label map does not remember its images.
    image
        The volume whose intensities the table describes, on the label map's grid.
    each
        Write one STL file for each label, ``NAME.<label>.stl``, in place of one with all.
    smooth_mm
        Standard deviation of the Gaussian that smooths surfaces, in mm; 0 leaves them as they are.
    manual
        Whether a person drew the labels; DICOM records it.
    """

    source: Path | None = None
    image: Volume | None = None
    each: bool = False
    smooth_mm: float = 0.0
    manual: bool = False


@dataclass(frozen=True)
class Written:
    """The files that were written, and a sentence for each thing the user should know about them."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()
