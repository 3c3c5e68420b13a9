"""Which files are volumes, by the end of their name, and which are DICOM, by their first bytes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from voxtrace.io.formats import FORMATS, READ, WRITTEN, endings
from voxtrace.safe_text import well_formed

SUFFIXES: tuple[str, ...] = endings(one for one in WRITTEN if one.holds == "voxels" and not one.folder)
NRRD: tuple[str, ...] = (".nrrd", ".nhdr")
TEXT: tuple[str, ...] = (*NRRD, ".mha", ".mhd")  # formats whose headers are text
ZARR: tuple[str, ...] = endings(one for one in FORMATS if one.folder)
READABLE: tuple[str, ...] = endings(one for one in READ if one.holds == "voxels")
_ARCHIVES = endings(one for one in FORMATS if one.holds == "archive")
_VOXELS_BESIDE = tuple(dict.fromkeys(ending for one in READ for ending in one.voxels_beside))
NIFTI: tuple[str, ...] = tuple(suffix for suffix in SUFFIXES if suffix.startswith(".nii"))
_DICOM_ENDINGS = endings(one for one in FORMATS if one.holds == "images")
_DOUBLE_ENDINGS = tuple(ending for ending in endings(WRITTEN) if ending.count(".") > 1 and ending not in SUFFIXES)
# the elements of group 8 that a file without a preamble may begin with, little endian
_FIRST_ELEMENTS = tuple(
    b"\x08\x00" + element for element in (b"\0\0", b"\1\0", b"\5\0", b"\x08\0", b"\x16\0", b"\x18\0")
)
ZARR_METADATA: tuple[str, ...] = ("zarr.json", ".zgroup", ".zattrs")  # files that stand for the folder they lie in
_GROUP = re.compile(rb'"node_type"\s*:\s*"group"')
_MOST_METADATA = 1 << 20

_FOREIGN = {  # what else scans come in, and what turns it into NIfTI
    (".mnc.gz",): ("packed MINC", "`gunzip IN`, and give the .mnc"),
    (".head", ".brik", ".brik.gz"): ("AFNI", "`3dAFNItoNIFTI IN`"),
    (".7z", ".tar", ".tar.gz", ".tgz", ".rar", ".iso"): ("an archive", "an unpacker: give the folder or file in it"),
}


def foreign_format(path: Path) -> tuple[str, str]:
    """Return the format of a file that is not read, by the end of its name, and what turns it into one that is.

    Examples
    --------
    >>> foreign_format(Path("brain+orig.HEAD"))[0], foreign_format(Path("brain.txt"))
    ('AFNI', ('', ''))
    """
    name = path.name.lower()
    return next((said for endings_, said in _FOREIGN.items() if name.endswith(endings_)), ("", ""))


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case, ``".nii.gz"`` in one piece; ``""`` when it is none of ``READABLE``."""
    name = path.name.lower()
    return max((suffix for suffix in READABLE if name.endswith(suffix)), key=len, default="")


def is_archive(path: Path) -> bool:
    """Return whether a file is an archive that is unpacked to be read, by the end of its name."""
    return path.name.lower().endswith(_ARCHIVES) and path.is_file()


def is_zarr(path: Path) -> bool:
    """Return whether a path is a folder that holds a zarr group, which an OME-Zarr image is; names play no part."""
    if not path.is_dir():
        return False
    newer = path / "zarr.json"
    if not newer.is_file():
        return (path / ".zgroup").is_file()
    with newer.open("rb") as file:
        return _GROUP.search(file.read(_MOST_METADATA)) is not None


def is_voxels_beside(path: Path) -> bool:
    """Return whether a file holds the voxels of a header beside it, by the end of its name and by its first bytes.

    DICOM files are called ``.img``, too.
    """
    return path.name.lower().endswith(_VOXELS_BESIDE) and path.is_file() and not is_dicom(path)


def stem_of(path: Path) -> str:
    """Return the file name without its suffix, ``"case.nii.gz"`` and ``"case.seg.nrrd"`` -> ``"case"``.

    A byte of the name that is no UTF-8 becomes ``%`` and two hexadecimal digits.
    """
    name = path.name.lower()
    beside = next((ending for ending in sorted(_VOXELS_BESIDE, key=len)[::-1] if name.endswith(ending)), "")
    suffix = next((ending for ending in _DOUBLE_ENDINGS if name.endswith(ending)), suffix_of(path) or beside)
    return well_formed(path.name[: -len(suffix)] if suffix else path.stem)


def folder_name(folder: Path) -> str:
    """Return what a folder is called where it was given, also where it was given as ``.``; a link has its own name."""
    return Path(os.path.normpath(folder.absolute())).name


def dicom_start(begin: bytes) -> bool | None:
    """Return how a file that begins with these bytes is DICOM; names play no part.

    True for a preamble with the letters DICM (at least 132 bytes are needed to tell), False for elements from the
    first byte on, as old files have them, None for a file that is not DICOM.
    """
    if begin[128:132] == b"DICM":
        return True
    bare = begin[:4] in _FIRST_ELEMENTS and _continues_element(begin[4:8])
    return False if bare or begin[:6] == b"\x02\x00\x00\x00UL" else None


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM, by its first bytes; False for anything but a regular file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return dicom_start(file.read(132)) is not None


def is_named_dicom(path: Path) -> bool:
    """Return whether the name of a file says that it is DICOM, whatever it holds."""
    return path.suffix.lower() in _DICOM_ENDINGS and path.is_file()


def is_dicomdir(path: Path) -> bool:
    """Return whether a file is the index of a DICOM disc, whose images lie in the folders beside it."""
    return path.stem.upper() == "DICOMDIR" and is_dicom(path)


def _continues_element(begin: bytes) -> bool:
    """Return whether an element continues with the two letters of its VR, or with a short even length."""
    letters = begin[:2].isalpha() and begin[:2].isupper()
    return letters or (len(begin) == 4 and begin[1:] == b"\0\0\0" and begin[0] % 2 == 0)


def listed() -> str:
    """Return the suffixes of what is read as words for a message: ``.nii.gz, .nii, .nrrd, … or .zip``."""
    known = (*READABLE, *_ARCHIVES)
    return f"{', '.join(known[:-1])} or {known[-1]}"
