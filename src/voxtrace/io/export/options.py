"""Options of the writers, and what a writer returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from voxtrace.io.export.algorithm import Algorithm
from voxtrace.volume import Volume

SegmentationType = Literal["binary", "labelmap"]
NgffVersion = Literal["0.4", "0.5"]


@dataclass(frozen=True)
class ExportOptions:
    """What some formats need beside the label map.

    Attributes
    ----------
    source
        A folder with the DICOM images that were segmented, or one file of their series. Needed by DICOM formats when
        the label map does not remember its images.
    image
        The volume whose intensities the table describes, on the label map's grid; OME-Zarr stores it with its labels.
    each
        Write one STL file for each label, ``NAME.<label>.stl``, in place of one with all.
    smooth_mm
        Standard deviation of the Gaussian that smooths surfaces, in mm; 0 leaves them as they are.
    manual
        Whether a person drew the labels; DICOM records it.
    edited
        Whether a person changed what a program drew; DICOM records it.
    description
        A line on what the labels are, e.g. ``cycle 3 of 7``; DICOM keeps the first 64 letters.
    seg
        How DICOM-SEG stores labels: ``binary``, which every viewer reads, a bit a voxel for each label and plane; or
        ``labelmap`` (DICOM 2024), one number a voxel, compressed, about a hundredth of the size with many labels.
    algorithm
        What computed the labels; DICOM records it.
    tracking
        Label value -> a UID that says that segments of several files are the same thing; all of them are described.
    series_uid
        UID of the new DICOM series; ``""`` for one of its own.
    unit
        The unit of a scalar map; DICOM records it.
    ngff
        Version of OME-Zarr: ``0.4`` (zarr 2), which most viewers read, or ``0.5`` (zarr 3).
    """

    source: Path | None = None
    image: Volume | None = None
    each: bool = False
    smooth_mm: float = 0.0
    manual: bool = False
    edited: bool = False
    description: str = ""
    seg: SegmentationType = "binary"
    algorithm: Algorithm = field(default_factory=Algorithm)
    tracking: Mapping[int, str] = field(default_factory=dict)
    series_uid: str = ""
    unit: str = ""
    ngff: NgffVersion = "0.4"

    @property
    def made_by(self) -> str:
        """How the labels were made, as DICOM's term."""
        return "MANUAL" if self.manual else "SEMIAUTOMATIC" if self.edited else "AUTOMATIC"

    @property
    def about(self) -> str:
        """The line on what the labels are: the one given, or what is known of the algorithm; ``""`` for nothing."""
        return self.description or self.algorithm.line


@dataclass(frozen=True)
class Written:
    """The files that were written, and a sentence for each thing the user should know about them."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()
