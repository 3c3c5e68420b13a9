"""The registry of file formats: how the names of their files end, what they hold, and who writes them.

Reading, exports, ``voxtrace export``, the window's dialogs and the manifest for napari all go by this list. A new
export format is one entry here, the module that its ``writer`` names, and its ending in ``napari.yaml``. Importing
this module loads nothing else.

A writer is a function ``write(item, path, options)`` that takes a label map (or a volume, where the format holds
voxels), a path and :class:`voxtrace.io.export.ExportOptions`, and returns :class:`voxtrace.io.export.Written`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Content = Literal["images", "voxels", "labels", "contours", "surfaces", "table", "map", "archive"]


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name
        What the window's dialogs call it.
    endings
        How names of its files end, in lower case; the first is the one that is suggested.
    holds
        ``images``: the slices of a DICOM series; ``voxels``: a volume or a label map on its grid; ``labels``: a label
        map; ``contours``, ``surfaces``, ``table``: what is derived from a label map; ``map``: a number for each voxel;
        ``archive``: any of these, packed.
    reads
        Whether :func:`voxtrace.read` opens it.
    writer
        The module with its ``write``; ``""`` for a format that is only read.
    needs_source
        Whether its files refer to the DICOM images that were segmented.
    splits_labels
        Whether it can be written as one file for each label.
    folder
        Whether what looks like one file is a folder.
    voxels_beside
        How the name of a file ends that lies beside a header and holds its voxels.
    """

    name: str
    endings: tuple[str, ...]
    holds: Content
    reads: bool = False
    writer: str = ""
    needs_source: bool = False
    splits_labels: bool = False
    folder: bool = False
    voxels_beside: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether it can be written."""
        return bool(self.writer)

    @property
    def ending(self) -> str:
        """The ending that is suggested."""
        return self.endings[0]

    @property
    def filter(self) -> str:
        """The entry of a file dialog: ``NIfTI label map (*.nii.gz)``."""
        return f"{self.name} (*{self.ending})"


_VOXELS = "voxtrace.io.voxel_writing"
_EXPORT = "voxtrace.io.export"
FORMATS: Final[tuple[Format, ...]] = (
    Format("NIfTI label map", (".nii.gz", ".nii"), "voxels", reads=True, writer=_VOXELS),
    Format("NRRD label map", (".nrrd",), "voxels", reads=True, writer=_VOXELS),
    Format("MetaImage label map", (".mha", ".mhd"), "voxels", reads=True, writer=_VOXELS),
    Format("3D Slicer segmentation", (".seg.nrrd",), "labels", writer=f"{_EXPORT}.segnrrd"),
    Format("DICOM segmentation (SEG)", (".dcm", ".seg.dcm"), "labels", writer=f"{_EXPORT}.dicomseg", needs_source=True),
    Format(
        "DICOM contours (RTSTRUCT)", (".rtstruct.dcm",), "contours", writer=f"{_EXPORT}.rtstruct", needs_source=True
    ),
    Format("Surface in mm, STL", (".stl",), "surfaces", writer=f"{_EXPORT}.mesh", splits_labels=True),
    Format("Surface in mm, PLY with colours", (".ply",), "surfaces", writer=f"{_EXPORT}.mesh"),
    Format("Surface in mm, OBJ with colours", (".obj",), "surfaces", writer=f"{_EXPORT}.mesh"),
    Format("Table: mL, HU, components, as CSV", (".csv",), "table", writer=f"{_EXPORT}.table"),
    Format("Table: mL, HU, components, as JSON", (".json",), "table", writer=f"{_EXPORT}.table"),
    Format("OME-Zarr", (".ome.zarr", ".zarr"), "voxels", reads=True, writer=f"{_EXPORT}.ome_zarr", folder=True),
    Format("DICOM images", (".dcm", ".ima"), "images", reads=True),
    Format("NRRD with its voxels beside it", (".nhdr",), "voxels", reads=True),
    Format("NIfTI in two files", (".hdr", ".hdr.gz"), "voxels", reads=True, voxels_beside=(".img", ".img.gz")),
    Format("FreeSurfer", (".mgz", ".mgh"), "voxels", reads=True),
    Format("GIPL", (".gipl", ".gipl.gz"), "voxels", reads=True),
    Format("MINC", (".mnc",), "voxels", reads=True),
    Format("Philips PAR/REC", (".par",), "voxels", reads=True, voxels_beside=(".rec",)),
    Format("Zip archive", (".zip",), "archive", reads=True),
)
READ: Final[tuple[Format, ...]] = tuple(one for one in FORMATS if one.reads)
WRITTEN: Final[tuple[Format, ...]] = tuple(one for one in FORMATS if one.writes)
# for volumes alone, so the window does not offer them for labels
MAPS: Final[tuple[Format, ...]] = (
    Format("DICOM parametric map", (".map.dcm",), "map", writer=f"{_EXPORT}.parametric_map", needs_source=True),
)


def endings(formats: Iterable[Format]) -> tuple[str, ...]:
    """Return the endings of formats, in order."""
    return tuple(ending for one in formats for ending in one.endings)


def written_format(path: str | Path) -> Format | None:
    """Return the format that a file of this name is written in; None when its ending names none.

    Examples
    --------
    >>> written_format("a.SEG.nrrd").name, written_format("a.png")
    ('3D Slicer segmentation', None)
    """
    ending = written_ending(path)
    return next((one for one in (*WRITTEN, *MAPS) if ending in one.endings), None)


def written_ending(path: str | Path) -> str:
    """Return the ending of a name that tells the format it is written in, the longest that fits; ``""`` for none.

    Examples
    --------
    >>> written_ending("a.SEG.dcm"), written_ending("a.nrrd"), written_ending("a.txt")
    ('.seg.dcm', '.nrrd', '')
    """
    name = Path(path).name.lower()
    # ".seg.nrrd" also ends in ".nrrd"
    return max((ending for ending in endings((*WRITTEN, *MAPS)) if name.endswith(ending)), key=len, default="")
