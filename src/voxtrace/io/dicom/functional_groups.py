"""What the functional groups of an enhanced multi-frame file say of its frames.

An attribute counts only where the standard places it: within its own macro, directly in a frame's item or in the shared
one. The same attribute in a private sequence, or in a sequence that describes another image, means something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from voxtrace.io.dicom.header_values import HeaderValueError, Values, values_of

if TYPE_CHECKING:
    from pydicom import Dataset

_FRAME_TYPES = (
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XRay3DFrameTypeSequence",
    "ParametricMapFrameTypeSequence",
)
_MACROS: dict[str, tuple[str, ...]] = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "RealWorldValueMappingSequence": ("RealWorldValueSlope", "RealWorldValueIntercept", "RealWorldValueLUTData"),
    "FrameContentSequence": (
        "StackID",
        "TemporalPositionIndex",
        "FrameAcquisitionNumber",
        "FrameAcquisitionDateTime",
        "FrameReferenceDateTime",
    ),
    "TemporalPositionSequence": ("TemporalPositionTimeOffset",),
    "CardiacSynchronizationSequence": ("NominalCardiacTriggerDelayTime",),
    "MREchoSequence": ("EffectiveEchoTime",),
    "MRModifierSequence": ("InversionTimes",),
    "MRDiffusionSequence": ("DiffusionBValue", "DiffusionGradientDirectionSequence"),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    **dict.fromkeys(_FRAME_TYPES, ("FrameType",)),
}
_DIRECTION = "DiffusionGradientDirectionSequence"


def frame_values(group: Dataset) -> Values:
    """Return the attributes that the functional groups of a frame state, or those that all frames share.

    Raises
    ------
    HeaderValueError
        When one of them cannot be understood.
    """
    found: Values = {}
    for macro, wanted in _macros():
        if macro not in group:
            continue
        items = group[macro].value
        if not items:
            continue
        if not hasattr(items, "__iter__"):
            raise HeaderValueError(f"the functional group {macro:08X} is not a sequence")
        found |= values_of(items[0], wanted)
    _take_direction(found)
    return found


@cache
def _macros() -> tuple[tuple[int, dict[int, str]], ...]:
    """Return the tag of each macro, and tag -> name of what counts in it."""
    return tuple((_tag(macro), {_tag(name): name for name in names}) for macro, names in _MACROS.items())


def _tag(keyword: str) -> int:
    from pydicom.datadict import tag_for_keyword
    from pydicom.tag import Tag

    return Tag(tag_for_keyword(keyword) or 0)


def _take_direction(found: Values) -> None:
    """Replace the sequence of a diffusion gradient's direction by the direction itself."""
    wanted = {_tag("DiffusionGradientOrientation"): "DiffusionGradientOrientation"}
    for item in _items(found.pop(_DIRECTION, None)):
        found |= values_of(item, wanted)


def _items(sequence: object) -> Iterator[Dataset]:
    yield from list(sequence)[:1] if sequence else ()  # type: ignore[call-overload]
