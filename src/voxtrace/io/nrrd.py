"""NRRD headers (``.nrrd``, and ``.nhdr`` with its voxels beside it): fields -> a :class:`TextImage`, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.passport_checks import SIDES_KNOWN, SIDES_UNKNOWN
from voxtrace.io.text_headers import TextHeader, read_nrrd_header
from voxtrace.io.text_images import TextImage, axis_sizes, exact_grid, grid_from, numbers
from voxtrace.io.timepoints import count_timepoints
from voxtrace.io.voxel_files import Packing, VoxelFile, named_files
from voxtrace.passport import Finding
from voxtrace.volume import Grid

_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_NUMBER_TYPE: Final = {name: kind for kind, names in _TYPES.items() for name in names}
_PACKING: Final[dict[str, Packing]] = {
    "raw": "raw",
    "gzip": "deflate",
    "gz": "deflate",
    "bzip2": "bzip2",
    "bz2": "bzip2",
    "text": "text",
    "txt": "text",
    "ascii": "text",
    "hex": "hex",
}
_TO_LPS: Final[dict[str, tuple[int, int, int]]] = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_MILLIMETRES = ("", "mm", "millimeter", "millimeters", "millimetre", "millimetres")
_DOMAIN = ("", "???", "none", "unknown", "domain", "space", "time")
_VECTOR = re.compile(r"none|\(([^()]*)\)", re.IGNORECASE)


def open_nrrd(path: Path) -> TextImage:
    """Return what the header of an NRRD file says; its voxels are not read.

    Raises
    ------
    ReadError
        When the header is not one of a scalar volume in mm, leaves the direction of an axis open, or names files that
        it may not name.
    """
    header = read_nrrd_header(path)
    fields = header.fields
    missing = [name for name in ("dimension", "sizes", "type", "encoding") if name not in fields]
    if missing:
        raise ReadError(f"{path} lacks the field {missing[0]!r} of NRRD; correct its header.")
    sizes = axis_sizes(fields["sizes"], fields["dimension"], path)
    kinds = _per_axis(fields.get("kinds", "").lower().split(), "", sizes, "kinds", path)
    domain = [axis for axis, kind in enumerate(kinds) if kind in _DOMAIN]
    ranges = [axis for axis in range(len(sizes)) if axis not in domain and sizes[axis] > 1]
    if len(domain) < 3:
        count_timepoints([sizes[axis] for axis in domain], 1, "", path)
    if len(ranges) > 1:
        raise ReadError(f"{path} has {len(ranges)} axes that are not in space; expected one at most. Split it.")
    vectors = _vectors(fields, len(sizes), path)
    spatial = _spatial(domain, kinds, vectors, path)
    rest = [axis for axis in domain if axis not in spatial]
    components, kind = (sizes[ranges[0]], kinds[ranges[0]]) if ranges else (1, "")
    count = count_timepoints([*(sizes[axis] for axis in (*spatial, *rest))], components, kind, path)
    over_time = ranges[0] if ranges else next((axis for axis in rest if sizes[axis] > 1), None)
    return TextImage(
        sizes,
        over_time,
        count,
        _grid(fields, spatial, sizes, vectors, path),
        _number_type(fields, path),
        _files(header, path),
        header.entries,
        _said(fields, path),
    )


def header_text(grid: Grid, kind: str, entries: Mapping[str, str]) -> str:
    """Return the header of an NRRD file with packed voxels on a grid; ``kind`` is numpy's name of its number type."""
    steps = np.reshape(grid.direction, (3, 3)) * np.asarray(grid.spacing_mm)
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {_WRITTEN[kind]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in grid.size)}",
        f"space directions: {' '.join(_shown(steps[:, axis].tolist()) for axis in range(3))}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_shown(grid.origin_mm)}",
        *(f"{key}:={_escaped(value)}" for key, value in entries.items()),
    ]
    return "\n".join(lines) + "\n\n"


_WRITTEN: Final = {
    "i1": "signed char",
    "u1": "unsigned char",
    "i2": "short",
    "u2": "unsigned short",
    "i4": "int",
    "u4": "unsigned int",
    "i8": "long long int",
    "u8": "unsigned long long int",
    "f4": "float",
    "f8": "double",
}


def _shown(values: Sequence[float]) -> str:
    return f"({','.join(f'{float(value):.17g}' for value in values)})"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _per_axis(words: Sequence[str], default: str, sizes: Sequence[int], what: str, path: Path) -> list[str]:
    """Return a word for each axis."""
    if not words:
        return [default] * len(sizes)
    if len(words) != len(sizes):
        raise ReadError(f"{path} gives {what} for {len(words)} of {len(sizes)} axes; correct its header.")
    return list(words)


def _vectors(fields: Mapping[str, str], count: int, path: Path) -> list[tuple[float, ...] | None]:
    """Return the step along each axis as the header has it; None for an axis without; [] without directions."""
    text = fields.get("spacedirections", "")
    if not text:
        return []
    found = [
        None if match[1] is None else numbers(match[1], "space directions", path) for match in _VECTOR.finditer(text)
    ]
    vectors = [None if v is None or all(math.isnan(n) for n in v) else v for v in found]
    wrong = any(v is not None and (len(v) not in (3, 4) or any(math.isnan(n) for n in v)) for v in vectors)
    if len(vectors) != count or wrong or _VECTOR.sub("", text).strip():
        raise ReadError(
            f"{path} has space directions {text[:80]!r}; expected a vector such as (1,0,0), or none, for each of "
            f"{count} axes. Correct its header."
        )
    return vectors


def _spatial(
    domain: Sequence[int], kinds: Sequence[str], vectors: Sequence[tuple[float, ...] | None], path: Path
) -> list[int]:
    """Return the three axes that lie in space."""
    if not vectors:
        return [axis for axis in domain if kinds[axis] != "time"][:3]
    known = [axis for axis in domain if (vector := vectors[axis]) is not None and (len(vector) == 3 or any(vector[:3]))]
    if len(known) != 3:
        raise ReadError(
            f"{path} gives space directions for {len(known)} of three axes; expected all three. Correct its header."
        )
    return known


def _grid(
    fields: Mapping[str, str],
    spatial: Sequence[int],
    sizes: Sequence[int],
    vectors: Sequence[tuple[float, ...] | None],
    path: Path,
) -> Grid:
    size = [sizes[axis] for axis in spatial]
    if not vectors:
        return _grid_of_spacings(fields, spatial, sizes, path)
    steps = np.array([(vectors[axis] or ())[:3] for axis in spatial], np.float64).T
    if any(any((vectors[axis] or ())[3:]) for axis in spatial):
        raise ReadError(f"{path} has space directions that mix space and time; correct its header.")
    origin = numbers(fields.get("spaceorigin", "").strip("() "), "space origin", path)[:3]
    if any(math.isnan(value) for value in origin) or len(origin) not in (0, 3):
        raise ReadError(f"{path} has space origin {fields['spaceorigin'][:80]!r}; expected three numbers.")
    to_lps = np.array(_TO_LPS.get(_space(fields), (1, 1, 1)), np.float64)
    return grid_from(
        size, to_lps[:, np.newaxis] * steps + 0.0, (to_lps * (origin or (0.0, 0.0, 0.0)) + 0.0).tolist(), path
    )


def _grid_of_spacings(fields: Mapping[str, str], spatial: Sequence[int], sizes: Sequence[int], path: Path) -> Grid:
    """Return the grid of a header with spacings, or without any; it lies at the positions of the first voxels."""
    every = _per_axis(fields.get("spacings", "").split(), "1", sizes, "spacings", path)
    spacing = np.array(numbers(" ".join(every[axis] for axis in spatial), "spacings", path))
    spacing[np.isnan(spacing)] = 1.0
    mins = _per_axis(fields.get("axismins", "").split(), "nan", sizes, "axis mins", path)
    first = np.array(numbers(" ".join(mins[axis] for axis in spatial), "axis mins", path))
    centers = _per_axis(fields.get("centers", fields.get("centerings", "")).lower().split(), "", sizes, "centers", path)
    inside = np.array([0.0 if centers[axis] == "node" else 0.5 for axis in spatial]) * spacing
    origin = np.where(np.isnan(first), 0.0, first + inside)
    return exact_grid([sizes[axis] for axis in spatial], spacing.tolist(), np.eye(3), origin.tolist(), path)


def _number_type(fields: Mapping[str, str], path: Path) -> str:
    kind = _NUMBER_TYPE.get(" ".join(fields["type"].lower().split()))
    if kind is None:
        raise ReadError(
            f"{path} holds numbers of a type that cannot be read ({fields['type'][:40]}); expected whole numbers of 8 "
            "to 64 bits, or float or double. Convert the file."
        )
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower(), "")
    if not order and kind[1:] != "1" and _PACKING.get(fields["encoding"].lower()) not in ("text",):
        raise ReadError(f"{path} does not say how its bytes are ordered; expected endian: little or big in its header.")
    return (order or "<") + kind


def _files(header: TextHeader, path: Path) -> tuple[VoxelFile, ...]:
    fields = header.fields
    packing = _PACKING.get(fields["encoding"].lower())
    if packing is None:
        raise ReadError(
            f"{path} packs its voxels as {fields['encoding'][:40]!r}; expected raw, gzip, bzip2, text or hex. "
            "Convert the file."
        )
    lines, skip = (_whole(fields.get(name, "0"), name, path) for name in ("lineskip", "byteskip"))
    if lines < 0 or skip < -1:
        raise ReadError(
            f"{path} skips {lines} lines and {skip} bytes before its voxels; expected numbers from 0 up, or -1 bytes "
            "for voxels at the end. Correct its header."
        )
    if not header.file_names:
        if path.suffix.lower() == ".nhdr":
            raise ReadError(f"{path} names no data file; expected one, with the voxels. Correct its header.")
        return (VoxelFile(path, packing, header.byte_count, lines, skip),)
    return tuple(VoxelFile(one, packing, 0, lines, skip) for one in named_files(path, header.file_names))


def _whole(text: str, name: str, path: Path) -> int:
    if not re.fullmatch(r"-?[0-9]{1,12}", text):
        raise ReadError(f"{path} has {name} {text[:40]!r}; expected a whole number. Correct its header.")
    return int(text)


def _space(fields: Mapping[str, str]) -> str:
    name = fields.get("space", "").lower()
    return name.removesuffix("-time") if name.endswith("-time") else name.removesuffix("t") if len(name) == 4 else name


def _said(fields: Mapping[str, str], path: Path) -> tuple[Finding, ...]:
    """Return what to say of a header's unit and space."""
    text = fields.get("spaceunits", "") if "spacedirections" in fields else fields.get("units", "")
    units = [unit for unit in text.replace('"', " ").split() if unit]
    other = next((unit for unit in units if unit.lower() not in _MILLIMETRES), "")
    if other and not ("spacedirections" not in fields and units[:3] == ["mm"] * 3):
        raise ReadError(
            f"{path} measures in {other!r} (space units); expected mm, which is what other programs take its numbers "
            "for. Convert the file to mm."
        )
    unit = Finding("units", "fine", "mm" if units else "the header names no unit; taken as mm")
    if _space(fields) in _TO_LPS and "spacedirections" in fields:
        return (Finding("transforms", "fine", f"space {fields['space']}"), SIDES_KNOWN, unit)
    found = f"the header's space is {fields['space']}" if fields.get("space") else "the header names no space"
    remedy = "read as left-posterior-superior, as ITK and 3D Slicer do; check the sides against another image"
    unsure = Finding("transforms", "corrected", f"{found}, so the sides of the patient are unknown", remedy)
    return (unsure, SIDES_UNKNOWN, unit)
