"""The one place where DICOM files of others are parsed: with or without preamble, deflated within a budget."""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from voxtrace.errors import ReadError
from voxtrace.io.suffixes import dicom_start
from voxtrace.safe_text import brief

if TYPE_CHECKING:
    from pydicom import Dataset

DIRECTORY = "1.2.840.10008.1.3.10"
# A file may grow by a constant and by a factor that no scan reaches; CT deflates to a half or a third of its size.
FREE_BYTES = 1 << 26
LARGEST_RATIO = 100
_CHUNK = 1 << 20
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))  # of 32 and 64 bits, and whole numbers


def parse(
    file: BufferedReader, *, tags: Sequence[int | str] | None = None, pixels: bool = False
) -> tuple[Dataset, BinaryIO] | None:
    """Return the elements of an open file, and the stream they were parsed from; None for a file that is not DICOM.

    Without ``pixels`` the stream stands at the pixel element afterwards, or at its end.

    Raises
    ------
    ReadError
        When the file inflates to far more than it holds.
    Exception
        Whatever pydicom raises for elements that cannot be parsed; callers make one sentence of it.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    known = dicom_start(file.read(132))
    file.seek(0)
    if known is None:
        return None
    options: dict[str, Any] = {
        "specific_tags": None if tags is None else [tag if isinstance(tag, int) else Tag(tag) for tag in tags],
        "stop_when": None if pixels else _at_pixels,
    }
    try:
        # what dcmread does with an open file, without making all tags anew
        return read_partial(file, force=not known, **options), file
    except _WholeFileError:
        meta = _meta(file)
        stream = BytesIO(_inflated(file))
    dataset = read_partial(stream, force=True, **options)
    dataset.file_meta = FileMetaDataset(meta)
    return dataset, stream


def _at_pixels(tag: int, vr: str | None, length: int) -> bool:
    return tag in _PIXELS


class _WholeFileError(Exception):
    """Someone asked for all the rest of a file: pydicom does, to inflate it without a limit."""


class _Guarded(FileIO):
    """A file that is read piece by piece only. Its buffer asks it for the rest; the pieces cost no call of Python."""

    def readall(self) -> bytes:
        raise _WholeFileError


def opened(path: Path) -> BufferedReader:
    """Return a file that is open for :func:`parse`."""
    return BufferedReader(_Guarded(path))


def open_dicom(path: Path, *, tags: Sequence[int | str] | None = None, pixels: bool = False) -> Dataset:
    """Return the elements of a DICOM file.

    Raises
    ------
    ReadError
        When it is not DICOM, or cannot be parsed.
    """
    try:
        with opened(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that violate the standard; what matters is checked by callers
            parsed = parse(file, tags=tags, pixels=pixels)
    except ReadError as error:
        raise ReadError(f"{path}: {error}.") from error
    except Exception as error:
        raise ReadError(
            f"{path} cannot be read as DICOM ({words_of(error)}); copy or export the file again."
        ) from error
    if parsed is None:
        raise ReadError(f"{path} is not a DICOM file; expected one that begins like DICOM.")
    return parsed[0]


def kind_of(path: Path) -> str:
    """Return the name of what a DICOM file holds, such as ``RT Structure Set``; ``""`` where it does not say."""
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = open_dicom(path, tags=["SOPClassUID", "Modality"])
        name = uid_name(class_of(header))
        return name.removesuffix(" Storage") if name else brief(header.get("Modality", ""))
    return ""


def class_of(header: Dataset) -> str:
    """Return the SOP class UID of a file."""
    return str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID", ""))


def uid_name(uid: str) -> str:
    """Return the name of a UID that DICOM defines; ``""`` for any other, valid or not."""
    from pydicom import config
    from pydicom.uid import UID

    name = UID(uid, validation_mode=config.IGNORE).name
    return "" if name == uid else name


def words_of(error: Exception) -> str:
    """Return an error of a parser in a few words on one line."""
    if isinstance(error, RecursionError):
        return "its sequences are nested too deeply"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    said = " ".join(str(error).split())
    return said[:120] or type(error).__name__


def _meta(file: BinaryIO) -> Dataset:
    """Return the elements of group 2, and leave the file where they end."""
    from pydicom.filereader import read_dataset

    file.seek(132)
    return read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, vr, length: tag >> 16 != 2
    )


def _inflated(file: BinaryIO) -> bytes:
    """Return what follows from the place of an open file on, inflated."""
    size = os.fstat(file.fileno()).st_size
    budget = FREE_BYTES + LARGEST_RATIO * size
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    while packed := file.read(_CHUNK):
        while packed:
            parts.append(engine.decompress(packed, _CHUNK))
            budget -= len(parts[-1])
            packed = engine.unconsumed_tail
            if budget < 0:
                raise ReadError(
                    f"the deflated file of {size / 1e6:.1f} MB inflates to more than {LARGEST_RATIO} times its size; "
                    "export it without compression"
                )
        if engine.eof:
            break
    return b"".join([*parts, engine.flush()])
