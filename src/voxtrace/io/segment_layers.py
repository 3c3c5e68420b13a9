"""Label maps of 3D Slicer in layers: segments that may overlap lie in several volumes of one ``.seg.nrrd``.

Layers without a common voxel become one label map, with the names and colours of all; a voxel of two segments has no
single label, so overlapping ones are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.names import Colours, Names, from_keys, has_layers
from voxtrace.io.stored_image import StoredImage, read_stored_image
from voxtrace.io.suffixes import NRRD, suffix_of
from voxtrace.io.text_formats import open_text_image
from voxtrace.volume import Array

_Segment = tuple[int, int]  # layer, value in it


def read_label_image(path: Path, frame: int | None) -> StoredImage:
    """Return the label map of a file as stored: one layer of several, all of them together, or the only volume.

    Raises
    ------
    ReadError
        When segments of several layers overlap, or the file cannot be read.
    """
    if suffix_of(path) not in NRRD:
        return read_stored_image(path, frame, labels=True)
    image = open_text_image(path)
    if image.timepoints == 1 or not has_layers(image.entries):
        return read_stored_image(path, frame, labels=True)
    if frame is not None:
        return _layer(path, frame, image.entries)
    layers = [_layer(path, number, image.entries) for number in range(image.timepoints)]
    values = _merged_values(layers)
    names: Names = {}
    colours: Colours = {}
    for (number, value), merged in values.items():
        names |= {merged: layers[number].names[value]} if value in layers[number].names else {}
        colours |= {merged: layers[number].colours[value]} if value in layers[number].colours else {}
    return replace(layers[0], array=_merged(layers, values, path), timepoints=1, names=names, colours=colours)


def _layer(path: Path, number: int, entries: Mapping[str, str]) -> StoredImage:
    """Return a layer with the names and colours of its own segments."""
    names, colours = from_keys(entries, ascii_only=False, layer=number)
    return replace(read_stored_image(path, number, labels=True), names=names, colours=colours)


def _values(layer: StoredImage) -> list[int]:
    """Return the labels of a layer, background left out, ascending: those of its voxels, and those it names."""
    return sorted({int(value) for value in np.unique(layer.array) if value} | set(layer.names))


def _merged_values(layers: list[StoredImage]) -> dict[_Segment, int]:
    """Return the label of each segment: its own where no other segment has it, else numbers from 1 in order."""
    segments = [(number, value) for number, layer in enumerate(layers) for value in _values(layer)]
    if len({value for _, value in segments}) == len(segments):
        return {segment: segment[1] for segment in segments}
    return {segment: number for number, segment in enumerate(segments, start=1)}


def _merged(layers: list[StoredImage], values: Mapping[_Segment, int], path: Path) -> Array:
    found = np.zeros(layers[0].array.shape, np.int64 if max(values.values(), default=0) > 65535 else np.uint16)
    for (number, value), merged in values.items():
        mask = layers[number].array == value
        if mask.any() and (under := int(found[mask].max())):
            pair = " and ".join(repr(name) for name in _names_of((under, merged), layers, values))
            raise ReadError(
                f"{path} has {len(layers)} layers, in which segments {pair} overlap in "
                f"{int(np.count_nonzero(found[mask]))} voxels; expected one segment in each voxel. Choose a layer "
                f"with frame=N or `--frame N`, from 0 to {len(layers) - 1}, or export the segments one by one."
            )
        found[mask] = merged
    return found


def _names_of(labels: tuple[int, int], layers: list[StoredImage], values: Mapping[_Segment, int]) -> Iterator[str]:
    """Yield the names of two labels of the merged map."""
    for label in labels:
        number, value = next(segment for segment, merged in values.items() if merged == label)
        yield layers[number].names.get(value, f"label {value}")
