"""The attributes of an OME-Zarr image: axes, units, scale and translation, levels, names and colours of labels.

Version 0.4 keeps them in ``.zattrs``, version 0.5 in ``zarr.json`` under ``ome``. Scale and translation place voxel
centres; those of the level are applied before those of the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voxtrace.errors import ReadError
from voxtrace.io.names import LARGEST_LABEL, LONGEST_NAME, Colours, Names
from voxtrace.safe_text import parse_json, well_formed

_MOST_BYTES = 1 << 24
_KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
_MM: Final[dict[str, float]] = {
    "angstrom": 1e-7,
    "nanometer": 1e-6,
    "micrometer": 1e-3,
    "millimeter": 1.0,
    "centimeter": 10.0,
    "decimeter": 100.0,
    "meter": 1000.0,
    "inch": 25.4,
}


@dataclass(frozen=True)
class Axis:
    """An axis: its name and kind, its unit (``""`` for none), and the direction of the body it runs in, if stated."""

    name: str
    kind: str
    unit: str
    direction: str


@dataclass(frozen=True)
class Multiscale:
    """An image: its axes, the path of its finest level, scale and translation along each axis, and free text."""

    axes: tuple[Axis, ...]
    path: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    description: str = ""


def attributes_of(folder: Path) -> Mapping[str, Any]:
    """Return the OME attributes of a zarr group.

    Raises
    ------
    ReadError
        When its metadata is no JSON that can be read, or it is no group.
    """
    newer = folder / "zarr.json"
    if newer.is_file():
        found = _json(newer)
        attributes = found.get("attributes")
        if found.get("node_type") != "group" or not isinstance(attributes, dict):
            raise ReadError(f"{folder} is a zarr array without the attributes of an image; name the folder above it.")
        inside = attributes.get("ome", {})
        return {**(inside if isinstance(inside, dict) else {}), "voxtrace": attributes.get("voxtrace")}
    older = folder / ".zattrs"
    return _json(older) if older.is_file() else {}


def _json(file: Path) -> Mapping[str, Any]:
    if file.stat().st_size > _MOST_BYTES:
        raise ReadError(f"{file} has more than {_MOST_BYTES} bytes; expected a short JSON document.")
    try:
        found = parse_json(file.read_bytes(), allow_nan=True)
    except ValueError as error:
        raise ReadError(f"{file} is no JSON that can be read ({error}); copy the image again.") from error
    if not isinstance(found, dict):
        raise ReadError(f"{file} holds no JSON object; copy the image again.")
    return found


def multiscale_of(attributes: Mapping[str, Any], folder: Path) -> Multiscale:
    """Return what the attributes say of the first image.

    Raises
    ------
    ReadError
        When they describe none, are of a version before 0.4, or have a transform other than scale and translation.
    """
    listed = attributes.get("multiscales")
    if not isinstance(listed, list) or not listed or not isinstance(listed[0], dict):
        raise ReadError(
            f"{folder} is zarr without an OME-Zarr image in this folder; expected `multiscales`. Name the folder of "
            "one image in it, such as its folder 0."
        )
    try:
        first = listed[0]
        axes = tuple(_axis(one) for one in first["axes"])
        level = first["datasets"][0]
        transforms = [*level["coordinateTransformations"], *first.get("coordinateTransformations", [])]
        scale, translation = _combined(transforms, len(axes))
        path = level["path"]
        if not isinstance(path, str):
            raise TypeError("a path that is no text")
        return Multiscale(axes, path, scale, translation, _description(first.get("metadata")))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ReadError(
            f"{folder} does not describe its image as OME-Zarr 0.4 or 0.5 do ({_said(error)}); expected axes with "
            "names, and a scale for each level. Convert it with a newer program."
        ) from error


def _description(metadata: Any) -> str:
    found = metadata.get("description") if isinstance(metadata, dict) else ""
    return well_formed(found[:LONGEST_NAME]) if isinstance(found, str) else ""


def _said(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())[:100]


def _axis(entry: Mapping[str, Any]) -> Axis:
    name = str(entry["name"]).lower()
    orientation = entry.get("orientation", {})
    direction = orientation.get("value", "") if isinstance(orientation, dict) else orientation
    return Axis(name, str(entry.get("type", _KINDS.get(name, ""))), str(entry.get("unit") or ""), str(direction))


def _combined(transforms: Sequence[Mapping[str, Any]], axes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return scale and translation that do what the transforms do one after another."""
    scale, translation = [1.0] * axes, [0.0] * axes
    for one in transforms:
        kind = one["type"]
        if kind == "identity":
            continue
        if kind not in ("scale", "translation"):
            raise ValueError(f"a transform of the type {str(kind)[:20]!r}")
        values = [float(value) for value in one[kind]]
        if len(values) != axes or not all(math.isfinite(value) for value in values):
            raise ValueError(f"a {kind} that is not {axes} finite numbers")
        if kind == "scale":
            scale = [a * b for a, b in zip(scale, values, strict=True)]
            translation = [a * b for a, b in zip(translation, values, strict=True)]
        else:
            translation = [a + b for a, b in zip(translation, values, strict=True)]
    return tuple(scale), tuple(translation)


def millimetres(unit: str, folder: Path) -> float:
    """Return how many mm a unit is; 1 for none.

    Raises
    ------
    ReadError
        When it is no unit of length that is known.
    """
    if unit and unit not in _MM:
        raise ReadError(
            f"{folder} measures in {well_formed(unit)[:30]!r}; expected one of {', '.join(_MM)}. Correct the unit."
        )
    return _MM.get(unit, 1.0)


def labels_listed(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of label images in a ``labels`` group, plain ones alone."""
    found = attributes.get("labels")
    return tuple(one for one in found if isinstance(one, str) and one) if isinstance(found, list) else ()


def names_of(attributes: Mapping[str, Any]) -> tuple[Names, Colours]:
    """Return names and colours of a label image; what is none is passed over."""
    about = attributes.get("image-label")
    if not isinstance(about, dict):
        return {}, {}
    names: Names = {}
    for entry in _entries(about.get("properties")):
        name = next((entry[key] for key in ("name", "class", "label") if isinstance(entry.get(key), str)), "")
        if name:
            names[entry["label-value"]] = well_formed(name[:LONGEST_NAME])
    colours: Colours = {}
    for entry in _entries(about.get("colors")):
        shades = entry.get("rgba")
        if isinstance(shades, list) and len(shades) in (3, 4) and all(_is_shade(one) for one in shades):
            colours[entry["label-value"]] = (shades[0] / 255, shades[1] / 255, shades[2] / 255)
    return names, colours


def _is_shade(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 255


def _entries(found: Any) -> list[Mapping[str, Any]]:
    """Return the entries that are about a label."""
    several = found if isinstance(found, list) else []
    known = [one for one in several if isinstance(one, dict) and isinstance(one.get("label-value"), int)]
    return [one for one in known if 0 < one["label-value"] <= LARGEST_LABEL]
