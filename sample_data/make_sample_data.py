"""Writes the files of this folder again, byte for byte: ``python sample_data/make_sample_data.py [FOLDER]``."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

import voxtrace
from voxtrace.phantoms import abdomen_ct, brain_tumour_mr
from voxtrace.volume import Case, Volume

ABDOMEN_SEED, BRAIN_SEED, DICOM_SEED = 9001, 9002, 9003  # training draws its phantoms from seeds 0 to 999


def main(folder: Path) -> None:
    """Write every sample into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_case(abdomen_ct(ABDOMEN_SEED), folder, "abdomen_phantom", images=("abdomen_phantom_ct",))
    brain = brain_tumour_mr(BRAIN_SEED)
    images = tuple(f"brain_tumour_phantom_{channel:04d}" for channel in range(len(brain.volume.channels)))
    write_case(brain, folder, "brain_tumour_phantom", images=images)
    series = abdomen_ct(DICOM_SEED, shape=(24, 128, 128), spacing_mm=(5.0, 2.5, 2.5))
    write_dicom(series.volume, folder / "abdomen_phantom_dicom")
    voxtrace.write(series.labels, folder / "abdomen_phantom_dicom_labels.nii.gz")


def write_case(case: Case, folder: Path, stem: str, images: tuple[str, ...]) -> None:
    """Write each channel and the labels of a case as NIfTI."""
    for channel, name in enumerate(images):
        single = replace(case.volume, data=case.volume.data[channel : channel + 1])
        voxtrace.write(single, folder / f"{name}.nii.gz")
    voxtrace.write(case.labels, folder / f"{stem}_labels.nii.gz")


def write_dicom(volume: Volume, folder: Path) -> None:
    """Write a one-channel CT as an uncompressed DICOM series, named in the order head to feet as scanners do."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, z in enumerate(reversed(range(volume.data.shape[1])), start=1):
        image_slice(volume, z, number).save_as(folder / f"IM{number:04d}.dcm", enforce_file_format=True)


def image_slice(volume: Volume, z: int, number: int) -> FileDataset:
    """Return one axial plane as a DICOM CT image without a patient."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid(volume.name, f"image {number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("voxtrace", "sample data")
    slice_ = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    slice_.SOPClassUID, slice_.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    slice_.PatientName, slice_.PatientID, slice_.PatientIdentityRemoved = "Phantom", "PHANTOM", "YES"
    slice_.PatientBirthDate = slice_.PatientSex = slice_.StudyDate = slice_.StudyTime = ""
    slice_.AccessionNumber = slice_.ReferringPhysicianName = slice_.StudyID = ""
    slice_.Modality, slice_.Manufacturer = "CT", "VoxTrace"
    slice_.SeriesDescription, slice_.ImageType = "Abdomen phantom", ["DERIVED", "SECONDARY", "AXIAL"]
    slice_.StudyInstanceUID, slice_.SeriesInstanceUID = uid(volume.name, "study"), uid(volume.name, "series")
    slice_.FrameOfReferenceUID, slice_.PositionReferenceIndicator = uid(volume.name, "frame"), ""
    slice_.SeriesNumber, slice_.InstanceNumber, slice_.PatientPosition = 1, number, "HFS"
    _place(slice_, volume, z)
    _fill(slice_, volume.data[0, z])
    return slice_


def uid(*parts: str) -> str:
    """Return a UID that depends on the parts alone, under the root for UIDs made from UUIDs (2.25)."""
    return f"2.25.{int(hashlib.sha256('/'.join(parts).encode()).hexdigest()[:30], 16)}"


def _place(slice_: FileDataset, volume: Volume, z: int) -> None:
    spacing = volume.geometry.spacing_mm
    head, back, left = volume.geometry.world_mm((z, 0, 0))
    slice_.ImagePositionPatient = [left, back, head]
    slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    slice_.PixelSpacing = [spacing[1], spacing[2]]
    slice_.SliceThickness = spacing[0]


def _fill(slice_: FileDataset, plane: np.ndarray) -> None:
    slice_.Rows, slice_.Columns = plane.shape
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
    slice_.RescaleIntercept, slice_.RescaleSlope, slice_.RescaleType = 0, 1, "HU"
    slice_.WindowCenter, slice_.WindowWidth = 50, 400
    slice_.PixelData = np.ascontiguousarray(plane, dtype="<i2").tobytes()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
