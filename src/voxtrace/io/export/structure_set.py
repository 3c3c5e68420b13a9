"""The entries of an RTSTRUCT: patient and study, the images it refers to, regions of interest and their contours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from voxtrace.io.export.algorithm import Algorithm
from voxtrace.io.export.codes import Code, concept_of, text
from voxtrace.io.export.copied_attributes import COPIED, series_number
from voxtrace.io.export.equipment import NAME
from voxtrace.io.export.label_style import bytes_of
from voxtrace.io.export.segments import VALUE_WORDS
from voxtrace.io.export.source_headers import is_multiframe
from voxtrace.io.export.sources import SourceImages
from voxtrace.volume import Array, Triple

if TYPE_CHECKING:
    from pydicom import Dataset

_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"


@dataclass(frozen=True, eq=False)
class Contour:
    """A closed line: which plane it lies in, and its points (N, 3), (L, P, S) in mm."""

    plane: int
    points_mm: Array


@dataclass(frozen=True)
class Region:
    """A region of interest: number from 1, label value, name, (red, green, blue), DICOM's term for who drew it."""

    number: int
    value: int
    name: str
    colour: Triple
    made_by: str


def header_of(sources: SourceImages, algorithm: Algorithm) -> Dataset:
    """Return a structure set without regions: patient and study of the source images, and references to them."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ImplicitVRLittleEndian, generate_uid

    now, source = datetime.now(), sources.headers[0]
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = _CLASS, generate_uid()
    dataset.Modality, dataset.SeriesInstanceUID = "RTSTRUCT", generate_uid()
    # distinct from the source's number and from that of a SEG (+1000)
    dataset.SeriesNumber = series_number(source, 2000)
    dataset.SeriesDescription, dataset.OperatorsName = "Contours", ""
    dataset.InstanceNumber = 1
    dataset.Manufacturer = dataset.ManufacturerModelName = NAME
    dataset.SoftwareVersions = list(algorithm.software)
    dataset.StructureSetLabel = "CONTOURS"
    dataset.StructureSetDate, dataset.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.StructureSetDate, dataset.StructureSetTime
    for keyword in COPIED:
        setattr(dataset, keyword, source.get(keyword, ""))
    for keyword in ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
        setattr(dataset, keyword, [])
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(_CLASS)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    # Explicit VR limits a contour to 64 KiB of text, too little for 2000 points.
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    _add_references(dataset, sources)
    return dataset


def _add_references(dataset: Dataset, sources: SourceImages) -> None:
    series, study, frame = _empty(), _empty(), _empty()
    series.SeriesInstanceUID = sources.headers[0].SeriesInstanceUID
    series.ContourImageSequence = [_reference(header) for header in sources.headers]
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, as the standard asks
    study.ReferencedSOPInstanceUID = sources.headers[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = sources.headers[0].FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]


def add_region(dataset: Dataset, of: Region, contours: Iterable[Contour], sources: SourceImages) -> None:
    """Add a region of interest and its contours to a structure set."""
    region, drawn, observed = _empty(), _empty(), _empty()
    concept = concept_of(of.name)
    region.ROINumber = drawn.ReferencedROINumber = observed.ReferencedROINumber = observed.ObservationNumber = of.number
    region.ReferencedFrameOfReferenceUID = dataset.FrameOfReferenceUID
    region.ROIName = text(of.name)
    region.ROIGenerationAlgorithm = of.made_by
    region.ROIDescription = f"{VALUE_WORDS} {of.value}"
    drawn.ROIDisplayColor = list(bytes_of(of.colour))
    drawn.ContourSequence = [_contour(contour, sources) for contour in contours]
    # other structures may be target volumes, which only a person can decide
    observed.RTROIInterpretedType = "ORGAN" if concept.is_organ else ""
    observed.ROIInterpreter = ""
    if concept.known:
        observed.RTROIIdentificationCodeSequence = [_coded(concept.kind, concept.side)]
    dataset.StructureSetROISequence.append(region)
    dataset.ROIContourSequence.append(drawn)
    dataset.RTROIObservationsSequence.append(observed)


def _contour(contour: Contour, sources: SourceImages) -> Dataset:
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    item = _empty()
    source = sources.source_of(contour.plane)
    if source is not None:
        item.ContourImageSequence = [_reference(*source)]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(contour.points_mm)
    values = "\\".join(f"{v:.5f}" for v in contour.points_mm.ravel().tolist()).encode()
    values += b" " * (len(values) % 2)
    tag = Tag("ContourData")
    item[tag] = RawDataElement(
        tag, "DS", len(values), values, 0, True, True
    )  # pydicom would parse each number, a second for 10,000
    return item


def _reference(header: Dataset, frame: int | None = None) -> Dataset:
    item = _empty()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    if frame is not None and is_multiframe(header):
        item.ReferencedFrameNumber = frame + 1
    return item


def _coded(code: Code, side: Code | None) -> Dataset:
    item = _empty()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    if side is not None:
        item.SegmentedPropertyTypeModifierCodeSequence = [_coded(side, None)]
    return item


def _empty() -> Dataset:
    from pydicom import Dataset

    return Dataset()
