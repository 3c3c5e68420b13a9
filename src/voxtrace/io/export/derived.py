"""The images that a DICOM-SEG is derived from, as highdicom takes them, and frame by frame as DICOM names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxtrace.io.export.headers import is_multiframe, place_of
from voxtrace.io.export.sources import Stack

if TYPE_CHECKING:
    from highdicom.seg import Segmentation
    from pydicom import Dataset


def main_and_more(stack: Stack) -> tuple[list[Dataset], list[Dataset] | None]:
    """Return what highdicom takes as source: all single images, or one multi-frame image and the others."""
    headers = list(stack.headers)
    first = place_of(headers[0]) or stack.planes[0]
    for header in headers:
        _level(header, stack, first.orientation)
    if is_multiframe(headers[0]):
        return headers[:1], headers[1:] or None
    return headers, None


def _level(header: Dataset, stack: Stack, orientation: tuple[float, ...]) -> None:
    """Put what all images of a stack share where highdicom looks for it; the header's file is not touched."""
    from pydicom.dataset import Dataset

    place = place_of(header) or stack.planes[0]
    thickness_mm = place.thickness_mm or stack.grid.spacing_mm[2]
    if not is_multiframe(header):
        header.ImageOrientationPatient = [f"{v:.9g}" for v in orientation]
        header.SliceThickness = f"{thickness_mm:.6g}"
        header.pop("NumberOfFrames", None)
        return
    measures, turned = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(place.spacing_mm), f"{thickness_mm:.6g}"
    turned.ImageOrientationPatient = [f"{v:.9g}" for v in place.orientation]
    if not header.get("SharedFunctionalGroupsSequence"):
        header.SharedFunctionalGroupsSequence = [Dataset()]
    shared = header.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]


def refer(segmentation: Segmentation, stack: Stack) -> None:
    """Let each frame name exactly the image of its plane.

    highdicom finds images by position alone, and two frames of one file may lie at one position (time, phases).
    """
    if stack.regridded:
        return
    starts = np.asarray([plane.position_mm for plane in stack.planes])
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        position = np.asarray(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        found = stack.source_of(int(np.argmin(np.linalg.norm(starts - position, axis=1))))
        if found is not None and not _names(frame, *found):
            frame.DerivationImageSequence = [_derivation(*found)]


def _names(frame: Dataset, header: Dataset, number: int) -> bool:
    """Tell whether a frame names that image already, and no other."""
    derivations = frame.get("DerivationImageSequence") or []
    images = [image for derivation in derivations for image in derivation.SourceImageSequence]
    return (
        len(images) == 1
        and images[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
        and images[0].get("ReferencedFrameNumber", number + 1) == number + 1
    )


def _derivation(header: Dataset, number: int) -> Dataset:
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
    derivation.DerivationCodeSequence = [CodedConcept("113076", "DCM", "Segmentation")]
    derivation.SourceImageSequence = [image]
    return derivation
