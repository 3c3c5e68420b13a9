"""Source images of a DICOM-SEG: as arguments for highdicom, and as references in each frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxtrace.io.export.source_headers import is_multiframe, plane_position_of
from voxtrace.io.export.sources import SourceImages

if TYPE_CHECKING:
    from pydicom import Dataset

_SEGMENTED = ("113076", "DCM", "Segmentation")


def highdicom_sources(sources: SourceImages) -> tuple[list[Dataset], list[Dataset] | None]:
    """Return the source images for highdicom: all single images, or one multi-frame image and the others."""
    headers = list(sources.headers)
    first = plane_position_of(headers[0]) or sources.planes[0]
    for header in headers:
        _set_shared(header, sources, first.orientation)
    if is_multiframe(headers[0]):
        return headers[:1], headers[1:] or None
    return headers, None


def _set_shared(header: Dataset, sources: SourceImages, orientation: tuple[float, ...]) -> None:
    """Set the attributes that all source images share where highdicom reads them; the file is not changed."""
    from pydicom.dataset import Dataset

    position = plane_position_of(header) or sources.planes[0]
    thickness_mm = position.thickness_mm or sources.grid.spacing_mm[2]
    if not is_multiframe(header):
        header.ImageOrientationPatient = [f"{v:.9g}" for v in orientation]
        header.SliceThickness = f"{thickness_mm:.6g}"
        header.pop("NumberOfFrames", None)
        return
    measures, turned = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(position.spacing_mm), f"{thickness_mm:.6g}"
    turned.ImageOrientationPatient = [f"{v:.9g}" for v in position.orientation]
    if not header.get("SharedFunctionalGroupsSequence"):
        header.SharedFunctionalGroupsSequence = [Dataset()]
    shared = header.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]


def reference_source_frames(
    segmentation: Dataset, sources: SourceImages, derived: tuple[str, str, str] = _SEGMENTED
) -> None:
    """Make each frame refer to exactly the image of its plane.

    highdicom finds images by position alone, and two frames of one file may lie at one position (time, phases).
    ``derived`` is the code (value, scheme, meaning) of how the frames were derived.
    """
    if sources.regridded:
        return
    starts = np.asarray([plane.position_mm for plane in sources.planes])
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        position = np.asarray(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        found = sources.source_of(int(np.argmin(np.linalg.norm(starts - position, axis=1))))
        if found is not None and not _refers_to(frame, *found):
            frame.DerivationImageSequence = [_derivation(*found, derived)]


def _refers_to(frame: Dataset, header: Dataset, number: int) -> bool:
    """Return whether a frame already refers to that image and to no other."""
    derivations = frame.get("DerivationImageSequence") or []
    images = [image for derivation in derivations for image in derivation.SourceImageSequence]
    return (
        len(images) == 1
        and images[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
        and images[0].get("ReferencedFrameNumber", number + 1) == number + 1
    )


def _derivation(header: Dataset, number: int, derived: tuple[str, str, str]) -> Dataset:
    from highdicom.sr import CodedConcept
    from pydicom.dataset import Dataset

    image, derivation = Dataset(), Dataset()
    image.PurposeOfReferenceCodeSequence = [
        CodedConcept("121322", "DCM", "Source image for image processing operation")
    ]
    image.SpatialLocationsPreserved = "YES"
    image.ReferencedSOPClassUID = header.SOPClassUID
    image.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if is_multiframe(header):
        image.ReferencedFrameNumber = number + 1
    derivation.DerivationCodeSequence = [CodedConcept(*derived)]
    derivation.SourceImageSequence = [image]
    return derivation
