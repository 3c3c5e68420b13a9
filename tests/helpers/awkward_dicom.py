"""A phantom with six landmarks, written as DICOM in the ways in which hospitals have it.

The phantom is a function of position in a stack: a textured background and six bright, symmetric blobs. Where each blob
lies in mm follows from the headers by DICOM's own formula, so what is read can be compared with what was written::

    position (L, P, S) = origin + depth × step + row × spacing × down + column × spacing × across
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from scipy import ndimage

PLANES, ROWS, COLUMNS = 16, 40, 36
SPACING_MM = (3.0, 1.5, 1.25)  # between planes, rows, columns
ORIGIN_MM = (-20.0, 35.0, 110.0)  # (L, P, S)
LANDMARKS = np.asarray([(4, 8, 8), (4, 30, 27), (7, 20, 9), (9, 9, 26), (11, 31, 12), (11, 18, 28)], float)
PEAK, TEXTURE, SIGMA = 1500.0, 25.0, 1.2
AXES = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
BRIGHT = 100  # only landmarks are brighter


@dataclass(frozen=True, eq=False)
class Place:
    """Where a stack lies: unit vectors (L, P, S) of rows and columns, and the way from plane to plane in mm."""

    across: np.ndarray
    down: np.ndarray
    step_mm: np.ndarray
    origin_mm: tuple[float, float, float] = ORIGIN_MM

    def position(self, depth: float) -> np.ndarray:
        """Return where the first pixel of the plane at a depth (in planes) lies, (L, P, S) mm."""
        return np.asarray(self.origin_mm) + depth * self.step_mm

    def world_mm(self, voxels: np.ndarray = LANDMARKS) -> np.ndarray:
        """Return positions (N, 3) of voxels (plane, row, column) in mm, (S, P, L) as VoxTrace has them."""
        lps = [
            self.position(k) + j * SPACING_MM[1] * self.down + i * SPACING_MM[2] * self.across
            for k, j, i in np.asarray(voxels)
        ]
        return np.asarray(lps)[:, ::-1]


def place(direction: Sequence[Sequence[float]] | np.ndarray = AXES) -> Place:
    """Return a plain place; the columns of ``direction`` are where columns, rows and planes run, (L, P, S)."""
    matrix = np.asarray(direction, float)
    return Place(matrix[:, 0], matrix[:, 1], SPACING_MM[0] * np.cross(matrix[:, 0], matrix[:, 1]))


def orientations() -> list[np.ndarray]:
    """Return the 24 rotations that map axes onto axes."""
    signed = (
        np.eye(3)[:, list(order)] * signs for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
    )
    return [matrix for matrix in signed if np.linalg.det(matrix) > 0]


def rotated(degrees: float) -> Place:
    """Return a place turned about an axis that is none of the body's."""
    axis = np.asarray([1.0, 0.5, -0.3]) / np.linalg.norm([1.0, 0.5, -0.3])
    cross = np.cross(np.eye(3), axis)
    angle = np.radians(degrees)
    return place(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def tilted(degrees: float) -> Place:
    """Return a place as a tilted gantry has it: the images lean, the table moves straight on."""
    angle = np.radians(degrees)
    return Place(np.asarray([1.0, 0, 0]), np.asarray([0, np.cos(angle), np.sin(angle)]), np.asarray([0, 0, 3.0]))


def values(depths: Iterable[float] = range(PLANES)) -> np.ndarray:
    """Return the phantom at some depths, (plane, row, column), whole numbers from −25 to about 1500."""
    k, j, i = np.meshgrid(np.asarray(list(depths), float), np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    ground = TEXTURE * np.sin(0.9 * j + 0.4 * k) * np.cos(0.7 * i - 0.3 * k)
    blobs = sum(PEAK * np.exp(-((k - z) ** 2 + (j - y) ** 2 + (i - x) ** 2) / (2 * SIGMA**2)) for z, y, x in LANDMARKS)
    return np.rint(ground + blobs).astype(np.int32)


def found_mm(data: np.ndarray, geometry) -> np.ndarray:
    """Return where the landmarks of a loaded volume (Z, Y, X) lie, (N, 3) in mm: the centres of mass of blobs."""
    weight = np.clip(np.asarray(data, float) - BRIGHT, 0, None)
    blobs, count = ndimage.label(weight > 0)
    centres = ndimage.center_of_mass(weight, blobs, range(1, count + 1))
    return geometry.world_mm(np.asarray(centres))


def worst_voxels(data: np.ndarray, geometry, expected_mm: np.ndarray) -> float:
    """Return how far, in voxels, the landmark that is farthest from where it should be lies off."""
    found = found_mm(data, geometry)
    if len(found) != len(expected_mm):
        return float("inf")
    apart = np.linalg.norm(found[:, None] - expected_mm[None], axis=-1)
    nearest = found[apart.argmin(axis=0)]
    return float(np.abs(geometry.voxel(nearest) - geometry.voxel(expected_mm)).max())


@dataclass(frozen=True)
class Coding:
    """How values become stored numbers: value = stored × slope + intercept."""

    slope: float = 1.0
    intercept: float = -1024.0
    signed: bool = False
    bits: int = 16

    def stored(self, array: np.ndarray) -> np.ndarray:
        numbers = np.rint((array - self.intercept) / self.slope)
        return numbers.astype(np.int16 if self.signed else np.uint16)


def image(pixels: np.ndarray, where: Place, depth: float, coding: Coding = Coding(), **changes) -> Dataset:
    """Return one DICOM image of values (rows, columns) at a depth; ``changes`` are attributes of its header."""
    stored = coding.stored(pixels)
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid()
    one.Modality, one.SeriesDescription, one.SeriesNumber = "CT", "Phantom", 3
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "2.25.1", "2.25.2", "2.25.3"
    one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.PatientName, one.PatientID = "Doe^Jane", "4711"
    one.ImagePositionPatient = [f"{v:.9g}" for v in where.position(depth)]
    one.ImageOrientationPatient = [f"{v:.9g}" for v in (*where.across, *where.down)]
    one.PixelSpacing = [SPACING_MM[1], SPACING_MM[2]]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.Rows, one.Columns = stored.shape
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, coding.bits, coding.bits - 1
    one.PixelRepresentation = int(coding.signed)
    one.RescaleSlope, one.RescaleIntercept = coding.slope, coding.intercept
    one.PixelData = stored.tobytes()
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def images(
    where: Place, depths: Sequence[float] = range(PLANES), coding: Coding = Coding(), **changes
) -> list[Dataset]:
    """Return one image for each depth, numbered from 1."""
    planes = values(depths)
    return [
        image(plane, where, depth, coding, InstanceNumber=n, **changes)
        for n, (plane, depth) in enumerate(zip(planes, depths, strict=True), start=1)
    ]


def save(folder: Path, files: Sequence[Dataset], name: str = "IM{:04d}", seed: int | None = None) -> Path:
    """Write files into a folder, in shuffled order of names when there is a seed, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = list(range(len(files)))
    if seed is not None:
        random.Random(seed).shuffle(numbers)
    for number, file in zip(numbers, files, strict=True):
        pydicom.dcmwrite(folder / name.format(number), file, enforce_file_format=True)
    return folder


def compressed(files: Sequence[Dataset], syntax: str) -> list[Dataset]:
    """Return files with their pixels compressed without loss."""
    for file in files:
        if syntax == JPEGLosslessSV1:
            _as_lossless_jpeg(file)
        else:
            file.compress(syntax, generate_instance_uid=False)
    return list(files)


def _as_lossless_jpeg(file: Dataset) -> None:
    """Take the pixels from a file that ITK wrote: there is no other encoder."""
    stored = np.frombuffer(file.PixelData, np.int16 if file.PixelRepresentation else np.uint16)
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    with TemporaryDirectory() as folder:
        writer.SetFileName(str(Path(folder, "one.dcm")))
        writer.Execute(SimpleITK.GetImageFromArray(stored.reshape(file.Rows, file.Columns)))
        written = pydicom.dcmread(Path(folder, "one.dcm"))
    assert written.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    file.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    file.PixelData = written.PixelData
    file["PixelData"].VR = "OB"
    file["PixelData"].is_undefined_length = True


def enhanced(files: Sequence[Dataset], order: Sequence[int] | None = None, **changes) -> Dataset:
    """Return one enhanced multi-frame file of plain images, its frames in any order."""
    frames = [files[i] for i in order or range(len(files))]
    whole = deepcopy(files[0])
    whole.SOPClassUID, whole.SOPInstanceUID, whole.Modality = EnhancedMRImageStorage, generate_uid(), "MR"
    whole.NumberOfFrames = len(frames)
    whole.PixelData = b"".join(f.PixelData for f in frames)
    whole.PerFrameFunctionalGroupsSequence = Items([_groups(f) for f in frames])
    measures = _item(PixelSpacing=whole.PixelSpacing, SliceThickness=SPACING_MM[0])
    turned = _item(ImageOrientationPatient=whole.ImageOrientationPatient)
    whole.SharedFunctionalGroupsSequence = Items(
        [_item(PixelMeasuresSequence=Items([measures]), PlaneOrientationSequence=Items([turned]))]
    )
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(whole, name)
    for name, value in changes.items():
        setattr(whole, name, value)
    return whole


def _groups(file: Dataset) -> Dataset:
    content = _item(FrameAcquisitionNumber=1)
    if "TemporalPositionIdentifier" in file:
        content.TemporalPositionIndex = int(file.TemporalPositionIdentifier)
    return _item(
        FrameContentSequence=Items([content]),
        PlanePositionSequence=Items([_item(ImagePositionPatient=file.ImagePositionPatient)]),
        PixelValueTransformationSequence=Items(
            [_item(RescaleSlope=file.RescaleSlope, RescaleIntercept=file.RescaleIntercept, RescaleType="US")]
        ),
    )


def _item(**attributes) -> Dataset:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def localizer(where: Place | None = None, series: str = "2.25.9", count: int = 1) -> list[Dataset]:
    """Return coronal scout images; under ``series`` they share a series with something else or not."""
    where = where or place(np.asarray([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]))
    return images(
        where, range(count), SeriesInstanceUID=series, SeriesNumber=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )


def capture() -> Dataset:
    """Return a secondary capture, a screenshot without position."""
    one = image(values([0])[0], place(), 0, SeriesInstanceUID="2.25.10", SeriesNumber=99, Modality="OT")
    one.SOPClassUID = SecondaryCaptureImageStorage
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(one, name)
    return one


def mr(files: Sequence[Dataset]) -> list[Dataset]:
    """Return images as MR."""
    for file in files:
        file.Modality, file.SOPClassUID = "MR", MRImageStorage
    return list(files)
