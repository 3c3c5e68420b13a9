"""The text headers of NRRD and MetaImage: their fields, and checks of what ITK reads without a warning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voxtrace.errors import ReadError
from voxtrace.io.passport_checks import SIDES_KNOWN, SIDES_UNKNOWN
from voxtrace.passport import Finding

_HEADER_BYTES = 1 << 20
_MILLIMETRES = ("", "mm", "millimeter", "millimeters", "millimetre", "millimetres")
_PLACED_SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "lps", "ras", "las")


@dataclass(frozen=True)
class TextHeader:
    """The fields of a text header, names in lower case, and how many bytes it takes."""

    fields: dict[str, str]
    byte_count: int

    @property
    def is_compressed(self) -> bool:
        """Whether the voxels behind it are packed."""
        return self.fields.get("encoding", "raw") != "raw" or self.fields.get("compresseddata", "").lower() == "true"


def read_meta_header(path: Path) -> TextHeader:
    """Return the ``key = value`` lines of MetaImage up to ElementDataFile."""
    fields: dict[str, str] = {}
    end = 0
    for line in _lines(path):
        end += len(line)
        key, _, value = line.decode("latin-1").partition("=")
        fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == "elementdatafile":
            break
    return TextHeader(fields, end)


def read_nrrd_header(path: Path) -> TextHeader:
    """Return the ``field: value`` lines of NRRD; the blank line after them counts as part of the header."""
    fields: dict[str, str] = {}
    end = 0
    for line in _lines(path):
        end += len(line)
        text = line.decode("latin-1")
        name, colon, value = text.partition(":")
        if not text.strip():
            break
        if colon and not text.startswith("#") and not value.startswith("="):
            fields[name.strip().lower()] = value.strip()
    return TextHeader(fields, end)


def check_nrrd(header: TextHeader, path: Path) -> tuple[Finding, ...]:
    """Return what to say of an NRRD header's unit and space.

    Raises
    ------
    ReadError
        When it measures in another unit than mm, or leaves the direction of an axis open.
    """
    fields = header.fields
    units = [unit for unit in fields.get("space units", "").replace('"', " ").split() if unit]
    other = next((unit for unit in units if unit.lower() not in _MILLIMETRES), "")
    if other:
        raise ReadError(
            f"{path} measures in {other!r} (space units); expected mm, which is what other programs take its numbers "
            "for. Convert the file to mm."
        )
    known = sum(vector.startswith("(") for vector in fields.get("space directions", "").split())
    if "space directions" in fields and known < 3:
        raise ReadError(
            f"{path} gives space directions for {known} of three axes; expected all three. Correct its header."
        )
    unit = Finding("units", "fine", "mm" if units else "the header names no unit; taken as mm")
    space = fields.get("space", "").lower().removesuffix("-time").removesuffix("t")
    if space in _PLACED_SPACES:
        return (Finding("transforms", "fine", f"space {fields['space']}"), SIDES_KNOWN, unit)
    found = f"the header's space is {fields['space']}" if space else "the header names no space"
    remedy = "read as left-posterior-superior, as ITK and 3D Slicer do; check the sides against another image"
    unsure = Finding("transforms", "corrected", f"{found}, so the sides of the patient are unknown", remedy)
    return (unsure, SIDES_UNKNOWN, unit)


def check_meta(header: TextHeader) -> tuple[Finding, ...]:
    """Return what to say of a MetaImage header's unit and transform."""
    fields = header.fields
    unit = Finding("units", "fine", "MetaImage measures in mm")
    steps = fields.get("elementspacing", fields.get("elementsize", "")).split()
    if any(step.startswith("-") for step in steps):
        found = f"a voxel size is negative ({' '.join(steps)})"
        return (
            Finding("spacing", "corrected", found, "read as an axis that runs the other way, as ITK does"),
            SIDES_KNOWN,
            unit,
        )
    return (Finding("transforms", "fine", "TransformMatrix and Offset"), SIDES_KNOWN, unit)


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines at the start of a file, of at most 1 MiB together."""
    with path.open("rb") as file:
        while file.tell() < _HEADER_BYTES and (line := file.readline(_HEADER_BYTES)):
            yield line
