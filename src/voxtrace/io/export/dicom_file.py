"""A DICOM file that appears whole or not at all, and whose faults end in one sentence that names the right cause."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError, ReadError, VoxTraceError
from voxtrace.io.dicom.opening import class_of, kind_of, open_dicom, uid_name
from voxtrace.io.suffixes import is_dicom

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

    from voxtrace.io.export.sources import SourceImages

_OTHERS = ".seg.nrrd or .nii.gz, which refer to no images"
# segmentations, RTSTRUCT and parametric maps: what is written here, and may be written anew
_WRITTEN = tuple(f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("66.4", "66.7", "481.3", "30"))


@contextmanager
def dicom_file(path: Path, sources: SourceImages) -> Iterator[Path]:
    """Yield a path to write to; the file takes its name at the end.

    Raises
    ------
    OutputError
        When ``path`` is a source image, or a DICOM file of a kind that is not written here. When the headers hold what
        no DICOM file can be made of, which is named, but not the values: they may be a patient's. When the memory does
        not suffice, or a library refuses what it was given otherwise.
    """
    _check_replaceable(path, sources.files)
    with warnings.catch_warnings():  # values of the source are checked; what is left is only copied
        warnings.simplefilter("ignore")
        with _told(path, sources.headers), atomic_file(path) as temporary:
            yield temporary


def _check_replaceable(path: Path, sources: Sequence[Path]) -> None:
    """Refuse to replace an image: another exists nowhere, perhaps."""
    if not path.is_file():
        return
    if any(path.samefile(source) for source in sources if source.exists()):
        raise OutputError(f"{path} is one of the source images, which are not replaced. Choose another name.")
    if is_dicom(path) and not _is_written_here(path):
        raise OutputError(
            f"{path} exists already and is a DICOM file of another kind ({kind_of(path) or 'unknown'}); expected a new "
            "name, or a segmentation, RTSTRUCT or parametric map to replace. Choose another name."
        )


def _is_written_here(path: Path) -> bool:
    try:
        return class_of(open_dicom(path, tags=["SOPClassUID"])) in _WRITTEN
    except ReadError:
        return False


@contextmanager
def _told(path: Path, headers: Sequence[Dataset]) -> Iterator[None]:
    try:
        yield
    except (VoxTraceError, OSError):
        raise
    except MemoryError as error:
        raise OutputError(
            f"{path}: the memory does not suffice to make this file. Close other programs, or write {_OTHERS}."
        ) from error
    except Exception as error:  # the libraries have errors of many classes
        raise OutputError(f"{path}: {_cause(headers, error)}") from error


def _cause(headers: Sequence[Dataset], error: Exception) -> str:
    fault = fault_of(headers)
    if fault:
        return (
            f"the source images' {fault}, so no DICOM file can be made of them. Export the images again from where "
            f"they come from, or write {_OTHERS}."
        )
    return (
        f"the file could not be made ({type(error).__name__}), and the headers of the source images are not the "
        f"cause. Write {_OTHERS}, and report this as a fault in VoxTrace."
    )


def fault_of(headers: Sequence[Dataset]) -> str:
    """Return which attribute of source images cannot be used, and why, without its value; ``""`` where all can."""
    for header in headers:
        if not uid_name(str(header.get("SOPClassUID", ""))):
            return "kind (SOP Class UID) is none that the standard knows"
        for tag in list(header.keys()):
            fault = _fault_of_element(header, tag)
            if fault:
                return fault
    return ""


def _fault_of_element(header: Dataset, tag: int) -> str:
    """Return what is wrong with an element that cannot be parsed or written by itself."""
    from pydicom.datadict import dictionary_description, dictionary_has_tag

    try:
        _write_alone(header[tag])
    except Exception:  # as above
        name = dictionary_description(tag) if dictionary_has_tag(tag) else f"element {tag:08X}"
        return f"{name} holds a value that cannot be written"
    return ""


def _write_alone(element: DataElement) -> None:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_data_element

    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, False
    write_data_element(file, element, ["utf-8"])
