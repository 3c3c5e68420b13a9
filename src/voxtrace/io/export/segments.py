"""Descriptions of DICOM-SEG segments: coded name with its side, colour, algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxtrace.io.export.algorithm import Algorithm
from voxtrace.io.export.codes import concept_of, text
from voxtrace.io.export.equipment import NAME
from voxtrace.io.export.label_style import bytes_of, colour_of, name_of
from voxtrace.io.export.options import ExportOptions
from voxtrace.volume import LabelMap

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription

VALUE_WORDS = "Label value"  # SegmentDescription keeps the label's value; segment numbers must run from 1


def segment_of(labels: LabelMap, number: int, value: int, options: ExportOptions) -> SegmentDescription:
    """Return the description of a label as segment ``number``."""
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept

    name = name_of(labels, value)
    concept = concept_of(name)
    made_by, tracking = options.made_by, options.tracking.get(value)
    segment = SegmentDescription(
        segment_number=number,
        segment_label=text(name),
        segmented_property_category=CodedConcept(*concept.category),
        segmented_property_type=CodedConcept(*concept.kind),
        algorithm_type=made_by,
        algorithm_identification=None if made_by == "MANUAL" else algorithm_of(options.algorithm),
        tracking_uid=tracking,
        tracking_id=None if tracking is None else text(name),
        display_color=CIELabColor.from_rgb(*bytes_of(colour_of(labels, value))),
    )
    segment.SegmentDescription = f"{VALUE_WORDS} {value}"
    if concept.side is not None:
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            CodedConcept(*concept.side)
        ]
    return segment


def algorithm_of(algorithm: Algorithm) -> AlgorithmIdentificationSequence:
    """Return what computed the labels as DICOM's algorithm identification."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.sr import CodedConcept

    return AlgorithmIdentificationSequence(
        name=algorithm.name,
        family=CodedConcept("123109", "DCM", "Artificial Intelligence"),
        version=algorithm.bundle_version,
        source=NAME,
        parameters=algorithm.parameters or None,
    )
