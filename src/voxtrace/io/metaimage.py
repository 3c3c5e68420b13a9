"""MetaImage headers (``.mha``, ``.mhd``): fields -> a :class:`TextImage`, and a grid -> fields.

Fields that mean the same are read alike, and must agree. ``MET_LONG`` has 4 bytes as in ITK, or 8 where the voxels
have exactly twice the bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.passport_checks import SIDES_KNOWN
from voxtrace.io.text_headers import TextHeader, read_meta_header
from voxtrace.io.text_images import TextImage, axis_sizes, exact_grid, numbers
from voxtrace.io.timepoints import count_timepoints
from voxtrace.io.voxel_files import Packing, VoxelFile, inflated, named_files
from voxtrace.passport import Finding
from voxtrace.volume import Array, Grid

_TYPES: Final[dict[str, str]] = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_POSITION = ("offset", "position", "origin")
_DIRECTION = ("transformmatrix", "rotation", "orientation")
_SPACING = ("elementspacing", "elementsize")
_BYTE_ORDER = ("binarydatabyteordermsb", "elementbyteordermsb")


def open_metaimage(path: Path) -> TextImage:
    """Return what the header of a MetaImage says; its voxels are not read.

    Raises
    ------
    ReadError
        When the header is not one of a scalar volume, or names files that it may not name.
    """
    header = read_meta_header(path)
    fields = header.fields
    if not {"dimsize", "elementtype"} <= fields.keys():
        raise ReadError(f"{path} is not a MetaImage file, though its name says so; expected DimSize and ElementType.")
    if fields.get("objecttype", "Image").lower() != "image":
        raise ReadError(f"{path} is a MetaImage file of a {fields['objecttype'][:40]}; expected ObjectType = Image.")
    sizes = axis_sizes(fields["dimsize"], fields.get("ndims", "3"), path)
    channels = fields.get("elementnumberofchannels", "1")
    components = int(channels) if channels.isascii() and channels.isdigit() and len(channels) < 6 else 0
    count = count_timepoints(sizes, components, "", path)
    kind = _kind(fields, path)
    files = _files(header, path)
    if "LONG" in fields["elementtype"] and kind[1:] in ("i4", "u4"):
        kind = kind[:2] + _bytes_of_long(files, math.prod(sizes), path)
    over_time = 3 if len(sizes) > 3 else None
    return TextImage(sizes, over_time, count, _grid(fields, sizes, path), kind, files, header.entries, _said(fields))


def header_text(grid: Grid, kind: str, entries: Mapping[str, str], file_name: str, packed_bytes: int) -> str:
    """Return the header of a packed MetaImage on a grid; ``kind`` is numpy's name of its number type."""
    names = {name: met for met, name in _TYPES.items() if met not in ("MET_LONG", "MET_ULONG")}
    matrix = np.reshape(grid.direction, (3, 3)).T.ravel()
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(packed_bytes),
        "TransformMatrix": _shown(matrix.tolist()),
        "Offset": _shown(grid.origin_mm),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": _shown(grid.spacing_mm),
        "DimSize": " ".join(str(n) for n in grid.size),
        **entries,
        "ElementType": names[kind],
        "ElementDataFile": file_name,
    }
    return "".join(f"{key} = {' '.join(value.split())}\n" for key, value in lines.items())


def _shown(values: Sequence[float]) -> str:
    return " ".join(f"{float(value):.17g}" for value in values)


def _kind(fields: Mapping[str, str], path: Path) -> str:
    """Return numpy's name of the number type, with its byte order."""
    name = fields["elementtype"].upper().removesuffix("_ARRAY")
    if name not in _TYPES:
        raise ReadError(
            f"{path} holds numbers of a type that cannot be read (ElementType {name[:40]}); expected one of "
            f"{', '.join(_TYPES)}. Convert the file."
        )
    order = _one_of(fields, _BYTE_ORDER, path) or "false"
    return (">" if order.lower() in ("true", "1", "t") else "<") + _TYPES[name]


def _one_of(fields: Mapping[str, str], synonyms: Sequence[str], path: Path) -> str:
    """Return the value of fields that mean the same; "" where there is none."""
    found = {" ".join(fields[name].split()) for name in synonyms if name in fields}
    if len(found) > 1:
        raise ReadError(
            f"{path} contradicts itself: {' and '.join(name for name in synonyms if name in fields)} differ. "
            "Correct its header."
        )
    return found.pop() if found else ""


def _grid(fields: Mapping[str, str], sizes: Sequence[int], path: Path) -> Grid:
    """Return where the first three axes lie; a fourth one is time and must stand apart."""
    count = len(sizes)
    spacing_text = next((fields[name] for name in _SPACING if name in fields), "")
    spacing = _expected(spacing_text, "ElementSpacing", count, path) or (1.0,) * count
    origin = _expected(_one_of(fields, _POSITION, path), "Offset", count, path) or (0.0,) * count
    matrix = _expected(_one_of(fields, _DIRECTION, path), "TransformMatrix", count * count, path)
    # each row of the text is the direction of an axis
    directions: Array = np.reshape(matrix, (count, count)).T if matrix else np.eye(count)
    if np.any(directions[:3, 3:]) or np.any(directions[3:, :3]):
        raise ReadError(
            f"{path} has a TransformMatrix that mixes space and time; expected zeros there. Correct its header."
        )
    return exact_grid(sizes[:3], spacing[:3], directions[:3, :3], origin[:3], path)


def _expected(text: str, name: str, count: int, path: Path) -> tuple[float, ...]:
    """Return ``count`` numbers; () where the field is missing."""
    values = numbers(text, name, path)
    if text and (len(values) != count or any(math.isnan(value) for value in values)):
        raise ReadError(f"{path} has {name} {text[:80]!r}; expected {count} finite numbers. Correct its header.")
    return values


def _files(header: TextHeader, path: Path) -> tuple[VoxelFile, ...]:
    """Return where the voxels lie."""
    fields, name = header.fields, header.file_names[0]
    packed = fields.get("compresseddata", "").lower() in ("true", "1", "t")
    as_text = fields.get("binarydata", "true").lower() in ("false", "0", "f")
    skip_text = fields.get("headersize", "0")
    skip = int(skip_text) if skip_text.lstrip("-").isascii() and skip_text.lstrip("-").isdigit() else -2
    local = name.upper() == "LOCAL"
    if skip < -1 or (skip and (packed or as_text)):
        raise ReadError(
            f"{path} has HeaderSize {skip_text[:20]!r}, which cannot be followed; expected a number of bytes, or -1 "
            "for raw voxels at the end. Correct its header."
        )
    packing: Packing = "text" if as_text else "deflate" if packed else "raw"
    if local:
        return (VoxelFile(path, packing, skip if skip > 0 else header.byte_count, skip=min(skip, 0)),)
    paths = named_files(path, header.file_names)
    return tuple(VoxelFile(one, packing, max(skip, 0), skip=min(skip, 0)) for one in paths)


def _bytes_of_long(files: Sequence[VoxelFile], count: int, path: Path) -> str:
    """Return 8 where the files hold exactly 8 bytes a voxel, else 4: programs differ on what ``long`` is."""
    found = 0
    for file in files:
        if file.packing == "deflate":
            with file.path.open("rb") as opened:
                opened.seek(file.start)
                for piece in inflated(opened, path):
                    found += len(piece)
                    if found > 8 * count:
                        return "4"
        elif file.packing == "raw" and file.skip == 0:
            found += file.path.stat().st_size - file.start
    return "8" if found == 8 * count else "4"


def _said(fields: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return what to say of a header's unit and transform."""
    unit = Finding("units", "fine", "MetaImage measures in mm")
    steps = fields.get("elementspacing", fields.get("elementsize", "")).split()
    if any(step.startswith("-") for step in steps):
        found = f"a voxel size is negative ({' '.join(steps)})"
        remedy = "read as an axis that runs the other way, as ITK does"
        return (Finding("spacing", "corrected", found, remedy), SIDES_KNOWN, unit)
    return (Finding("transforms", "fine", "TransformMatrix and Offset"), SIDES_KNOWN, unit)
