"""Images -> stored numbers, for every transfer syntax.

Each syntax has one fixed decoder, so that the same file gives the same numbers on every installation. pydicom's
decoders return numbers as stored. JPEG baseline, extended and lossless go through ITK in a temporary file that holds
only pixels and their description, so that ITK, too, returns the stored numbers without rescaling.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.dicom.codestream import check_codestreams
from voxtrace.io.dicom.grid import SourceFrame
from voxtrace.io.dicom.opening import open_dicom, uid_name
from voxtrace.io.itk import quiet, simpleitk
from voxtrace.volume import Array

if TYPE_CHECKING:
    from pydicom import Dataset

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_DESCRIPTION = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    *_PIXELS,
)
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
_BY_ITK = tuple(f"1.2.840.10008.1.2.4.{kind}" for kind in (50, 51, 57, 70))  # JPEG: 8 and 12 bits, two lossless kinds
_RLE = "1.2.840.10008.1.2.5"
_GE_PRIVATE = "1.2.840.113619.5.2"
_BY_CODESTREAM = tuple(f"1.2.840.10008.1.2.4.{kind}" for kind in (80, 81, 90, 91, 201, 202, 203))
_DECODERS = {
    **{f"1.2.840.10008.1.2.4.{kind}": "pyjpegls" for kind in (80, 81)},  # JPEG-LS
    **{f"1.2.840.10008.1.2.4.{kind}": "pylibjpeg" for kind in (90, 91, 201, 202, 203)},  # JPEG 2000, also HT
    _RLE: "pydicom",
}
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


class PixelDecoder:
    """Decodes images one after the other; the last file stays loaded, since frames of a file follow each other."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._file: Dataset | None = None
        self._frames: Array | None = None

    def stored(self, source: SourceFrame) -> Array:
        """Return the stored words of an image, (rows, columns), with a third axis where it has colours.

        All bits of a word are kept, also those that the header does not count as used.

        Raises
        ------
        ReadError
            When pixels are damaged, cut short, or compressed in a way that has no decoder.
        """
        with warnings.catch_warnings():  # pydicom warns of trailing bytes and the like; damage raises
            warnings.simplefilter("ignore")
            try:
                return self._decoded(source)
            except ReadError:
                raise
            except Exception as error:
                raise ReadError(
                    f"the pixels of {source.path} cannot be decoded; copy or export the series again, uncompressed if "
                    "you can."
                ) from error

    def _decoded(self, source: SourceFrame) -> Array:
        from pydicom.pixels.utils import pixel_array

        file = self._opened(source.path)
        if _syntax(file) in _BY_ITK:
            if self._frames is None:
                self._frames = _decoded_by_itk(file)
            return np.asarray(self._frames[source.frame])
        plugin = _decoder(source.path, _syntax(file))
        several = int(file.get("NumberOfFrames") or 1) > 1
        return pixel_array(file, index=source.frame if several else None, raw=True, decoding_plugin=plugin)

    def _opened(self, path: Path) -> Dataset:
        from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

        if self._file is None or path != self._path:
            self._file, self._frames = None, None
            file = open_dicom(path, tags=_DESCRIPTION, pixels=True)
            if not any(tag in file for tag in _PIXELS):
                raise ValueError("no pixels")
            if not _syntax(file):  # old files without a preamble
                implicit = file.original_encoding[0]
                file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            if _syntax(file) in (*_BY_ITK, *_BY_CODESTREAM):
                check_codestreams(file)
            if _syntax(file) in (*_PLAIN, _RLE) and "BitsAllocated" in file:
                # pydicom would cut words to the used bits as if these were always the lowest
                file.BitsStored, file.HighBit = file.BitsAllocated, file.BitsAllocated - 1
            self._path, self._file = path, file
        return self._file


def _syntax(file: Dataset) -> str:
    return str(file.file_meta.get("TransferSyntaxUID", ""))


def syntax_fault(syntax: str) -> tuple[str, str]:
    """Return why pixels of a transfer syntax cannot be decoded, and what to do; two empty strings where they can."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    if not syntax or syntax in _PLAIN or syntax in _BY_ITK:
        return "", ""
    if syntax == _GE_PRIVATE:
        return (
            "GE's private transfer syntax, whose pixels run in another byte order than their header",
            "export the series as DICOM explicit little endian",
        )
    name = _DECODERS.get(syntax, "")
    if not name:
        known = uid_name(syntax)
        called = f"compressed as {known}" if known else f"in the unknown transfer syntax {syntax[:64]!r}"
        return f"pixels {called}, which cannot be decoded", "export the series uncompressed or as JPEG 2000"
    if name not in get_decoder(UID(syntax)).available_plugins:
        return (
            f"pixels compressed as {uid_name(syntax)}, and its decoder {name} is not installed",
            "install VoxTrace again with all it depends on, or export the series uncompressed",
        )
    return "", ""


def _decoder(path: Path, syntax: str) -> str:
    """Return the name of the decoder for a syntax, ``""`` where pixels are not compressed."""
    fault, remedy = syntax_fault(syntax)
    if fault:
        raise ReadError(f"{path} has {fault}; {remedy}.")
    return _DECODERS.get(syntax, "")


def _decoded_by_itk(file: Dataset) -> Array:
    """Return all frames (frames, rows, columns) through a file that holds nothing but pixels."""
    from pydicom import Dataset, FileMetaDataset
    from pydicom.uid import UID, generate_uid

    sitk = simpleitk()
    bare = Dataset()
    for tag in _DESCRIPTION:
        if tag in file:
            bare.add(file[tag])
    bare.SOPClassUID, bare.SOPInstanceUID = UID(_CAPTURE), generate_uid()
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = UID(_syntax(file))
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder, "pixels.dcm")
        bare.save_as(path, enforce_file_format=True)
        image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
    frames: Array = sitk.GetArrayFromImage(image)
    return frames if frames.ndim > 2 else frames[np.newaxis]
