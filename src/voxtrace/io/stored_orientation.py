"""Canonical voxels, turned into the orientation of the grid they are written onto."""

from __future__ import annotations

from voxtrace.errors import OutputError
from voxtrace.volume import Array, Geometry, LabelMap, Volume


def to_stored_orientation(data: Array, geometry: Geometry, name: str = "the label map") -> Array:
    """Return canonical voxels (Z, Y, X) as a view in the orientation of the grid they are written onto.

    Raises
    ------
    OutputError
        When the stored grid has another shape than the voxels; ``name`` is what the sentence calls them.
    """
    stored = geometry.stored
    if stored is None:
        return data
    turned = stored.layout.to_stored(data)
    if turned.shape != stored.size[::-1]:
        raise OutputError(
            f"{name} has {turned.shape} voxels where the grid to write onto has {stored.size[::-1]}; "
            "expected equal shapes. Give a cropped or resampled array a geometry of its own (Geometry.part for a crop)."
        )
    return turned


def stored_array(item: LabelMap | Volume) -> Array:
    """Return the voxels (Z, Y, X) of a label map or a one-channel volume in the orientation they are written in.

    Raises
    ------
    OutputError
        When the volume has several channels, or the stored grid another shape.
    """
    if isinstance(item, Volume) and item.data.shape[0] != 1:
        raise OutputError(
            f"{item.name} has {item.data.shape[0]} channels; expected one. Write a file for each channel."
        )
    array = item.data[0] if isinstance(item, Volume) else item.data
    return to_stored_orientation(array, item.geometry, item.name)
