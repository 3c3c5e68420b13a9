"""OME-Zarr (NGFF 0.4 or 0.5): an image, a label map, or both in one folder, read back before it takes its name.

Voxels are written in canonical orientation: z to the head, y to the back, x to the left, in mm, so that scale and
translation say where they lie; the axes also carry the directions of RFC 4. A rotation cannot be told, so an oblique
scan's directions go into an attribute of VoxTrace, and a note says what other programs do.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxtrace.atomic import atomic_folder
from voxtrace.errors import GeometryError, OutputError, VoxTraceError
from voxtrace.io.export.label_style import bytes_of, colour_of, name_of
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.itk import widened
from voxtrace.io.ome_zarr import open_ome_zarr
from voxtrace.io.ome_zarr.levels import levels_of
from voxtrace.io.raw_affine import RawAffine
from voxtrace.passport import MADE_UP_DESCRIPTION
from voxtrace.volume import Array, Geometry, LabelMap, Volume

LABELS = "segmentation"  # what the label map of an image is called
_CHUNK = (32, 128, 128)
_TOLERANCE_MM = 1e-3
_STRAIGHT = 1e-6
_DIRECTIONS: Final = ("inferior-to-superior", "anterior-to-posterior", "right-to-left")


def write(item: LabelMap | Volume, path: Path, options: ExportOptions) -> Written:
    """Write a label map or a volume into a new folder; a label map beside ``options.image`` where it is given.

    Raises
    ------
    OutputError
        When something of that name is there, or what was written is not what was to be written.
    GeometryError
        When the label map does not lie on the grid of the image.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path} exists already; name a new folder.")
    image = options.image if isinstance(item, LabelMap) else None
    if image is not None and not image.geometry.is_close(item.geometry):
        raise GeometryError(f"{item.name} does not lie on the grid of {image.name}; expected one grid. Resample one.")
    with atomic_folder(path, replace=False) as folder:
        if image is None:
            _write_image(folder, item, options.ngff)
        else:
            _write_image(folder, image, options.ngff)
            _write_attributes(folder / "labels", options.ngff, {"labels": [LABELS]})
            _write_image(folder / "labels" / LABELS, item, options.ngff, source="../../")
        _verify(folder, image if image is not None else item)
        if image is not None:
            _verify(folder, item)
    return Written((path,), _notes(item.geometry))


def _notes(geometry: Geometry) -> tuple[str, ...]:
    if _is_straight(geometry):
        return ()
    return (
        f"OME-Zarr holds no rotation: other programs show this scan straight, {geometry.obliquity_deg:.1f}° from where "
        "it lies; VoxTrace reads it in place.",
    )


def _is_straight(geometry: Geometry) -> bool:
    return bool(np.abs(_directions(geometry) - np.eye(3)).max() <= _STRAIGHT)


def _directions(geometry: Geometry) -> Array:
    """Return the directions of z, y, x (3×3, a column an axis, in S, P, L)."""
    directions: Array = geometry.matrix[:3, :3] / np.asarray(geometry.spacing_mm)
    return directions


def _write_image(folder: Path, item: LabelMap | Volume, version: str, source: str = "") -> None:
    """Write one image with all its levels."""
    import zarr

    several = isinstance(item, Volume) and len(item.data) > 1
    data = np.asarray(widened(item.data if several or isinstance(item, LabelMap) else item.data[0]))
    made = levels_of(data, labels=isinstance(item, LabelMap))
    _write_attributes(folder, version, _attributes(item, [level.factors for level in made], version, source))
    group = zarr.open_group(store=str(folder), mode="r+")
    for number, level in enumerate(made):
        chunks = tuple(min(n, c) for n, c in zip(level.data.shape, (1, *_CHUNK)[-data.ndim :], strict=True))
        how = _encoding(version, several)
        # every chunk is written, also one of zeros alone, so that a missing file is a lost one
        group.create_array(name=str(number), data=level.data, chunks=chunks, config={"write_empty_chunks": True}, **how)


def _encoding(version: str, several: bool) -> dict[str, Any]:
    """Return how chunks are packed and named, as the version asks for."""
    if version == "0.4":
        packed = import_module("numcodecs").Blosc(cname="zstd", clevel=5)
        return {"compressors": packed, "chunk_key_encoding": {"name": "v2", "separator": "/"}}
    from zarr.codecs import BloscCodec

    names = (["c"] if several else []) + ["z", "y", "x"]
    return {"compressors": BloscCodec(cname="zstd", clevel=5), "dimension_names": names}


def _write_attributes(folder: Path, version: str, attributes: dict[str, Any]) -> None:
    """Make a zarr group with OME attributes."""
    import zarr

    own = attributes.pop("voxtrace", None)
    if version == "0.5":
        attributes = {"ome": {"version": version, **attributes}}
    if own is not None:
        attributes["voxtrace"] = own
    zarr.create_group(store=str(folder), zarr_format=2 if version == "0.4" else 3, attributes=attributes)


def _attributes(
    item: LabelMap | Volume, factors: list[tuple[int, int, int]], version: str, source: str
) -> dict[str, Any]:
    """Return the attributes of an image with levels that are coarser by these factors."""
    several = isinstance(item, Volume) and len(item.data) > 1
    straight = _is_straight(item.geometry)
    axes: list[dict[str, Any]] = [{"name": "c", "type": "channel"}] if several else []
    for name, direction in zip("zyx", _DIRECTIONS, strict=True):
        orientation = {"orientation": {"type": "anatomical", "value": direction}} if straight else {}
        axes.append({"name": name, "type": "space", "unit": "millimeter", **orientation})
    # a block of an image lies about its middle, a label of a coarser level is its first voxel
    centred = not isinstance(item, LabelMap)
    datasets = [_dataset(number, one, item.geometry, several, centred) for number, one in enumerate(factors)]
    multiscale = {
        "name": item.name,
        "axes": axes,
        "datasets": datasets,
        "type": "mean" if centred else "nearest",
        "metadata": {"description": _description(item)},
    }
    if version == "0.4":
        multiscale["version"] = version
    found: dict[str, Any] = {"multiscales": [multiscale]}
    if isinstance(item, LabelMap):
        found["image-label"] = _about_labels(item, version, source)
    if not straight:
        scale_mm, translation_mm = item.geometry.spacing_mm[::-1], item.geometry.origin_mm[::-1]
        lps = _directions(item.geometry)[::-1, ::-1]
        found["voxtrace"] = {
            "direction_lps": [float(v) for v in lps.ravel()],
            "scale_mm": list(scale_mm),
            "translation_mm": list(translation_mm),
        }
    return found


def _dataset(
    number: int, factors: tuple[int, int, int], geometry: Geometry, several: bool, centred: bool
) -> dict[str, Any]:
    first = [1.0] if several else []
    scale = [step * factor for step, factor in zip(geometry.spacing_mm, factors, strict=True)]
    shift = [step * (factor - 1) / 2 * centred for step, factor in zip(geometry.spacing_mm, factors, strict=True)]
    translation = [origin + moved for origin, moved in zip(geometry.origin_mm, shift, strict=True)]
    return {
        "path": str(number),
        "coordinateTransformations": [
            {"type": "scale", "scale": first + scale},
            {"type": "translation", "translation": [0.0] * len(first) + translation},
        ],
    }


def _about_labels(labels: LabelMap, version: str, source: str) -> dict[str, Any]:
    values = sorted({*labels.values, *labels.names} - {0})
    found: dict[str, Any] = {
        "colors": [{"label-value": value, "rgba": [*bytes_of(colour_of(labels, value)), 255]} for value in values],
        "properties": [{"label-value": value, "name": name_of(labels, value)} for value in values],
    }
    if version == "0.4":
        found["version"] = version
    if source:
        found["source"] = {"image": source}
    return found


def _description(item: LabelMap | Volume) -> str:
    if isinstance(item, LabelMap):
        return item.note
    return MADE_UP_DESCRIPTION if item.made_up else ""


def _verify(folder: Path, item: LabelMap | Volume) -> None:
    """Read what was written, and compare it with what was to be written."""
    remedy = "No file was kept; choose another format, and please report this."
    try:
        found = open_ome_zarr(folder, labels=isinstance(item, LabelMap))
        channels = item.data[np.newaxis] if isinstance(item, LabelMap) else item.data
        same = all(np.array_equal(found.read(number), widened(one)) for number, one in enumerate(channels))
    except VoxTraceError as error:
        raise OutputError(f"what was written cannot be read back ({error}). {remedy}") from error
    lps = item.geometry.matrix[:3, :3][::-1, ::-1]
    z, y, x = item.geometry.shape
    expected = RawAffine((x, y, z), lps, np.asarray(item.geometry.origin_mm[::-1]))
    apart_mm = RawAffine.of(found.grid).distance_mm(expected) if found.grid.size == (x, y, z) else np.inf
    if not apart_mm <= _TOLERANCE_MM:  # NaN fails, too
        raise OutputError(f"the written folder puts a corner {apart_mm:.3g} mm from where it belongs. {remedy}")
    if not same or found.timepoints != len(channels):
        raise OutputError(f"the written folder holds other voxels than were to be written. {remedy}")
